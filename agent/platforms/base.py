"""What every operating system must offer: ``Host`` to the service, ``Desk`` to the tray.

Callers ask for a ``Capability`` instead of asking which system it is.  What is absent is reported, never pretended.
A host method either does what it says or raises ``HostError``; a thing that is already gone is success.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.clock import Clock
from agent.filter.control import Ask, Outcome, Served, Trouble, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Snapshot


class Capability(enum.StrEnum):
    """Lanes of enforcement and sight (DESIGN §8)."""

    SCAN = "scan"
    START_EVENTS = "start-events"
    EXEC_GATE = "exec-gate"
    SESSIONS = "sessions"
    LOGIN = "login"
    LOCK = "lock"
    LOGOUT = "logout"
    FREEZE = "freeze"
    HOLD = "hold"
    INPUT_EVIDENCE = "input-evidence"
    SOUND_EVIDENCE = "sound-evidence"
    SITES_DNS = "sites-dns"
    SITES_BROWSER = "sites-browser"
    SELF_DEFENCE = "self-defence"


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether a capability is there; ``why`` says what is missing and what to do, for a guardian."""

    capability: Capability
    present: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: str
    """Linux and macOS: the number; Windows: the SID."""
    administrator: bool
    home: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``fairtime doctor``: a state of this PC that weakens protection, with its fix."""

    id: str
    severity: str
    """``ok``, ``note``, ``weak`` (a child may get around something) or ``open`` (no claim of protection)."""
    title: str
    advice: str = ""
    child: str = ""
    program: str = ""
    """What it is about: a path for ``Host.identify``, or a package (``flatpak:…``).  Told while a child may start that."""


class Start(enum.Enum):
    """The answer to a program that starts."""

    SETTLED = "settled"
    """It may run, and this file may for this account until ``unsettle`` says otherwise: no need to ask again."""
    ALLOW = "allow"
    """It may run now; ask again at the next start."""
    HOLD = "hold"
    """It stands still until ``release`` or ``stop``."""
    DENY = "deny"
    """It may not run: denied before its first instruction where the system can do that, else killed at once."""


def let_in(_: str) -> Start:
    """The usual ``otherwise`` of ``Host.on_start``."""
    return Start.ALLOW


@dataclass(frozen=True, slots=True)
class Places:
    """Where the one service of a PC keeps its state and listens, and where the family's file is."""

    state: Path
    socket: Path
    family: Path


class Resolver(Protocol):
    """The process that answers children's questions for names, kept running.

    ``why`` says in words for a guardian why no name resolves for the children now, and is empty when they do; ``served`` is
    where each child is served, from which alone the firewall may be written; ``troubles`` are what is not as it should be.
    """

    why: str
    served: tuple[Served, ...]
    troubles: tuple[Trouble, ...]

    def open(self) -> None:
        """Begin; returns at once."""

    async def close(self) -> None:
        """End it."""

    def serve(self, lanes: Sequence[SiteLane], upstreams: Sequence[str]) -> None:
        """These children, and nobody else, from now on, asking these name servers; a port of 0 is the one before, or any."""

    def lists(self, book: Path | None) -> None:
        """The compiled lists are in this file from now on (``None``: there are none); until then nothing resolves."""

    def answered(self, number: int, outcome: Outcome) -> None:
        """What became of an ``Ask``."""


class Host(Protocol):
    """The operating system as the service sees it.  All calls are quick (milliseconds) except where they say otherwise."""

    @property
    def clock(self) -> Clock:
        """The machine's clocks."""
        ...

    async def open(self, wake: Callable[[], None]) -> None:
        """Connect to the system's event sources.  ``wake`` is called (from the loop) when something changed that should
        not wait for the next tick: a session appeared, unlocked or resumed, or a process of a watched account started."""

    async def close(self) -> None: ...

    def watch(self, accounts: Collection[str]) -> None:
        """Whose sessions and processes ``observe`` reports; unknown names are ignored (see ``accounts``)."""

    async def observe(self) -> Snapshot: ...

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        """Call ``decide`` for each new process image of a watched account as early as the host can see it, outside the
        tick, and do as it answers.  ``decide`` must be quick and must not do I/O.  A program may be asked about before it
        starts and again after: then ``pid`` is that of the process that is about to become it.

        ``otherwise(account)`` is the answer for an unknown program when ``decide`` cannot be asked in time; it is asked
        anew at each ``watch`` and ``unsettle``."""

    async def in_place(self) -> None:
        """Returns when programs are asked about as early as this host was told to ask: at once where nothing has to begin
        first.  It may be never; who waits sets a limit.  After ``on_start``."""

    def unsettle(self) -> None:
        """Answers may have changed (a new policy, a grant, another hour): forget every ``Start.SETTLED`` at once."""

    async def hold(self, pid: int, started: int) -> None:
        """Let a process and its tree stand still, as ``Start.HOLD`` does, whatever its own account does to let it go on;
        success when it is held already or gone.  What is held is in ``Snapshot.held`` until it is released or stopped."""

    async def release(self, pid: int, started: int) -> None:
        """Let a held process and its tree go on; success when it is gone or was not held."""

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        """Stop a process and its whole tree: ask to close, terminate after 2 s, kill after 5 s; ``at_once`` kills now.
        Returns when the first step is done; the rest follows on the loop.  Never touches a reused pid."""

    async def end_session(self, session: str, ending: Ending) -> None:
        """Lock, log out or freeze; raises ``HostError`` when the system cannot, so that the caller can fall back.

        *Lock*: a session that says it is locked already is put behind the login screen.  *Log out*: everything the session
        runs is gone within 5 s, and when it was the account's last one, everything the account runs.  *Freeze*: everything
        the account runs stands still, and the seat is free for others; ``close`` thaws."""

    async def clear(self, account: str) -> None:
        """Stop what an account runs outside its sessions (services, jobs, what a session left behind), like ``stop``;
        success when there is nothing."""

    async def thaw(self, account: str) -> None:
        """Undo a freeze; success when nothing was frozen."""

    async def guard_logins(self, children: Collection[str]) -> None:
        """From now on the system asks the service before one of these accounts begins a session, and before nobody else
        does; ``HostError`` when it cannot.  May take a moment."""

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        """Where the system denies programs by rules of its own: let it deny what these do, in the place of those before, until
        the next call, also while the service does not run.  Elsewhere nothing: ``on_start`` is asked about each.

        ``HostError`` when it cannot: then what may not run is stopped right after its start.  May take some seconds."""

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        """Let names, browsers and firewall of this PC agree with these lanes at once, in the place of those before, and
        keep them so until ``close``: what somebody changes is put right within 5 s.  Accounts in no lane are left alone.

        ``HostError`` when something cannot be had: all the rest is in force, and ``abilities`` say what is missing."""

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        """A resolver for the children, not yet open; ``None`` where sites are not filtered by this service.  ``heard`` gets
        what it saw, ``changed`` is called when one of its fields did."""

    def name_servers(self) -> tuple[str, ...]:
        """Addresses of the name servers that this PC asks, as ``filter.control.Serve`` writes them."""

    def accounts(self) -> tuple[Account, ...]:
        """People's accounts on this PC (no system accounts)."""

    def abilities(self) -> tuple[Ability, ...]: ...

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        """What about this PC weakens protection for these accounts.  May take a second."""

    def identify(self, path: str) -> Process | None:
        """What ``path`` would be if the first watched account ran it; ``None`` when there is no such program."""

    def machine_id(self) -> str:
        """A stable id of this machine, for device-bound policies."""


class Desk(Protocol):
    """The desktop of the person in front of the screen, as the tray sees it."""

    def tray_available(self) -> bool: ...

    def why_no_tray(self) -> str:
        """Words for the person when ``tray_available`` is False; empty otherwise."""

    def scale(self) -> float:
        """Pixel density of the panel, 1.0 = 96 dpi."""

    def prepare(self) -> str:
        """Make the system's own toolkit importable for the tray; words about what is missing otherwise."""

    def claim(self) -> bool:
        """Whether this process is the only tray of this person's session; the claim ends with the process."""

    def folder(self) -> Path:
        """A folder that only this person can read, for pictures and pages of this session."""

    def languages(self) -> tuple[str, ...]:
        """The languages this person reads, the best liked first, as names of locales or language tags; empty where the system
        does not say."""

    def open_page(self, path: Path) -> bool:
        """Open an HTML page in the person's browser; False when there is none."""


class Supervisor(Protocol):
    """Whoever started the service and wants to know how it is (systemd); without one, every call does nothing."""

    interval: float | None
    """Seconds within which a sign of life is wanted; ``None`` when nobody waits for one."""

    def ready(self, status: str = "") -> bool: ...

    def alive(self, status: str = "") -> bool: ...

    def stopping(self) -> bool: ...

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` when the service is to end, from any thread; at once when that is wanted already."""
