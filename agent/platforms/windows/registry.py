"""The registry of this PC as a ``Hive``: bytes as they stand there, and no step over a link.

winreg reads strings as Python's, which loses what another program left half written; so values go through
RegQueryValueExW and RegSetValueExW.  A key is opened component by component with REG_OPTION_OPEN_LINK, so that a link
somebody put into a hive of their own is seen as one and refused (RegOpenKeyExW).
"""

from __future__ import annotations

import ctypes
import sys
import winreg
from collections.abc import Iterator
from ctypes import wintypes
from typing import TypeAlias

if sys.platform == "win32":
    Handle: TypeAlias = winreg.HKEYType
else:  # also tells the type checker, which then skips the rest elsewhere
    Handle: TypeAlias = object
    raise ImportError("agent.platforms.windows.registry is for Windows")

from agent.platforms.windows.hive import MOST_KEYS
from agent.platforms.windows.values import Node, Value

_OPEN_LINK = 8
_LINK = 6
_LINK_NAME = "SymbolicLinkValue"
_MORE_DATA, _INSUFFICIENT_BUFFER = 234, 122
_OWNER, _GROUP, _DACL, _PROTECTED, _UNPROTECTED = 1, 2, 4, 0x80000000, 0x20000000
"""SECURITY_INFORMATION (winnt.h)."""
_SDDL = 1
_READ = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
_WRITE = winreg.KEY_READ | winreg.KEY_WRITE | winreg.KEY_WOW64_64KEY
_DELETE, _READ_CONTROL, _WRITE_DAC, _WRITE_OWNER = 0x10000, 0x20000, 0x40000, 0x80000

_advapi = ctypes.WinDLL("advapi32", use_last_error=True)
_query = _advapi.RegQueryValueExW
_query.argtypes = [
    wintypes.HKEY,
    wintypes.LPCWSTR,
    ctypes.c_void_p,
    wintypes.LPDWORD,
    ctypes.c_void_p,
    wintypes.LPDWORD,
]
_query.restype = wintypes.LONG
_set = _advapi.RegSetValueExW
_set.argtypes = [wintypes.HKEY, wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, ctypes.c_char_p, wintypes.DWORD]
_set.restype = wintypes.LONG
_nt = ctypes.WinDLL("ntdll")
_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.LocalFree.argtypes = [ctypes.c_void_p]


class Registry:
    """One root: ``winreg.HKEY_USERS`` or ``winreg.HKEY_LOCAL_MACHINE``."""

    def __init__(self, root: int) -> None:
        self._root = root

    def there(self, key: str) -> bool:
        try:
            self._open(key).Close()
        except FileNotFoundError:
            return False
        return True

    def value(self, key: str, name: str) -> Value | None:
        try:
            with self._open(key) as at:
                return _value(at, name)
        except FileNotFoundError:
            return None

    def node(self, key: str) -> Node | None:
        try:
            with self._open(key) as at:
                return _node(at, [MOST_KEYS])
        except FileNotFoundError:
            return None

    def names(self, key: str) -> tuple[str, ...]:
        try:
            with self._open(key) as at:
                return tuple(_keys(at))
        except FileNotFoundError:
            return ()

    def put(self, key: str, name: str, value: Value) -> None:
        with self._made(key) as at:
            # RegSetValueExW takes one NUL more where it finds one right behind a string that ends without.
            _check(_set(int(at), name, 0, value.kind, value.data + b"\1\1", len(value.data)), name)

    def make(self, key: str) -> None:
        self._made(key).Close()

    def drop(self, key: str, name: str) -> None:
        try:
            with self._open(key, _WRITE) as at:
                winreg.DeleteValue(at, name)
        except FileNotFoundError:
            return

    def remove(self, key: str) -> None:
        above, _, name = key.rpartition("\\")
        try:
            with self._open(above, _WRITE) as at:
                _remove(at, name)
        except FileNotFoundError:
            return

    def stamp(self, key: str) -> int | None:
        try:
            with self._open(key) as at:
                return winreg.QueryInfoKey(at)[2]
        except FileNotFoundError:
            return None

    def rights(self, key: str) -> str:
        what, size = _OWNER | _GROUP | _DACL, wintypes.DWORD(1024)
        with self._open(key) as at:
            while True:
                buffer = ctypes.create_string_buffer(size.value)
                result = int(_advapi.RegGetKeySecurity(wintypes.HKEY(int(at)), what, buffer, ctypes.byref(size)))
                if result != _INSUFFICIENT_BUFFER:
                    break
        _check(result, key)
        found = wintypes.LPWSTR()
        if not _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
            buffer, _SDDL, what, ctypes.byref(found), None
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            return found.value or ""
        finally:
            _free(found)

    def give(self, key: str, rights: str) -> None:
        made = ctypes.c_void_p()
        if not _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(rights, _SDDL, ctypes.byref(made), None):
            raise ctypes.WinError(ctypes.get_last_error())
        what = _DACL | (_PROTECTED if "D:P" in rights else _UNPROTECTED)
        access = winreg.KEY_WOW64_64KEY | _READ_CONTROL | _WRITE_DAC
        if rights.startswith("O:"):  # and G: follows
            what, access = what | _OWNER | _GROUP, access | _WRITE_OWNER
        try:
            with self._open(key, access) as at:
                _check(int(_advapi.RegSetKeySecurity(wintypes.HKEY(int(at)), wintypes.DWORD(what), made)), key)
        finally:
            _free(made)

    # ---- the way to a key ----------------------------------------------------------------------------------------

    def _open(self, key: str, access: int = _READ) -> Handle:
        return self._walk(key, access, make=False)

    def _made(self, key: str) -> Handle:
        return self._walk(key, _WRITE, make=True)

    def _walk(self, key: str, access: int, *, make: bool) -> Handle:
        names = [name for name in key.split("\\") if name]
        if not names:
            return winreg.OpenKeyEx(self._root, "", 0, access)
        at = _step(self._root, names[0], access if len(names) == 1 else _READ, make=make)
        for number, name in enumerate(names[1:], 2):
            with at:
                at = _step(at, name, access if number == len(names) else _READ, make=make)
        return at


def _step(above: Handle | int, name: str, access: int, *, make: bool) -> Handle:
    try:
        at = winreg.OpenKeyEx(above, name, _OPEN_LINK, access)
    except FileNotFoundError:
        if not make:
            raise
        return winreg.CreateKeyEx(above, name, 0, access)
    link = _value(at, _LINK_NAME) if access & winreg.KEY_QUERY_VALUE else None
    if link is not None and link.kind == _LINK:
        at.Close()
        raise PermissionError(13, f"the registry key {name} is a link, which Fairtime does not follow")
    return at


def _value(at: Handle, name: str) -> Value | None:
    kind, size = wintypes.DWORD(), wintypes.DWORD(0)
    length = 256
    while True:
        buffer = ctypes.create_string_buffer(length)
        size.value = length
        result = int(_query(int(at), name, None, ctypes.byref(kind), buffer, ctypes.byref(size)))
        if result == 2:  # ERROR_FILE_NOT_FOUND
            return None
        if result != _MORE_DATA:
            _check(result, name)
            return Value(int(kind.value), buffer.raw[: size.value])
        length = max(int(size.value), length * 2)


def _node(at: Handle, left: list[int]) -> Node:
    left[0] -= 1
    if left[0] < 0:
        raise OSError(7, "there are too many registry keys")
    values = {name: value for name in _names(at) if (value := _value(at, name)) is not None}
    keys = {}
    for name in list(_keys(at)):
        with _step(at, name, _READ, make=False) as below:
            keys[name] = _node(below, left)
    return Node(values, keys)


def _names(at: Handle) -> list[str]:
    return [winreg.EnumValue(at, index)[0] for index in range(winreg.QueryInfoKey(at)[1])]


def _keys(at: Handle) -> Iterator[str]:
    for index in range(winreg.QueryInfoKey(at)[0]):
        yield winreg.EnumKey(at, index)


def _remove(above: Handle, name: str) -> None:
    with winreg.OpenKeyEx(above, name, _OPEN_LINK, _WRITE | _DELETE) as at:
        below = list(_keys(at))
        for one in below:
            _remove(at, one)
        # RegDeleteKeyExW would follow a link; ZwDeleteKey takes what was opened.
        if status := int(_nt.NtDeleteKey(wintypes.HKEY(int(at)))):
            raise PermissionError(13, f"the registry key {name} cannot be removed (status {status & 0xFFFFFFFF:#x})")


def _free(pointer: ctypes.c_void_p | wintypes.LPWSTR) -> None:
    _kernel.LocalFree(ctypes.cast(pointer, ctypes.c_void_p))


def _check(result: int, name: str) -> None:
    if result:
        raise OSError(None, f"{ctypes.FormatError(result).strip()} ({name})", None, result)
