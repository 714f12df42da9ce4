"""The ledger's grants: every one in memory, found quickly, because the tick asks for those in force once a second."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from agent.errors import NotFound, StoreError
from agent.model.grant import Grant
from agent.service import ledger_book as book
from agent.service.ledger_db import Database
from agent.trust.seal import Given


class Grants:
    """The grants of an open ledger.  What was checked is what is in memory: a row written meanwhile is not taken up."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._all: dict[str, Grant] = {}
        self._ended: set[str] = set()
        self._timed: dict[str, dict[str, Grant]] = {}
        self._until: dict[str, Grant] = {}
        for row in db.ask(f"SELECT {book.GRANT}, ended FROM given ORDER BY given, id"):
            self._put(book.grant_of(row), ended=row[-1] is not None)

    def add(self, grant: Grant, seal: bytes) -> None:
        """``Store.add_grant``."""
        grant = book.fit(grant)
        known = self._all.get(grant.id)
        if known == grant:
            return
        if known is not None:
            raise StoreError("A grant with this id exists already.", "Give each grant its own id.", where=grant.id)
        with self._db.transaction(durable=True) as connection:
            connection.execute(
                f"INSERT INTO given ({book.GRANT}, seal) VALUES ({book.places(book.GRANT)}, ?)",
                (*book.values(grant, book.GRANT), seal),
            )
        self._put(grant)

    def end(self, ident: str, at: int) -> Grant:
        """``Store.end_grant``."""
        grant = self._all.get(ident)
        if grant is None:
            raise NotFound("There is no such grant.", "Look at the list of grants that are in force.", where=ident)
        if ident in self._ended:
            return grant
        with self._db.transaction(durable=True) as connection:
            connection.execute("UPDATE given SET ended = ? WHERE id = ?", (at, ident))
        ended = book.ended(grant, at)
        self._put(ended, ended=True)
        return ended

    def sealed(self) -> list[Given]:
        """``Store.sealed``."""
        rows = self._db.ask(f"SELECT {book.GRANT}, seal FROM given ORDER BY given, id")
        return [Given(grant=book.given_of(row), seal=row[-1]) for row in rows]

    def disbelieve(self, idents: Iterable[str], *, forget: bool) -> None:
        """``Store.disbelieve``."""
        gone = list(idents)
        for ident in gone:
            self._drop(ident)
        if forget:
            with self._db.transaction(durable=True) as connection:
                connection.executemany("DELETE FROM given WHERE id = ?", [(ident,) for ident in gone])

    def read(self, child: str | None, day: str | None, at: int | None) -> tuple[Grant, ...]:
        """``Store.grants``."""
        if day is None and at is None:
            found: Iterable[Grant] = self._all.values()
        else:
            found = list(self._timed.get(day, {}).values()) if day is not None else []
            if at is not None:
                found += [g for g in self._until.values() if g.until is None or g.until > at]
        chosen = [grant for grant in found if child is None or grant.child == child]
        return tuple(sorted(chosen, key=lambda grant: (grant.given, grant.id)))

    def forget(self, connection: sqlite3.Connection, child: str | None, before: str, began: int) -> None:
        """Delete what was over before day ``before``, which began at ``began`` (wall ms), inside the caller's transaction.

        ``reload`` once it is committed.
        """
        mine = "(?1 IS NULL OR child = ?1)"
        connection.execute(f"DELETE FROM given WHERE {mine} AND kind = 'time' AND day < ?2", (child, before))
        connection.execute(
            f"DELETE FROM given WHERE {mine} AND given < ?2 AND (ended IS NOT NULL OR until < ?2)", (child, began)
        )

    def reload(self) -> None:
        """After rows were deleted: from the file only what has gone is taken."""
        kept = {ident for (ident,) in self._db.ask("SELECT id FROM given")}
        for ident in self._all.keys() - kept:
            self._drop(ident)

    # ---- within ------------------------------------------------------------------------------------------------------

    def _put(self, grant: Grant, *, ended: bool = False) -> None:
        self._all[grant.id] = grant
        if ended:
            self._ended.add(grant.id)
            self._out_of_force(grant)
        elif grant.kind == "time":
            self._timed.setdefault(grant.day, {})[grant.id] = grant
        else:
            self._until[grant.id] = grant

    def _drop(self, ident: str) -> None:
        grant = self._all.pop(ident, None)
        if grant is not None:
            self._ended.discard(ident)
            self._out_of_force(grant)

    def _out_of_force(self, grant: Grant) -> None:
        self._until.pop(grant.id, None)
        self._timed.get(grant.day, {}).pop(grant.id, None)
