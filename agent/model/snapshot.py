"""What the host saw at one instant."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.program import Process

SessionKind = Literal["x11", "wayland", "mir", "tty", "windows", "quartz", "remote", "unspecified"]


class Session(Struct, frozen=True, kw_only=True):
    """A login session of an account.  Greeter sessions are never reported here.

    ``locked_hint`` and ``idle_hint`` come from the session's own programs and prove nothing alone (systemd
    ``method_set_locked_hint`` asks only for the owner).  The other fields are evidence a standard account cannot forge in
    the direction that would help it; ``None`` means unknown.
    """

    id: str
    account: str
    kind: SessionKind = "unspecified"
    active: bool = True
    """In the foreground of its seat (a remote session is always active)."""
    frozen: bool = False
    """Its programs stand still; then it is never ``active``."""
    within: str = ""
    """Not a login of its own, but programs of ``account`` in a session of this other account's (``su``)."""
    locked_hint: bool = False
    idle_hint: bool = False
    input_idle: int | None = None
    """Milliseconds since the last key, pointer, touch or gamepad event of the seat."""
    playing: bool | None = None
    """Sound is being played."""
    busy: bool | None = None
    """The account's processes use the processor as only a program in use does."""


class Mended(Struct, frozen=True, kw_only=True):
    """One of Fairtime's own files that was not as it was installed.  ``why``: what kept it from being put right."""

    path: str
    """A full path, or what else it is ("firewall table")."""
    what: str
    """The end of a sentence: ``removed``, ``changed`` …"""
    why: str = ""


class Snapshot(Struct, frozen=True, kw_only=True):
    """Sessions and processes of the accounts that the service asked about.

    ``processes`` holds every process of those accounts, and is the same tuple while nothing started or ended, so that who
    reads it need not look through it at every tick; ``complete`` is False when a scan was cut short, so that a missing
    process proves nothing.  ``degraded`` names what the host could not see this time, in words for a guardian.
    """

    sessions: tuple[Session, ...] = ()
    processes: tuple[Process, ...] = ()
    complete: bool = True
    degraded: tuple[str, ...] = ()
    mended: tuple[Mended, ...] = ()
    """Since the observation before."""
    people: int = 0
    """Another number when accounts, groups or who is logged in may have changed."""
    leftovers: tuple[str, ...] = ()
    """Accounts that run something, though they have no session: services that linger, jobs, what a session left behind."""
    held: frozenset[tuple[int, int]] = frozenset()
    """Keys of the processes that the host holds still."""
