"""What the service answers (DESIGN §9); what it is asked is in ``protocol``."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from agent.model.grant import Grant, Request
from agent.model.site import Said
from agent.model.verdict import Notify, Verdict


class ProgramUse(Struct, frozen=True, kw_only=True):
    """A program's use today; seconds."""

    program: str
    title: str
    seconds: int
    left: int | None = None
    counts: bool = True


class SiteTime(Struct, frozen=True, kw_only=True):
    """A site, or a group of them, with minutes of its own; seconds."""

    title: str
    seconds: int
    left: int


class ChildState(Struct, frozen=True, kw_only=True):
    """All that a face shows of a child; also ``fairtime status --json``.  Seconds, except inside ``verdict`` (ms)."""

    child: str
    verdict: Verdict
    seconds_left: int | None
    sentence: str
    """Time left and why, in one sentence."""
    said: Said | None = None
    """The same for other languages."""
    budget_today: int | None = None
    programs: tuple[ProgramUse, ...] = ()
    sites: tuple[SiteTime, ...] = ()
    allowed: tuple[str, ...] = ()
    goal: int | None = None
    requests: tuple[Request, ...] = ()
    grants: tuple[Grant, ...] = ()
    learning: str = ""
    """What the child is told while Fairtime learns which programs it uses; empty otherwise."""
    learning_said: Said | None = None


class Status(Struct, frozen=True, kw_only=True, tag="status"):
    """``role`` is what this peer is here; ``protection`` is one of ``protected``, ``partly protected``, ``not protected``
    with its reasons in ``notes``; ``policy`` is ``in force``, ``expired``, ``last known good`` or ``none``."""

    role: Literal["child", "guardian", "administrator", "nobody"]
    protection: str
    policy: str
    notes: tuple[str, ...] = ()
    children: tuple[ChildState, ...] = ()
    recording: bool = True


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome"):
    version: int
    role: str
    child: str | None = None
    product: str = "fairtime"


class Text(Struct, frozen=True, kw_only=True, tag="text"):
    """A document: agreement, summary, explanation."""

    text: str
    form: str = "text"


class Document(Struct, frozen=True, kw_only=True, tag="document"):
    """A JSON document, already encoded."""

    value: msgspec.Raw


class Requests(Struct, frozen=True, kw_only=True, tag="requests"):
    requests: tuple[Request, ...]


class Entrance(Struct, frozen=True, kw_only=True, tag="entrance"):
    """The answer to ``GetLogin``; ``sentence`` is for the child, empty when it is allowed."""

    allowed: bool
    sentence: str = ""


class Rights(Struct, frozen=True, kw_only=True, tag="rights"):
    """Rights are open for ``seconds`` on this connection."""

    seconds: int


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """It was done; ``sentence`` says what, ``id`` names what was made (a grant, a request)."""

    sentence: str
    id: str = ""
    said: Said | None = None
    """``sentence`` for other languages."""


Result = Status | Welcome | Text | Document | Requests | Entrance | Rights | Done


class Reply(Struct, frozen=True, kw_only=True, tag="reply"):
    id: int
    result: Result


class Failure(Struct, frozen=True, kw_only=True, tag="failure"):
    """The call was refused or failed; ``code`` is that of ``agent.errors``, ``retry_after`` in seconds (PIN backoff)."""

    id: int
    code: str
    title: str
    advice: str = ""
    retry_after: int | None = None
    said: Said | None = None
    """``title`` for other languages, where it has places to fill."""


class Event(Struct, frozen=True, kw_only=True, tag="event"):
    """Pushed after ``Subscribe``: a new state, or a notice to show."""

    status: Status | None = None
    notice: Notify | None = None


Message = Reply | Failure | Event
