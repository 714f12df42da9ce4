"""Where Fairtime keeps what is the PC's, and the rights that such a folder has.

ProgramData lets every user make folders in it, and whoever made one owns it.  So a folder of ours that is there before us
is taken over, owner, rights and all, and one that is a link to elsewhere is refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.paths is for Windows")

import pywintypes
import win32security
from win32com.shell import shell, shellcon

from agent.errors import StoreError
from agent.platforms.base import Places
from agent.platforms.windows import tokens, winerrors
from agent.platforms.windows.descriptors import ADMINISTRATORS, STATE, SYSTEM
from agent.platforms.windows.pipenames import SERVICE

_FILE_OBJECT = 1
_PROTECTED_DACL = -0x80000000
"""PROTECTED_DACL_SECURITY_INFORMATION, as the signed number that pywin32 takes."""
_REPARSE_POINT = 0x400


def places() -> Places:
    """As the system knows its folders: the environment is whoever's who starts a program."""
    base = known(shellcon.FOLDERID_ProgramData) / "Fairtime"
    return Places(base, Path(SERVICE), base / "family" / "family.toml")


def known(folder: str) -> Path:
    """A known folder of the shell."""
    with winerrors.told():
        return Path(str(shell.SHGetKnownFolderPath(folder, 0, None)))


def secure(folder: Path, sddl: str = STATE) -> None:
    """Make ``folder`` the system's and administrators' alone, with everything in it.  ``StoreError`` when it cannot be.

    Files that are there already are given the folder's rights: whoever made them would else still own them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *_inside(folder)):
            if _link(path):
                raise StoreError(
                    "A link stands in the state folder's place",
                    "Remove it; the service makes the folder itself.",
                    where=str(path),
                )
            _give(path, sddl, top=path == folder)
    except OSError as error:
        raise StoreError(
            f"The folder cannot be made the system's own: {error.strerror}",
            "Only an administrator can do this; is the disk full, or a file in use?",
            where=str(folder),
        ) from error


def owned_by_us(path: Path) -> bool:
    """Whether nobody but the system, administrators or this account owns it, so that nobody else can change its rights."""
    with winerrors.told():
        found = win32security.GetNamedSecurityInfo(str(path), _FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION)
        owner = win32security.ConvertSidToStringSid(found.GetSecurityDescriptorOwner())
    return owner in (SYSTEM, ADMINISTRATORS, tokens.own().sid)


def _inside(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in folder.iterdir():
        found.append(path)
        if not _link(path) and path.is_dir():
            found += _inside(path)
    return found


def _link(path: Path) -> bool:
    return bool(os.lstat(path).st_file_attributes & _REPARSE_POINT)


def _give(path: Path, sddl: str, *, top: bool) -> None:
    """The owner first, which needs no right to the thing but the privilege; as the owner one may set the rest."""
    made = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(sddl, win32security.SDDL_REVISION_1)
    name = str(path)
    with winerrors.told():
        if not owned_by_us(path) or top:
            with _privileges():
                win32security.SetNamedSecurityInfo(
                    name, _FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION,
                    made.GetSecurityDescriptorOwner(), None, None, None,
                )  # fmt: skip
        what = win32security.DACL_SECURITY_INFORMATION | _PROTECTED_DACL
        win32security.SetNamedSecurityInfo(name, _FILE_OBJECT, what, None, None, made.GetSecurityDescriptorDacl(), None)


class _privileges:  # used as a word, like the context managers of contextlib
    """The right to take and give away ownership, for as long as it lasts."""

    _NAMES = (win32security.SE_TAKE_OWNERSHIP_NAME, win32security.SE_RESTORE_NAME)

    def __enter__(self) -> None:
        self._set(win32security.SE_PRIVILEGE_ENABLED)

    def __exit__(self, *_: object) -> None:
        self._set(0)

    def _set(self, state: int) -> None:
        import win32api

        wanted = win32security.TOKEN_ADJUST_PRIVILEGES | win32security.TOKEN_QUERY
        token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), wanted)
        try:
            pairs: Any = [(win32security.LookupPrivilegeValue("", name), state) for name in self._NAMES]
            win32security.AdjustTokenPrivileges(token, False, pairs)
        except pywintypes.error as error:
            raise winerrors.os_error(error) from error
        finally:
            win32api.CloseHandle(token)
