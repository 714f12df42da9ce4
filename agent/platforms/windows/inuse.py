"""Programs that run from a folder: Windows lets nobody replace a file that is in use, and each session has a tray."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from ctypes import wintypes
from pathlib import Path

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.inuse is for Windows")

import pywintypes
import win32api
import win32con
import win32event
import win32process

log = logging.getLogger(__name__)

PROGRAMS = frozenset({"fairtime.exe", "fairtime-service.exe", "fairtime-tray.exe"})
PATIENCE = 10_000
"""Milliseconds that an ended program may take to be gone."""
_QUERY_LIMITED = 0x1000
_LONGEST = 32_768
"""Characters of a path, at most (UNICODE_STRING)."""
_kernel = ctypes.WinDLL("kernel32", use_last_error=True)


def end(folder: Path) -> None:
    """End every other program of ours that runs from ``folder``, in all sessions; as administrator.  They have nothing to save."""
    for process, path in _running(folder):
        try:
            win32api.TerminateProcess(process, 0)
        except pywintypes.error as error:
            log.warning("%s cannot be ended: %s", path, error.strerror)
            continue
        win32event.WaitForSingleObject(process, PATIENCE)


def _running(folder: Path) -> Iterator[tuple[int, Path]]:
    for pid in win32process.EnumProcesses():
        if pid in (0, os.getpid()):
            continue
        wanted = _QUERY_LIMITED | win32con.PROCESS_TERMINATE | win32con.SYNCHRONIZE
        try:
            process = win32api.OpenProcess(wanted, False, pid)
        except pywintypes.error:
            continue  # it is gone, or one that nobody may touch: none of ours
        try:
            path = _image(int(process))
            if path is not None and _inside(path, folder):
                yield process, path
        finally:
            win32api.CloseHandle(process)


def _image(process: int) -> Path | None:
    text = ctypes.create_unicode_buffer(_LONGEST)
    size = wintypes.DWORD(_LONGEST)
    found = _kernel.QueryFullProcessImageNameW(wintypes.HANDLE(process), wintypes.DWORD(0), text, ctypes.byref(size))
    return Path(text.value) if found else None


def _inside(path: Path, folder: Path) -> bool:
    return path.name.casefold() in PROGRAMS and str(path).casefold().startswith(f"{folder}\\".casefold())
