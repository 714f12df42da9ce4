"""Grants, requests and events of the ledger: how they become rows and come back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent

Row = tuple[Any, ...]

GRANT = "id, child, kind, seconds, subject, title, day, given, until, once, by, via, note"
REQUEST = "id, child, kind, seconds, subject, identity, place, text, asked, state, answered, by, reply"
EVENT = "child, day, kind, subject, rule, at, text, count"

MAX_OPEN_REQUESTS = 20
SAME_REQUEST = 5 * 60_000
"""Milliseconds within which the same request asked again is the same request."""
REQUEST_LIFE = 7 * 86_400_000
"""Milliseconds after which an unanswered request expires."""
MAX_EVENT_ROWS = 200
"""Different things to happen to one child on one day; what goes beyond adds up in one row per kind, ``OTHERS``."""
OTHERS = "(others)"
MAX_TEXT = 500


def writable(text: str) -> str:
    """Text as the ledger can keep it: short, and without the lone surrogates that stand for bytes of a file name that are
    not UTF-8 (PEP 383).  One program with such a name must not stop the ledger."""
    text = text[:MAX_TEXT]
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def given_of(row: Row) -> Grant:
    """The grant as it was given; ``row`` begins with ``GRANT``."""
    fields = dict(zip(GRANT.split(", "), row, strict=False))
    fields["once"] = bool(fields["once"])
    return Grant(**fields)


def grant_of(row: Row) -> Grant:
    """``row`` holds ``GRANT`` and then ``ended``; a grant that was ended shows when in ``until``."""
    grant, ended = given_of(row), row[len(GRANT.split(", "))]
    if ended is not None and (grant.until is None or ended < grant.until):
        return replace(grant, until=ended)
    return grant


def request_of(row: Row) -> Request:
    return Request(**dict(zip(REQUEST.split(", "), row, strict=True)))


def event_of(row: Row) -> LedgerEvent:
    return LedgerEvent(**dict(zip(EVENT.split(", "), row, strict=True)))


def fit(grant: Grant) -> Grant:
    """A grant as the ledger can keep it: what is signed is what comes back."""
    return replace(
        grant,
        subject=writable(grant.subject),
        title=writable(grant.title),
        note=writable(grant.note),
        by=writable(grant.by),
        via=writable(grant.via),
    )


def same(request: Request, other: Request) -> bool:
    """Whether ``other``, which is open, stands for ``request`` too."""
    if (other.kind, other.identity) != (request.kind, request.identity):
        return False
    if request.identity:
        return True
    return (
        abs(request.asked - other.asked) <= SAME_REQUEST
        and other.subject == request.subject
        and (request.kind != "comment" or other.text == request.text)
    )


def values(thing: Grant | Request, columns: str) -> Row:
    return tuple(getattr(thing, name) for name in columns.split(", "))


def places(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(", "))


class Grants:
    """Every grant in memory, found quickly: the tick asks for those in force once a second."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._all: dict[str, Grant] = {}
        self._ended: set[str] = set()
        self._timed: dict[str, dict[str, Grant]] = {}
        self._until: dict[str, Grant] = {}
        for row in rows:
            self.put(grant_of(row), ended=row[-1] is not None)

    def drop(self, ident: str) -> None:
        grant = self._all.pop(ident, None)
        if grant is not None:
            self._ended.discard(ident)
            self._until.pop(ident, None)
            self._timed.get(grant.day, {}).pop(ident, None)

    def ids(self) -> frozenset[str]:
        return frozenset(self._all)

    def get(self, ident: str) -> Grant | None:
        return self._all.get(ident)

    def ended(self, ident: str) -> bool:
        return ident in self._ended

    def put(self, grant: Grant, *, ended: bool = False) -> None:
        self._all[grant.id] = grant
        if ended:
            self._ended.add(grant.id)
            self._until.pop(grant.id, None)
            self._timed.get(grant.day, {}).pop(grant.id, None)
        elif grant.kind == "time":
            self._timed.setdefault(grant.day, {})[grant.id] = grant
        else:
            self._until[grant.id] = grant

    def read(self, child: str | None, day: str | None, at: int | None) -> tuple[Grant, ...]:
        if day is None and at is None:
            found: Iterable[Grant] = self._all.values()
        else:
            found = list(self._timed.get(day, {}).values()) if day is not None else []
            if at is not None:
                found += [g for g in self._until.values() if g.until is None or g.until > at]
        chosen = [grant for grant in found if child is None or grant.child == child]
        return tuple(sorted(chosen, key=lambda grant: (grant.given, grant.id)))


def add_events(connection: sqlite3.Connection, events: Iterable[LedgerEvent]) -> None:
    """Write events inside the caller's transaction; the same day, kind, subject and rule add up."""
    for event in events:
        key = (event.child, event.day, event.kind, writable(event.subject), writable(event.rule))
        known = connection.execute(
            "SELECT 1 FROM event WHERE child = ? AND day = ? AND kind = ? AND subject = ? AND rule = ?", key
        ).fetchone()
        if not known:
            (rows,) = connection.execute(
                "SELECT count(*) FROM event WHERE child = ? AND day = ?", (event.child, event.day)
            ).fetchone()
            if rows >= MAX_EVENT_ROWS:
                # A child who starts ten thousand renamed programs must not be able to fill the disk.
                key = (event.child, event.day, event.kind, OTHERS, "")
        connection.execute(
            f"INSERT INTO event ({EVENT}) VALUES ({places(EVENT)}) ON CONFLICT (child, day, kind, subject, rule) "
            "DO UPDATE SET at = excluded.at, text = excluded.text, count = count + excluded.count",
            (*key, event.at, writable(event.text), event.count),
        )
