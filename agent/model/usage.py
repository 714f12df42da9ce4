"""What was used: rows of the ledger and the sums that decisions read.  Integer milliseconds throughout."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

ChargeKind = Literal["total", "extra", "free", "program", "group", "unobserved", "unconfirmed", "site", "site-rule"]
"""``total``: charged time. ``extra``: the part of total that a grant paid for. ``free``: in use, not counted.
``program``/``group``: running while in use, whether counted or not. ``unobserved``: the agent did not see.
``unconfirmed``: not charged on the word of a hint alone (capped).  ``site``: whole minutes in which a registrable host was
asked for, while in use; ``site-rule``: minutes on the hosts of a site rule with minutes of its own, by the rule's key."""


class Charge(Struct, frozen=True, kw_only=True):
    """``millis`` of ``kind`` (and ``key``) for a child in one local hour of one policy day."""

    child: str
    day: str
    """Policy day, ISO date in the policy's zone after its reset hour."""
    hour: int
    """Local hour of the wall clock, 0–23."""
    kind: ChargeKind
    key: str = ""
    millis: int


class DayUse(Struct, frozen=True, kw_only=True):
    """One child's sums for one policy day."""

    total: int = 0
    extra: int = 0
    programs: dict[str, int] = {}
    groups: dict[str, int] = {}
    sites: dict[str, int] = {}
    """By the key of a site rule (``core.siterules``)."""


class Usage(Struct, frozen=True, kw_only=True):
    """All that decisions need to know of a child's past, read once per tick.

    ``days`` maps policy days to sums, at least as far back as the current month and the last seven days.
    ``since`` is the first day the ledger knows; a day before it saved nothing.
    """

    child: str
    days: dict[str, DayUse] = {}
    since: str = ""
    lost: bool = False
    """The ledger of today was lost: nothing of today's budget may be taken as unused."""


class Folding(Struct, frozen=True, kw_only=True):
    """A child's running state between two observations; saved with every write so that a crash changes nothing."""

    streak: int = 0
    """Use since the last rest of break length."""
    resting: int = 0
    """Time not in use since the last use."""
    unconfirmed: int = 0
    """Length of the present run of unconfirmed idle."""
    unconfirmed_day: str = ""
    unconfirmed_today: int = 0
    in_use: bool = False
