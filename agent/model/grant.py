"""What a guardian gives or takes, and what a child asks for."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

GrantKind = Literal["time", "program", "site", "pause", "lock", "refusal", "site-refusal"]
Lasting = Literal["once", "today", "good"]
"""How long a yes to a program lasts: until it is closed, until the end of the policy day, until it is withdrawn."""


class Grant(Struct, frozen=True, kw_only=True):
    """One act of a guardian.

    ``time``: ``seconds`` more (or, negative, fewer) on policy day ``day``.
    ``program``/``site``: ``subject`` is permitted until ``until``; ``None`` is for good, or, with ``once``, until it is closed.
    ``refusal``: a guardian said no to the program ``subject``; it is not asked for again until ``until``.  With a subject of
    ``programanswers.ASKED`` it was asked for by name, and is not closed.
    ``site-refusal``: the same for the site ``subject``.
    ``pause``: limits rest until ``until``: nothing is charged and no session ends (a together-time); blocks still hold.
    ``lock``: the session is locked until ``until`` or until released.
    Times are trusted wall milliseconds (UTC).
    """

    id: str
    child: str
    kind: GrantKind
    seconds: int = 0
    subject: str = ""
    title: str = ""
    """What people call a program or site."""
    day: str = ""
    given: int
    until: int | None = None
    once: bool = False
    by: str
    via: str = ""
    note: str = ""


class Request(Struct, frozen=True, kw_only=True):
    """What a child asked for, and what became of it."""

    id: str
    child: str
    kind: Literal["time", "program", "site", "comment"]
    seconds: int = 0
    subject: str = ""
    identity: str = ""
    """Of a program that was held or stopped: what a permission rests on, pinned when it was seen (``sha256:…``,
    ``deb:…``, ``path:…``), so that no namesake gets the answer."""
    place: str = ""
    """Where that program lies, for the guardian's eyes."""
    text: str = ""
    asked: int
    state: Literal["open", "granted", "refused", "expired"] = "open"
    answered: int | None = None
    by: str = ""
    reply: str = ""
