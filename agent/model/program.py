"""What runs, and who it is."""

from __future__ import annotations

from msgspec import Struct


class ProgramId(Struct, frozen=True, kw_only=True, cache_hash=True):
    """What is known of a running program.  Fields a host cannot tell are empty, never guessed.

    ``name`` is the file name of the executable (or of the script, JAR or AppImage that an interpreter runs).
    ``protected`` is True only when no component of ``path`` can be written by the account that runs it.
    """

    name: str
    path: str = ""
    sha256: str = ""
    signer: str = ""
    product: str = ""
    """What the signed file says that it is part of (Windows); nothing without ``signer``."""
    package: str = ""
    """With its kind: ``deb:mousepad``, ``rpm:…``, ``flatpak:org.x.Y``, ``snap:…``, ``appx:…``."""
    protected: bool = False
    application: bool = False
    """A program people start (it has a launcher or is a game), not the plumbing of the desktop."""
    interpreter: str = ""
    """Path of the interpreter when ``path`` is what it runs."""


class Process(Struct, frozen=True, kw_only=True):
    """One process of an account; its key is ``(pid, started)``, because pids are used again."""

    pid: int
    started: int
    """Start time in the host's own unit (Linux: clock ticks since boot): equal only for the same process."""
    parent: int
    account: str
    program: ProgramId

    @property
    def key(self) -> tuple[int, int]:
        return (self.pid, self.started)
