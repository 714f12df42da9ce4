"""Whether an account could have put something else in the place of a file.

Every folder on the way counts: who may rename one, or take it away, decides what is at the end of the path.  In the file's own
folder nobody may add a file either: a program loads libraries from beside itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PureWindowsPath
from time import monotonic

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.permissions is for Windows")

from agent.platforms.windows.accounts import Person
from agent.platforms.windows.healthfacts import descriptor
from agent.platforms.windows.rights import ADD_FILE, CHANGE, DELETE, DELETE_CHILD, WRITE_DAC, WRITE_OWNER, may

ABOVE = DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER
BESIDE = ABOVE | ADD_FILE
_FIXED = 3
"""DRIVE_FIXED: a stick or a share may be somebody else's a moment later."""
_FRESH = 60.0
"""Seconds that a folder's answer is believed.  What the account may not change, only an administrator changes."""
_MOST = 2_048


class Permissions:
    """``protected`` takes about 50 µs for a file whose folders are known, some hundred else."""

    def __init__(self, sddl: Callable[[str], str | None] = descriptor) -> None:
        self._sddl = sddl
        self._known: OrderedDict[tuple[str, str, int], tuple[float, bool]] = OrderedDict()

    def protected(self, path: str, person: Person) -> bool:
        """Whether no part of ``path`` can be changed by this account.  False for what is on no drive of this PC."""
        file = PureWindowsPath(path)
        if len(file.drive) != 2 or not file.is_absolute() or not _fixed(file.drive):
            return False
        if not self._safe(path, person, CHANGE):
            return False
        wanted = BESIDE
        for folder in file.parents:
            if not self._folder(str(folder), person, wanted):
                return False
            wanted = ABOVE
        return True

    def _folder(self, path: str, person: Person, wanted: int) -> bool:
        key, now = (path.casefold(), person.sid, wanted), monotonic()
        at, found = self._known.get(key, (0.0, False))
        if found and now - at < _FRESH:
            return True
        found = self._safe(path, person, wanted)
        if found:
            self._known[key] = (now, True)
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return found

    def _safe(self, path: str, person: Person, wanted: int) -> bool:
        sddl = self._sddl(path)
        return sddl is not None and not may(sddl, person.sids, wanted)


def _fixed(drive: str) -> bool:
    return int(ctypes.WinDLL("kernel32").GetDriveTypeW(f"{drive}\\")) == _FIXED
