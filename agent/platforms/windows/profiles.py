"""The hive of an account that is not logged in, for as long as it takes to put back what was there.

Only while Fairtime is taken away: a logon at the very moment would not get its own profile.
"""

from __future__ import annotations

import contextlib
import sys
import winreg
from collections.abc import Iterator
from pathlib import PureWindowsPath

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.profiles is for Windows")

import ctypes
from ctypes import wintypes

from agent.platforms.windows import privileges
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.values import as_text

PROFILES = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList"
_RIGHTS = ("SeRestorePrivilege", "SeBackupPrivilege")
"""What RegLoadKeyW asks for."""

_advapi = ctypes.WinDLL("advapi32", use_last_error=True)


@contextlib.contextmanager
def loaded(sid: str) -> Iterator[bool]:
    """Whether the hive of this account is below ``HKEY_USERS`` while the block runs; ``OSError`` when it cannot be had.

    False for an account that never logged in: it has none.
    """
    users, machine = Registry(winreg.HKEY_USERS), Registry(winreg.HKEY_LOCAL_MACHINE)
    if users.there(sid):
        yield True
        return
    folder = as_text(machine.value(rf"{PROFILES}\{sid}", "ProfileImagePath"))
    if not folder:
        yield False
        return
    place = PureWindowsPath(winreg.ExpandEnvironmentStrings(folder)) / "NTUSER.DAT"
    for right in _RIGHTS:
        privileges.enable(right)
    root = wintypes.HKEY(winreg.HKEY_USERS)
    result = int(_advapi.RegLoadKeyW(root, wintypes.LPCWSTR(sid), wintypes.LPCWSTR(str(place))))
    if result:
        raise OSError(None, f"{ctypes.FormatError(result).strip()} ({place})", None, result)
    try:
        yield True
    finally:
        _advapi.RegUnLoadKeyW(root, wintypes.LPCWSTR(sid))
