"""What a guardian gives or takes, and what a child asks for."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

GrantKind = Literal["time", "program", "site", "pause", "lock"]


class Grant(Struct, frozen=True, kw_only=True):
    """One act of a guardian.

    ``time``: ``seconds`` more (or, negative, fewer) on policy day ``day``.
    ``program``/``site``: ``subject`` is permitted until ``until``.
    ``pause``: limits rest until ``until``: nothing is charged and no session ends (a together-time); blocks still hold.
    ``lock``: the session is locked until ``until`` or until released.
    Times are trusted wall milliseconds (UTC).
    """

    id: str
    child: str
    kind: GrantKind
    seconds: int = 0
    subject: str = ""
    day: str = ""
    given: int
    until: int | None = None
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
    text: str = ""
    asked: int
    state: Literal["open", "granted", "refused", "expired"] = "open"
    answered: int | None = None
    by: str = ""
    reply: str = ""
