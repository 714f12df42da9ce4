"""Open files for a process that is started: Windows hands on handles, and its C library numbers them anew.

The handles are duplicates for this one process and named one by one (PROC_THREAD_ATTRIBUTE_HANDLE_LIST), so that no other process that
is started meanwhile gets them.
"""

from __future__ import annotations

import msvcrt
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.childfiles is for Windows")

import win32api
import win32con


@contextmanager
def given(files: Sequence[int]) -> Iterator[tuple[dict[str, Any], str]]:
    """``(words for subprocess, what the other process gives to take)``; the process must be started within."""
    start = subprocess.STARTUPINFO()
    with ExitStack() as stack:
        own = win32api.GetCurrentProcess()
        pairs = []
        for number in files:
            untyped: Any = win32api.DuplicateHandle(
                own, msvcrt.get_osfhandle(number), own, 0, True, win32con.DUPLICATE_SAME_ACCESS
            )
            stack.callback(untyped.Close)
            pairs.append((number, int(untyped)))
        start.lpAttributeList = {"handle_list": [handle for _, handle in pairs]}
        yield {"startupinfo": start} if pairs else {}, " ".join(f"{number}:{handle}" for number, handle in pairs)


def take(told: str) -> None:
    """In the process that was started: let the files have the numbers that they have in the other one."""
    at: dict[int, int] = {}
    for pair in told.split():
        text, _, handle = pair.partition(":")
        at[int(text)] = msvcrt.open_osfhandle(int(handle), os.O_BINARY)
    for number in at:
        # Whoever stands in another one's place steps aside first.
        while at[number] != number and at[number] in at:
            at[number] = os.dup(at[number])
    for number, now in at.items():
        if now != number:
            os.dup2(now, number, inheritable=False)
            os.close(now)
