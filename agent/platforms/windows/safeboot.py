"""Safe mode: Windows starts only what is named there, and a child who starts the PC so must find limits all the same."""

from __future__ import annotations

import sys
import winreg

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.safeboot is for Windows")

MODES = ("Minimal", "Network")
BASE = r"SYSTEM\CurrentControlSet\Control\SafeBoot"
KIND = "Service"


def register(service: str) -> None:
    """Have Windows start the service in safe mode, with and without network; as administrator."""
    for key in keys(service):
        with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_SET_VALUE) as made:
            winreg.SetValueEx(made, "", 0, winreg.REG_SZ, KIND)


def forget(service: str) -> None:
    """Take that back; success when there is nothing.  Where Windows had no list of its own (Wine), ours goes with its entry."""
    for key in keys(service):
        try:
            winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, key)
        except FileNotFoundError:
            continue
    for above in (*(rf"{BASE}\{mode}" for mode in MODES), BASE):
        if _empty(above):
            winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, above)


def registered(service: str) -> bool:
    """Whether both modes name it."""
    return all(_kind(key) == KIND for key in keys(service))


def keys(service: str) -> tuple[str, ...]:
    """The registry keys below ``HKEY_LOCAL_MACHINE``."""
    return tuple(rf"{BASE}\{mode}\{service}" for mode in MODES)


def _empty(key: str) -> bool:
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as found:
            return winreg.QueryInfoKey(found)[:2] == (0, 0)
    except FileNotFoundError:
        return False


def _kind(key: str) -> object:
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as found:
            return winreg.QueryValueEx(found, "")[0]
    except FileNotFoundError:
        return None
