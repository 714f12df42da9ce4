"""What the core decides, always with its reason, and what the service must then do."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.policy import Action, Ending
from agent.model.site import Said

ConstraintKind = Literal["window", "day", "week", "month", "break", "lock", "grant", "program", "group", "hours"]


class Constraint(Struct, frozen=True, kw_only=True):
    """One limit and what it leaves; milliseconds.  ``rule`` is a stable id such as ``mia/day`` or ``mia/program:chess``."""

    kind: ConstraintKind
    rule: str
    left: int
    sentence: str
    """For the child: plain, blameless, complete."""
    said: Said | None = None
    """The same for other languages."""
    again: int | None = None
    """Trusted wall milliseconds when it will next leave time, if that is known."""


Stage = Literal["open", "grace", "up", "paused"]


class ProgramVerdict(Struct, frozen=True, kw_only=True):
    """What may happen with one program now."""

    action: Action
    rule: str
    sentence: str
    program: str
    """The ledger's key for it (catalogue id, else package, else file name)."""
    title: str
    left: int | None = None
    counts: bool = True
    groups: tuple[str, ...] = ()
    said: Said | None = None
    """``sentence`` for other languages; ``None`` where it is a guardian's own words."""


class Verdict(Struct, frozen=True, kw_only=True):
    """One child, one instant.  ``remaining`` is milliseconds, ``None`` when nothing limits."""

    child: str
    day: str
    remaining: int | None
    binding: Constraint | None
    constraints: tuple[Constraint, ...] = ()
    stage: Stage = "open"
    in_use: bool = False
    free_now: bool = False
    """Use is allowed and does not count at this hour."""
    used_today: int = 0
    granted_today: int = 0
    extra_left: int = 0
    notes: tuple[str, ...] = ()
    """Degraded states that concern this child, in words."""


class Held(Struct, frozen=True, kw_only=True):
    """A process that stands still until a guardian answers."""

    pid: int
    started: int
    since: int
    """Boot milliseconds when it was first seen to wait."""


class Ladder(Struct, frozen=True, kw_only=True):
    """How far down the ladder a child is; kept between ticks, saved with the ledger."""

    shown: tuple[int, ...] = ()
    """Notice thresholds (ms) already shown on this approach."""
    grace_from: int | None = None
    """Boot milliseconds when the grace to save began."""
    boot_id: str = ""
    was_open: bool = False
    """There was time left, and use, before it ran out: only then is there a grace to save."""
    last_warned: int = 0
    """Boot milliseconds of the last repeated warning (mode ``warn``)."""
    frozen: bool = False
    """Sessions were frozen at time-up and must be thawed when there is time again."""
    told: tuple[str, ...] = ()
    """Things told once: ``pid/start`` of a process, ``day/program`` of a program, thresholds of a program."""
    learning_from: int | None = None
    """Boot milliseconds when the minutes ran out while learning goes on: what counts gets the grace to save."""
    stopping: tuple[tuple[str, int], ...] = ()
    """Programs whose minutes ran out, and since when (boot ms)."""
    held: tuple[Held, ...] = ()
    """Programs that wait for an answer."""


NoticeKind = Literal["time", "grace", "up", "blocked", "warn", "inform", "ask", "granted", "break", "state"]


class Notify(Struct, frozen=True, kw_only=True, tag="notify"):
    """Show a notice to a child; ``kind`` lets faces choose words and urgency, ``text`` is ready to show."""

    child: str
    kind: NoticeKind
    title: str
    text: str
    left: int | None = None
    rule: str = ""
    program: str = ""
    headed: Said | None = None
    """``title`` for other languages; ``None`` where it is a name or somebody's own words."""
    said: Said | None = None
    """``text``, likewise."""


class EndSession(Struct, frozen=True, kw_only=True, tag="end"):
    """End a session the policy's way; issued again each time it is undone."""

    child: str
    session: str
    account: str
    ending: Ending
    rule: str


class Clear(Struct, frozen=True, kw_only=True, tag="clear"):
    """Stop what an account runs without a session; issued again while there is any."""

    child: str
    account: str
    rule: str


class StopProgram(Struct, frozen=True, kw_only=True, tag="stop"):
    """Stop a process and its tree: ask to close, then terminate, then kill."""

    child: str
    pid: int
    started: int
    program: str
    title: str
    rule: str
    sentence: str
    at_once: bool = False
    """A program that was never allowed to start gets no time to close."""


class Hold(Struct, frozen=True, kw_only=True, tag="hold"):
    """Let a process and its tree stand still until a guardian answers."""

    child: str
    pid: int
    started: int
    program: str
    rule: str


class AskFor(Struct, frozen=True, kw_only=True, tag="ask-for"):
    """Ask the guardians for a program in the child's name, and tell the child."""

    child: str
    program: str
    title: str
    rule: str
    identity: str
    """What an answer rests on: ``core.holding.identity_of``."""
    place: str
    sentence: str
    """For the child, once the guardians have been asked."""
    said: Said | None = None
    """The same for other languages."""


class Release(Struct, frozen=True, kw_only=True, tag="release"):
    """Let a held process go on: it may run."""

    child: str
    pid: int
    started: int


class EndGrant(Struct, frozen=True, kw_only=True, tag="end-grant"):
    """A permission for one run has been used: the program was closed."""

    child: str
    grant: str


class Thaw(Struct, frozen=True, kw_only=True, tag="thaw"):
    """Undo a freeze: there is time again."""

    child: str
    account: str


Effect = Notify | EndSession | Clear | StopProgram | Hold | AskFor | Release | EndGrant | Thaw
