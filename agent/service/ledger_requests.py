"""What children ask and what guardians answer, as the ledger keeps it."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from agent.errors import NotFound, Refused
from agent.model.grant import Request
from agent.service import ledger_book as book
from agent.service.ledger_book import REQUEST, writable
from agent.service.ledger_db import Database

MAX_OPEN_REQUESTS = 20
"""Of one child."""
SAME_REQUEST = 5 * 60_000
"""Milliseconds within which the same request asked again is the same request."""
REQUEST_LIFE = 7 * 86_400_000
"""Milliseconds after which an unanswered request expires."""


class Requests:
    """The requests of an open ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, request: Request) -> Request:
        """``Store.add_request``."""
        request = replace(
            request,
            subject=writable(request.subject),
            identity=writable(request.identity),
            place=writable(request.place),
            text=writable(request.text),
        )
        waiting = list(self.read(request.child, open_only=True, limit=1000))
        stale = [r for r in waiting if request.asked - r.asked > REQUEST_LIFE]
        waiting = [r for r in waiting if r not in stale]
        for other in waiting:
            if _same(request, other):
                return other
        if len(waiting) >= MAX_OPEN_REQUESTS:
            raise Refused(
                "There are many open requests already.",
                "Wait until a guardian has answered some of them, then ask again.",
            )
        with self._db.transaction(durable=True) as connection:
            connection.executemany(
                "UPDATE request SET state = 'expired', answered = ? WHERE id = ?",
                [(request.asked, r.id) for r in stale],
            )
            connection.execute(
                f"INSERT INTO request ({REQUEST}) VALUES ({book.places(REQUEST)})", book.values(request, REQUEST)
            )
        return request

    def answer(self, ident: str, state: str, at: int, by: str, reply: str) -> Request:
        """``Store.answer_request``."""
        found = self._find(ident)
        if not found:
            raise NotFound("There is no such request.", "Look at the list of open requests.", where=ident)
        (request,) = found
        if request.state != "open":
            raise Refused(f"This request was answered already ({request.state}).", "Nothing more to do.", where=ident)
        if state not in ("granted", "refused", "expired"):
            raise ValueError(f"no such answer: {state}")
        with self._db.transaction(durable=True) as connection:
            connection.execute(
                "UPDATE request SET state = ?, answered = ?, by = ?, reply = ? WHERE id = ?",
                (state, at, by, writable(reply), ident),
            )
        return self._find(ident)[0]

    def read(self, child: str | None, *, open_only: bool, limit: int) -> tuple[Request, ...]:
        """``Store.requests``."""
        rows = self._db.ask(
            f"SELECT {REQUEST} FROM request WHERE (?1 IS NULL OR child = ?1) AND (NOT ?2 OR state = 'open') "
            "ORDER BY asked DESC, id DESC LIMIT ?3",
            (child, open_only, limit),
        )
        return tuple(book.request_of(row) for row in rows)

    def forget(self, connection: sqlite3.Connection, child: str | None, began: int) -> None:
        """Delete what was asked before ``began`` (wall ms) inside the caller's transaction.

        A child's open requests outlive the deletion of its history; of all children (``None``) none is kept.
        """
        connection.execute(
            "DELETE FROM request WHERE asked < ?2 AND (?1 IS NULL OR (child = ?1 AND state <> 'open'))", (child, began)
        )

    def _find(self, ident: str) -> list[Request]:
        return [book.request_of(row) for row in self._db.ask(f"SELECT {REQUEST} FROM request WHERE id = ?", (ident,))]


def _same(request: Request, other: Request) -> bool:
    """Whether ``other``, which is open, stands for ``request`` too."""
    if (other.kind, other.identity) != (request.kind, request.identity):
        return False
    if request.identity:
        return True
    if request.kind == "site":
        return other.subject == request.subject
    return (
        abs(request.asked - other.asked) <= SAME_REQUEST
        and other.subject == request.subject
        and (request.kind != "comment" or other.text == request.text)
    )
