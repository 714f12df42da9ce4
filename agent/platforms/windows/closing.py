"""Ask programs to close, as a click on the cross does: WM_CLOSE to their windows.

Windows shows a process the windows of its own session only.  A service is in another session than the child, so there it finds
none, and the program has had its notices before.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.closing is for Windows")

import pywintypes
import win32con
import win32gui
import win32process


def ask(pids: Collection[int]) -> int:
    """How many windows of these processes were asked.  Does not wait for an answer."""
    asked = 0

    def each(window: int, _: object) -> bool:
        nonlocal asked
        if win32process.GetWindowThreadProcessId(window)[1] in pids and win32gui.IsWindowVisible(window):
            try:
                win32gui.PostMessage(window, win32con.WM_CLOSE, 0, 0)
                asked += 1
            except pywintypes.error:
                return True  # it is gone, or runs with more rights than we have
        return True

    try:
        win32gui.EnumWindows(each, None)
    except pywintypes.error:
        return asked  # this session has no desktop
    return asked
