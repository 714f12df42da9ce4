"""The ledger: what was used, what was given, asked and seen to happen.  The service is its only reader and writer.

Use it from one thread.  Sums and grants in force are kept in memory, so the tick asks no database.

*Nothing is lost.*  ``record`` and ``add_event`` first add to memory and to what is pending, then write all that is
pending in one transaction.  When the disk is full or cannot be written they raise ``StoreError``; sums stay right, and
what is pending is written with the next call that succeeds.

*How much a crash costs.*  A committed transaction survives the end of the process, ``kill -9`` included.  With
``synchronous = NORMAL`` the file is synced at checkpoints only, so a power cut could take minutes; therefore a write at
least every 30 s, and every act of a person, is synced (``FULL``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import StoreError
from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge, Usage
from agent.service import ledger_book as book
from agent.service import ledger_files as files
from agent.service.ledger_db import Database
from agent.service.ledger_files import Condition
from agent.service.ledger_grants import Grants
from agent.service.ledger_pending import Pending
from agent.service.ledger_requests import Requests
from agent.service.ledger_sums import window_start
from agent.service.ledger_use import Use
from agent.trust.seal import Given


class Store:
    """An open ledger."""

    def __init__(self, folder: Path, opened: files.Opened) -> None:
        self.folder = folder
        self.path = folder / files.LEDGER
        self.condition: Condition = opened.condition
        """``ok``, ``new``, ``restored`` (from a backup) or ``lost``, as found when it was opened."""
        self.advice = opened.advice
        self._db = Database(folder, opened.connection)
        self._pending = Pending()
        self._use = Use(self._db, self._pending)
        self._grants = Grants(self._db)
        self._requests = Requests(self._db)

    @classmethod
    def open(cls, folder: Path, *, machine_id: str) -> Store:
        """Open or begin the ledger in ``folder`` (made 0700; never through a symbolic link).

        A damaged, deleted or foreign ledger is set aside or replaced, and ``condition`` says so; today then counts as
        lost (``Usage.lost``).  Raises ``StoreError`` when it is in use, cannot be written, or is of a newer version.
        """
        folder = Path(os.path.abspath(folder))
        opened = files.open_ledger(folder, machine_id)
        try:
            return cls(folder, opened)
        except StoreError:
            opened.connection.close()
            raise

    def close(self) -> None:
        """Write what is pending and close.  Closed even when the writing fails (then it raises ``StoreError``)."""
        try:
            if self.pending:
                self.flush()
        finally:
            self._db.close()

    # ---- use ---------------------------------------------------------------------------------------------------------

    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None:
        """Add charges and replace states, in one transaction.  Raises ``StoreError`` and keeps them when it cannot."""
        self._use.add(charges)
        self._pending.states.update(states)
        if self.pending:
            self.flush()

    @property
    def pending(self) -> int:
        """Charges, states, events and marks that are not written yet; 0 unless writing failed."""
        return len(self._pending)

    def flush(self) -> None:
        """Write what is pending, all or nothing."""
        try:
            if self._db.put_back():
                self._pending.events.append(
                    LedgerEvent(
                        at=int(time.time() * 1000),
                        day=self._use.today,
                        kind="tamper",
                        subject="ledger",
                        text="The ledger was deleted or replaced while in use; it was put back whole.",
                    )
                )
            with self._db.transaction(durable=self._db.sync_due) as connection:
                self._pending.write(connection)
        except StoreError:
            self._pending.bound()
            raise
        self._pending.clear()

    def state(self, key: str) -> bytes | None:
        """What ``record`` last saved under ``key``."""
        if key in self._pending.states:
            return self._pending.states[key]
        row = self._db.ask("SELECT value FROM state WHERE key = ?", (key,))
        return bytes(row[0][0]) if row else None

    def usage(self, child: str, today: str) -> Usage:
        """Sums since the start of the month and for at least the eight days before ``today``, from memory."""
        return self._use.usage(child, today)

    def accept_loss(self) -> None:
        """A guardian knows of the loss: from now on today counts only what the ledger holds."""
        self._use.accept_loss()
        self.flush()

    def rows(self, child: str, first_day: str, last_day: str) -> list[Charge]:
        """Every charge of a child from ``first_day`` to ``last_day``, both included, in order; pending ones too."""
        return self._use.rows(child, first_day, last_day)

    # ---- grants ------------------------------------------------------------------------------------------------------

    def add_grant(self, grant: Grant, seal: bytes = b"") -> None:
        """Enter a guardian's grant with its signature; the same grant twice is once.  Synced before it returns.

        A service that finds a grant without ``seal`` when it opens the ledger does not believe it (``service.seals``).
        """
        self._grants.add(grant, seal)

    def end_grant(self, ident: str, at: int) -> Grant:
        """End a grant now (``at``: trusted wall ms); one that has ended stays as it is.  ``NotFound`` if unknown."""
        return self._grants.end(ident, at)

    def sealed(self) -> list[Given]:
        """Every grant as it was given, with its seal, as the file holds it."""
        return self._grants.sealed()

    def disbelieve(self, idents: Iterable[str], *, forget: bool) -> None:
        """These grants do not count; ``forget``: they never did, and leave the ledger."""
        self._grants.disbelieve(idents, forget=forget)

    def grants(self, child: str | None = None, *, day: str | None = None, at: int | None = None) -> tuple[Grant, ...]:
        """Grants in force: those of time on policy day ``day``, the others at ``at`` (trusted wall ms), oldest first.

        With neither, every grant that the ledger holds, ended ones too.
        """
        return self._grants.read(child, day, at)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def add_request(self, request: Request) -> Request:
        """Enter what a child asks; returns the open request that stands for it.

        The same thing asked again within five minutes is the same request, and a program whose identity is known is asked
        for once as long as nobody has answered.  ``Refused`` with 20 open ones; a request that
        nobody answers expires after seven days.
        """
        return self._requests.add(request)

    def answer_request(self, ident: str, state: str, at: int, by: str, reply: str) -> Request:
        """Answer an open request (``state``: ``granted``, ``refused`` or ``expired``).

        ``NotFound`` if unknown, ``Refused`` if it was answered before: two guardians must not grant the same twice.
        """
        return self._requests.answer(ident, state, at, by, reply)

    def requests(self, child: str | None = None, *, open_only: bool = False, limit: int = 100) -> tuple[Request, ...]:
        """Requests of a child or of all, newest first."""
        return self._requests.read(child, open_only=open_only, limit=limit)

    # ---- events ------------------------------------------------------------------------------------------------------

    def add_event(self, event: LedgerEvent) -> None:
        """Enter an event; the same day, kind, subject and rule add up, with the latest time and text."""
        self._pending.events.append(event)
        self.flush()

    def events(self, child: str, first_day: str, last_day: str) -> list[LedgerEvent]:
        """Events of a child (empty: of the PC) from ``first_day`` to ``last_day``, both included, in order of time."""
        rows = self._db.ask(
            f"SELECT {book.EVENT} FROM event WHERE child = ? AND day BETWEEN ? AND ? ORDER BY at, kind, subject, rule",
            (child, first_day, last_day),
        )
        waiting = [e for e in self._pending.events if e.child == child and first_day <= e.day <= last_day]
        return [book.event_of(row) for row in rows] + waiting

    # ---- keeping and forgetting --------------------------------------------------------------------------------------

    def forget(self, before_day: str) -> None:
        """Forget what is older than ``before_day``.

        Only the bare totals of days that a running limit still needs (this month) stay, without hours or programs.
        """
        self._forget(None, before_day, max(self._use.today, _days_on(before_day, 7)))
        files.drop_copies(self.folder, older_than=_began(before_day) // 1000)

    def delete_history(self, child: str, until_day: str) -> None:
        """Delete a child's history up to ``until_day``, included, also from backups.

        Today is not history yet: its rows stay, as do the bare totals of this month's days, or limits would begin afresh.
        """
        if self.pending:
            self.flush()
        today = self._use.today
        last = _days_on(until_day, 1)
        before = min(last, today) if today else last
        self._forget(child, before, today or before)
        self._db.renew_copies()

    def export(self, child: str) -> dict[str, Any]:
        """All that the ledger holds about a child, as values that JSON can carry; times are milliseconds."""
        every = ("", "9999-12-31")
        return {
            "child": child,
            "since": self._use.known_since(child),
            "use": msgspec.to_builtins(self.rows(child, *every)),
            "grants": msgspec.to_builtins(self.grants(child)),
            "requests": msgspec.to_builtins(self.requests(child, limit=-1)),
            "events": msgspec.to_builtins(self.events(child, *every)),
        }

    def backup(self, keep: int = 7) -> Path:
        """Copy the ledger while it is open; keeps the newest ``keep`` copies."""
        if self.pending:
            self.flush()
        return self._db.backup(keep)

    def _forget(self, child: str | None, before: str, today: str) -> None:
        """Delete days before ``before``, but not what limits of ``today`` look at; of one child or (``None``) of all."""
        with self._db.transaction(durable=True) as connection:
            self._use.forget(connection, child, before, window_start(today))
            book.forget_events(connection, child, before)
            self._grants.forget(connection, child, before, _began(before))
            self._requests.forget(connection, child, _began(before))
        self._use.reload()
        self._grants.reload()


def _days_on(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _began(day: str) -> int:
    """Wall ms; near enough for what is weeks old, whatever the zone."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
