"""The desktop of a Windows session, as the tray sees it."""

from __future__ import annotations

import ctypes
import locale
import os
import sys
from pathlib import Path

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.desk is for Windows")

import pywintypes
import win32api
import win32event
import win32gui
from win32com.shell import shellcon

from agent.platforms.windows.appid import APP_ID
from agent.platforms.windows.paths import known
from agent.words import marked

TASKBAR = "Shell_TrayWnd"
_MUTEX = r"Local\Fairtime.Tray"
"""Local: of this session, so that each person who is logged in has a tray."""
_EXISTS = 183
_LOGPIXELSX = 88
_PER_MONITOR = 2
_PRIMARY = 0x3FF
"""The bits of a LANGID that name the language without its country; with 0x400 it is the language's first country."""


class WindowsDesk:
    """The ``Desk`` of this session."""

    def __init__(self) -> None:
        self._claim: object = None

    def tray_available(self) -> bool:
        return not self.why_no_tray()

    def why_no_tray(self) -> str:
        """The icon lies in Explorer's task bar.  pystray adds it again when Explorer starts again (TaskbarCreated)."""
        if win32gui.FindWindow(TASKBAR, None):
            return ""
        return marked("Windows' task bar is not there. A small window shows the time instead.")

    def scale(self) -> float:
        screen = win32gui.GetDC(0)
        try:
            return float(ctypes.windll.gdi32.GetDeviceCaps(ctypes.c_void_p(screen), _LOGPIXELSX)) / 96
        finally:
            win32gui.ReleaseDC(0, screen)

    def prepare(self) -> str:
        """Let Windows take this process for Fairtime (notices need the id of the Start menu's entry), and not blow it up."""
        ctypes.windll.shell32.SetCurrentProcessExplicitAppUserModelID(ctypes.c_wchar_p(APP_ID))
        ctypes.windll.shcore.SetProcessDpiAwareness(_PER_MONITOR)  # refused when it was said before: no harm
        return ""

    def claim(self) -> bool:
        """A mutex of this session: the system lets go of it whenever the process ends."""
        mutex = win32event.CreateMutex(pywintypes.SECURITY_ATTRIBUTES(), False, _MUTEX)
        if win32api.GetLastError() == _EXISTS:
            mutex.Close()
            return False
        self._claim = mutex
        return True

    def folder(self) -> Path:
        """``Fairtime`` in the person's local folder of programs' data, which no other standard account can read."""
        folder = known(shellcon.FOLDERID_LocalAppData) / "Fairtime"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def languages(self) -> tuple[str, ...]:
        """The language of the person's menus (GetUserDefaultUILanguage), which need not be that of dates and numbers."""
        language = ctypes.windll.kernel32.GetUserDefaultUILanguage() & 0xFFFF
        name = locale.windows_locale.get(language) or locale.windows_locale.get(0x400 | language & _PRIMARY)
        return (name,) if name else ()

    def open_page(self, path: Path) -> bool:
        try:
            os.startfile(path)
        except OSError:
            return False  # nothing opens pages here
        return True
