"""What the service is asked, and how messages travel (DESIGN §9); what it answers is in ``answers``.

A frame is a 4-byte big-endian length and that many bytes of JSON, at most ``MAX_FRAME``.  The client sends ``Call`` and
gets exactly one ``Reply`` or ``Failure`` with the same ``id``; after ``Subscribe`` it also gets ``Event`` frames.  Every
request is a struct of its own with a tag: the decoder refuses anything else, unknown fields included.

A call is one frame.  What the service says may be longer (the page of a week): then the highest bit of a frame's length
says that the message goes on in the next one, up to ``MAX_MESSAGE`` in all (``ipc.frames``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.model.grant import Lasting
from agent.model.sitelist import ListFormat, ListName

VERSION = 1
MAX_FRAME = 64 * 1024
"""Bytes of JSON in one frame."""
PIECE = 60_000
"""Characters of a policy in one ``Install``."""
MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of JSON in one message of the service."""
MAX_CONNECTIONS = 32
TIMEOUT = 10.0
"""Seconds for a whole frame to arrive or leave."""

ShortText = Annotated[str, Meta(max_length=500)]
Ident = Annotated[str, Meta(min_length=1, max_length=256)]
Via = Literal["tray", "cli", "setup"]
Seconds = Annotated[int, Meta(ge=-86_400, le=86_400)]


class _Wire(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Hello(_Wire, frozen=True, kw_only=True, tag="hello"):
    """First call of every connection."""

    version: int = VERSION
    via: Via = "cli"


class GetStatus(_Wire, frozen=True, kw_only=True, tag="status"):
    """The state of one child (a child account: always its own), or of all (guardian)."""

    child: Ident | None = None


class GetWeek(_Wire, frozen=True, kw_only=True, tag="week"):
    """Summary of the week that holds ``day`` (ISO date; default: this week) as JSON."""

    child: Ident | None = None
    day: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    form: Literal["json", "html", "text"] = "json"


class GetAgreement(_Wire, frozen=True, kw_only=True, tag="agreement"):
    """The policy in plain language."""

    child: Ident | None = None


class GetRecorded(_Wire, frozen=True, kw_only=True, tag="recorded"):
    """Everything recorded about a child, row by row, newest first."""

    child: Ident | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 200


class GetWhy(_Wire, frozen=True, kw_only=True, tag="why"):
    """What would be decided about a program (path, catalogue id or file name) or a site now, and by which rule."""

    subject: Annotated[str, Meta(min_length=1, max_length=4096)]
    child: Ident | None = None


class GetDoctor(_Wire, frozen=True, kw_only=True, tag="doctor"):
    """State of protection of this PC."""


class GetAudit(_Wire, frozen=True, kw_only=True, tag="audit"):
    """The newest entries of the audit, and whether its chain holds."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class GetLogin(_Wire, frozen=True, kw_only=True, tag="login"):
    """Whether an account may begin a session, or open its locked screen, now.  A child is told about its own account,
    whichever it names."""

    account: Ident


class ListRequests(_Wire, frozen=True, kw_only=True, tag="requests"):
    """Open and recent requests: a child's own, or all (guardian)."""

    child: Ident | None = None


class Ask(_Wire, frozen=True, kw_only=True, tag="ask"):
    """A child asks for time, a program or a site, or comments on a rule."""

    kind: Literal["time", "program", "site", "comment"]
    seconds: Seconds = 0
    subject: ShortText = ""
    text: ShortText = ""


class SetGoal(_Wire, frozen=True, kw_only=True, tag="goal"):
    """A child's own, stricter daily goal; 0 removes it."""

    seconds: Annotated[int, Meta(ge=0, le=86_400)]


class Idle(_Wire, frozen=True, kw_only=True, tag="idle"):
    """The tray of a child's session: so long nobody has touched keyboard and mouse.  Only a hint (``core.activity``)."""

    seconds: Annotated[int, Meta(ge=0, le=86_400)]


class Subscribe(_Wire, frozen=True, kw_only=True, tag="subscribe"):
    """Send ``Event`` frames from now on: each new state and each notice of this peer's child (guardian: of all)."""


class GetLearned(_Wire, frozen=True, kw_only=True, tag="learned"):
    """Which programs a child used while Fairtime was learning: the list, or rules for the family file made of it."""

    child: Ident | None = None
    form: Literal["list", "rules"] = "list"


class Learn(_Wire, frozen=True, kw_only=True, tag="learn"):
    """Learn which programs a child uses, for ``seconds`` from now; 0 ends it.  What is only unknown may run meanwhile."""

    child: Ident
    seconds: Annotated[int, Meta(ge=0, le=28 * 86_400)]


class Prove(_Wire, frozen=True, kw_only=True, tag="prove"):
    """Open the guardian's rights for this connection with a PIN, or with the paper rescue code."""

    pin: Annotated[str, Meta(min_length=1, max_length=128)]
    rescue: bool = False


class Give(_Wire, frozen=True, kw_only=True, tag="give"):
    """A guardian's grant: time (more or fewer), a program or site for a while, a pause, or a lock."""

    child: Ident
    kind: Literal["time", "program", "site", "pause", "lock"]
    seconds: Seconds = 0
    """``time``: how much; otherwise: for how long."""
    lasting: Lasting | None = None
    """``program``: how long instead of ``seconds``."""
    subject: ShortText = ""
    note: ShortText = ""


class Release(_Wire, frozen=True, kw_only=True, tag="release"):
    """End a lock, a pause or a permission before its time."""

    grant: Ident


class Answer(_Wire, frozen=True, kw_only=True, tag="answer"):
    """Grant or refuse a child's request."""

    request: Ident
    granted: bool
    seconds: Seconds | None = None
    lasting: Lasting | None = None
    """A program: how long instead of ``seconds``."""
    reply: ShortText = ""


class SetPin(_Wire, frozen=True, kw_only=True, tag="set-pin"):
    """Change the PIN; needs open rights."""

    pin: Annotated[str, Meta(min_length=1, max_length=128)]


class AcceptClock(_Wire, frozen=True, kw_only=True, tag="accept-clock"):
    """A guardian confirms that the PC's clock is right now."""


class Install(_Wire, frozen=True, kw_only=True, tag="install"):
    """Put a signed policy (and, for a change of guardians, its root) in force.  Base64 of the exact file bytes.

    Needs no PIN: the signatures are the authority.  A policy carries the catalogue entries it names and is often longer
    than a frame: it comes in pieces on one connection, all but the last with ``more``.
    """

    policy: Annotated[str, Meta(max_length=PIECE)]
    more: bool = False


class GetLists(_Wire, frozen=True, kw_only=True, tag="lists"):
    """The site lists of this PC: what each holds, what was left out of it, and what waits for a guardian."""


class PutList(_Wire, frozen=True, kw_only=True, tag="put-list"):
    """Read a list from ``path``, a file or folder that the caller's own account can read; without one: from where it was."""

    name: ListName
    path: Annotated[str, Meta(max_length=4096, pattern="^(/[^\\x00]*)?$")]
    format: ListFormat | None = None
    """``None``: as before, or seen from the list."""
    publisher: Annotated[str, Meta(max_length=80)] | None = None
    """Whose signature it needs; ``None``: as before."""


class AcceptList(_Wire, frozen=True, kw_only=True, tag="accept-list"):
    """Put an edition in force that is less than half of the one before."""

    name: ListName


class RemoveList(_Wire, frozen=True, kw_only=True, tag="remove-list"):
    """Take a list away."""

    name: ListName


class TrustPublisher(_Wire, frozen=True, kw_only=True, tag="trust-publisher"):
    """Know a publisher of lists by its key; without one: forget it."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    key: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class DeleteHistory(_Wire, frozen=True, kw_only=True, tag="delete-history"):
    """Forget a child's ledger up to a day (the audit says that it happened)."""

    child: Ident
    until: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


Body = (
    Hello
    | GetStatus
    | GetWeek
    | GetAgreement
    | GetRecorded
    | GetWhy
    | GetDoctor
    | GetAudit
    | GetLogin
    | ListRequests
    | Ask
    | SetGoal
    | Idle
    | Subscribe
    | GetLearned
    | Learn
    | Prove
    | Give
    | Release
    | Answer
    | SetPin
    | AcceptClock
    | Install
    | DeleteHistory
    | GetLists
    | PutList
    | AcceptList
    | RemoveList
    | TrustPublisher
)


def tag_of(body: Body) -> str:
    """The tag by which the wire and ``core.authorize`` know a call."""
    return str(type(body).__struct_config__.tag)


class Call(_Wire, frozen=True, kw_only=True):
    id: Annotated[int, Meta(ge=0, le=2**53)]
    body: Body
