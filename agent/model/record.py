"""What the ledger and the audit keep besides use."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EventKind = Literal[
    "blocked",
    "asked",
    "site-blocked",
    "warned",
    "ended",
    "unobserved",
    "clock",
    "tamper",
    "account",
    "degraded",
    "disagreement",
    "lost",
    "started",
]


class LedgerEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a child or to this PC; same day, kind, subject and rule add up in ``count``."""

    at: int
    """Trusted wall milliseconds, UTC."""
    day: str
    child: str = ""
    kind: EventKind
    subject: str = ""
    rule: str = ""
    text: str = ""
    count: int = 1


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Who did what, chained: ``hash`` is SHA-256 over ``prev`` and the entry's own fields."""

    seq: int
    at: int
    actor: str
    """Account, or ``service``."""
    via: str
    """``tray``, ``cli``, ``policy``, ``service`` …"""
    action: str
    child: str = ""
    detail: str = ""
    prev: str = ""
    hash: str = ""
