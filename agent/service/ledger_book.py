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
    grant, at = given_of(row), row[len(GRANT.split(", "))]
    return grant if at is None else ended(grant, at)


def ended(grant: Grant, at: int) -> Grant:
    """A grant that was ended at ``at`` (trusted wall ms), unless it had ended by itself."""
    return replace(grant, until=at) if grant.until is None or at < grant.until else grant


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


def values(thing: Grant | Request, columns: str) -> Row:
    return tuple(getattr(thing, name) for name in columns.split(", "))


def places(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(", "))


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


def forget_events(connection: sqlite3.Connection, child: str | None, before: str) -> None:
    """Delete events of days before ``before`` inside the caller's transaction, of one child or (``None``) of all."""
    connection.execute("DELETE FROM event WHERE (?1 IS NULL OR child = ?1) AND day < ?2", (child, before))
