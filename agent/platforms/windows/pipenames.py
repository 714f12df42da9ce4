"""What pipes are called, and how a squatted name is told.  Text only."""

from __future__ import annotations

import hashlib
from pathlib import PureWindowsPath

from agent.errors import StoreError

SERVICE = r"\\.\pipe\ProtectedPrefix\Administrators\Fairtime\service"
"""Windows lets administrators alone make a pipe below this prefix, so no child can take the name first."""
_PREFIX = "\\\\.\\pipe\\"


class NameTaken(StoreError):
    """Somebody else serves the pipe's name.  The service goes on without it, and tries again."""


def pipe_name(address: str) -> str:
    """The pipe of an address: itself, or a name of its own for a path (a trial's folder)."""
    if address.lower().startswith(_PREFIX):
        return address
    path = str(PureWindowsPath(address)).lower()
    return f"{_PREFIX}fairtime-{hashlib.sha256(path.encode()).hexdigest()[:32]}"


def taken(name: str, holder: str) -> NameTaken:
    """The error for a name that ``holder`` serves (in words; empty: the system does not say)."""
    return NameTaken(
        f"Somebody else answers in the place of Fairtime's service{f': {holder}' if holder else ''}",
        "Nobody is believed there, and limits hold.  End that program; the service takes its place within seconds.",
        where=name,
    )
