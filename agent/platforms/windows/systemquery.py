"""Asks Windows for all its processes, in one call."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.systemquery is for Windows")

from agent.errors import HostError
from agent.platforms.windows.systemlist import Entry, entries

_FIRST = 1 << 18
_MOST = 1 << 26
"""Bytes that the list may need: some hundred thousand processes with their threads."""
_PROCESSES = 5
_TOO_SHORT = 0xC0000004

_ntdll = ctypes.WinDLL("ntdll")
_query = _ntdll.NtQuerySystemInformation
_query.argtypes = [ctypes.c_int, ctypes.c_void_p, wintypes.ULONG, ctypes.POINTER(wintypes.ULONG)]
_query.restype = ctypes.c_ulong


class SystemList:
    """Asks Windows; keeps its buffer from one time to the next."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_FIRST)

    def read(self) -> tuple[Entry, ...]:
        """Every process of the PC.  ``HostError`` when Windows does not tell."""
        return tuple(entries(self._filled(), ctypes.addressof(self._buffer)))

    def _filled(self) -> memoryview:
        while True:
            needed = wintypes.ULONG()
            status = _query(_PROCESSES, self._buffer, len(self._buffer), ctypes.byref(needed))
            if status == 0:
                return memoryview(self._buffer).cast("B")[: needed.value]
            size = max(needed.value + (needed.value >> 2), 2 * len(self._buffer))
            if status != _TOO_SHORT or size > _MOST:
                raise HostError(
                    f"Windows does not tell which programs run (status {status:#x})", "Restart the PC, please."
                )
            self._buffer = ctypes.create_string_buffer(size)
