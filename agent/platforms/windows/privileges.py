"""Privileges of this process that are there and not switched on (``AdjustTokenPrivileges``)."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.privileges is for Windows")

DEBUG = "SeDebugPrivilege"
"""Open any process, whatever its owner has forbidden in the process's own descriptor."""
_ADJUST, _QUERY, _ENABLED = 0x20, 0x8, 0x2
"""TOKEN_ADJUST_PRIVILEGES, TOKEN_QUERY, SE_PRIVILEGE_ENABLED."""

_advapi = ctypes.WinDLL("advapi32", use_last_error=True)
_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.GetCurrentProcess.restype = wintypes.HANDLE


class _Privileges(ctypes.Structure):
    """TOKEN_PRIVILEGES with room for one."""

    _fields_ = (("count", wintypes.DWORD), ("luid", ctypes.c_longlong), ("attributes", wintypes.DWORD))
    _pack_ = 4


def enable(right: str) -> None:
    """Switch one on until the process ends; ``OSError`` where this account does not have it."""
    token = wintypes.HANDLE()
    process = wintypes.HANDLE(_kernel.GetCurrentProcess())
    if not _advapi.OpenProcessToken(process, wintypes.DWORD(_ADJUST | _QUERY), ctypes.byref(token)):
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        luid = ctypes.c_longlong()
        if not _advapi.LookupPrivilegeValueW(None, wintypes.LPCWSTR(right), ctypes.byref(luid)):
            raise ctypes.WinError(ctypes.get_last_error())
        wanted = _Privileges(1, luid.value, _ENABLED)
        if not _advapi.AdjustTokenPrivileges(token, False, ctypes.byref(wanted), 0, None, None):
            raise ctypes.WinError(ctypes.get_last_error())
        if error := ctypes.get_last_error():
            raise ctypes.WinError(error)
    finally:
        _kernel.CloseHandle(token)
