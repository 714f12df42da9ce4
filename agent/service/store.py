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

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import NotFound, Refused, StoreError
from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge, DayUse, Usage
from agent.service import ledger_book as book
from agent.service import ledger_files as files
from agent.service.ledger_files import Condition
from agent.service.ledger_sums import Sums, window_start
from agent.trust.seal import Given

OVER = "over"
"""In place of the day of a loss: a guardian knows of it."""
SYNC_EVERY = 30.0
"""Seconds between synced writes at the least."""
MAX_PENDING = 20_000
"""Different charges kept while nothing can be written; beyond it hours of a day are put together (totals stay exact)."""

_MOST = 366 * 86_400_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ChargeKey = tuple[str, str, int, str, str]
_CHARGE = (
    "INSERT INTO charge (child, day, hour, kind, key, millis) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (child, day, hour, kind, key) DO UPDATE SET millis = millis + excluded.millis"
)
_STATE = "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
_LIMITS = "kind IN ('total', 'extra')"


class Store:
    """An open ledger."""

    def __init__(self, folder: Path, opened: files.Opened) -> None:
        self.folder = folder
        self.path = folder / files.LEDGER
        self.condition: Condition = opened.condition
        """``ok``, ``new``, ``restored`` (from a backup) or ``lost``, as found when it was opened."""
        self.advice = opened.advice
        self._db = opened.connection
        self._inode = self.path.stat().st_ino
        self._synced = float("-inf")
        self._charges: dict[_ChargeKey, int] = {}
        self._states: dict[str, bytes] = {}
        self._events: list[LedgerEvent] = []
        self._new_meta: dict[str, str] = {}
        self._sums: dict[str, Sums] = {}
        self._usage: dict[str, tuple[Usage, dict[str, DayUse]]] = {}
        self._today = ""
        self._meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
        self._given = self._load_grants()

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
        except sqlite3.Error as error:
            opened.connection.close()
            raise files.explain(error, folder / files.LEDGER) from error

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
        for charge in charges:
            if not (0 <= charge.millis <= _MOST and 0 <= charge.hour <= 23 and _DAY.fullmatch(charge.day)):
                raise ValueError(f"a charge is a time of at least 0 ms in an hour from 0 to 23 of a day, not {charge}")
            if charge.millis == 0:
                continue
            name = book.writable(charge.key)
            key = (charge.child, charge.day, charge.hour, charge.kind, name)
            self._charges[key] = self._charges.get(key, 0) + charge.millis
            sums = self._sums.get(charge.child)
            if sums is not None:
                sums.add(charge.day, charge.kind, name, charge.millis)
        self._states.update(states)
        if self.pending:
            self.flush()

    @property
    def pending(self) -> int:
        """Charges, states, events and marks that are not written yet; 0 unless writing failed."""
        return len(self._charges) + len(self._states) + len(self._events) + len(self._new_meta)

    def flush(self) -> None:
        """Write what is pending, all or nothing."""
        try:
            self._still_in_place()
            with self._transaction(durable=time.monotonic() - self._synced >= SYNC_EVERY):
                self._db.executemany(_CHARGE, [(*key, millis) for key, millis in self._charges.items()])
                self._db.executemany(_STATE, list(self._states.items()))
                self._db.executemany(_META, list(self._new_meta.items()))
                book.add_events(self._db, self._events)
        except StoreError:
            self._bound_pending()
            raise
        self._charges.clear()
        self._states.clear()
        self._events.clear()
        self._new_meta.clear()

    def state(self, key: str) -> bytes | None:
        """What ``record`` last saved under ``key``."""
        if key in self._states:
            return self._states[key]
        row = self._ask("SELECT value FROM state WHERE key = ?", (key,))
        return bytes(row[0][0]) if row else None

    def usage(self, child: str, today: str) -> Usage:
        """Sums since the start of the month and for at least the eight days before ``today``, from memory."""
        self._today = today
        sums = self._sums.get(child)
        first = window_start(today)
        if sums is None or first < sums.first:
            sums = self._load_sums(child, first)
        elif first > sums.first and not first.startswith(sums.first[:7]):
            sums = self._load_sums(child, first)  # a new month: let the old one go
        days = sums.read()
        since, lost = self._since(child, today), self._lost(today)
        held = self._usage.get(child)
        if held is not None and held[1] is days and held[0].since == since and held[0].lost == lost:
            return held[0]
        usage = Usage(child=child, days=days, since=since, lost=lost)
        self._usage[child] = (usage, days)
        return usage

    def accept_loss(self) -> None:
        """A guardian knows of the loss: from now on today counts only what the ledger holds."""
        self._set_meta("lost", OVER)
        self.flush()

    def rows(self, child: str, first_day: str, last_day: str) -> list[Charge]:
        """Every charge of a child from ``first_day`` to ``last_day``, both included, in order; pending ones too."""
        found: dict[_ChargeKey, int] = {
            (child, day, hour, kind, key): millis
            for day, hour, kind, key, millis in self._ask(
                "SELECT day, hour, kind, key, millis FROM charge WHERE child = ? AND day BETWEEN ? AND ?",
                (child, first_day, last_day),
            )
        }
        for charge, millis in self._charges.items():
            if charge[0] == child and first_day <= charge[1] <= last_day:
                found[charge] = found.get(charge, 0) + millis
        return [_charge(key, found[key]) for key in sorted(found)]

    # ---- grants ------------------------------------------------------------------------------------------------------

    def add_grant(self, grant: Grant, seal: bytes = b"") -> None:
        """Enter a guardian's grant with its signature; the same grant twice is once.  Synced before it returns.

        A service that finds a grant without ``seal`` when it opens the ledger does not believe it (``service.seals``).
        """
        grant = book.fit(grant)
        known = self._given.get(grant.id)
        if known == grant:
            return
        if known is not None:
            raise StoreError("A grant with this id exists already.", "Give each grant its own id.", where=grant.id)
        with self._transaction(durable=True):
            self._db.execute(
                f"INSERT INTO given ({book.GRANT}, seal) VALUES ({book.places(book.GRANT)}, ?)",
                (*book.values(grant, book.GRANT), seal),
            )
        self._given.put(grant)

    def end_grant(self, ident: str, at: int) -> Grant:
        """End a grant now (``at``: trusted wall ms); one that has ended stays as it is.  ``NotFound`` if unknown."""
        grant = self._given.get(ident)
        if grant is None:
            raise NotFound("There is no such grant.", "Look at the list of grants that are in force.", where=ident)
        if self._given.ended(ident):
            return grant
        with self._transaction(durable=True):
            self._db.execute("UPDATE given SET ended = ? WHERE id = ?", (at, ident))
        ended = grant if grant.until is not None and grant.until <= at else msgspec.structs.replace(grant, until=at)
        self._given.put(ended, ended=True)
        return ended

    def sealed(self) -> list[Given]:
        """Every grant as it was given, with its seal, as the file holds it."""
        rows = self._ask(f"SELECT {book.GRANT}, seal FROM given ORDER BY given, id")
        return [Given(grant=book.given_of(row), seal=row[-1]) for row in rows]

    def disbelieve(self, idents: Iterable[str], *, forget: bool) -> None:
        """These grants do not count; ``forget``: they never did, and leave the ledger."""
        gone = list(idents)
        for ident in gone:
            self._given.drop(ident)
        if forget:
            with self._transaction(durable=True):
                self._db.executemany("DELETE FROM given WHERE id = ?", [(ident,) for ident in gone])

    def grants(self, child: str | None = None, *, day: str | None = None, at: int | None = None) -> tuple[Grant, ...]:
        """Grants in force: those of time on policy day ``day``, the others at ``at`` (trusted wall ms), oldest first.

        With neither, every grant that the ledger holds, ended ones too.
        """
        return self._given.read(child, day, at)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def add_request(self, request: Request) -> Request:
        """Enter what a child asks; returns the open request that stands for it.

        The same thing asked again within five minutes is the same request, and a program whose identity is known is asked
        for once as long as nobody has answered.  ``Refused`` with 20 open ones; a request that
        nobody answers expires after seven days.
        """
        request = msgspec.structs.replace(
            request,
            subject=book.writable(request.subject),
            identity=book.writable(request.identity),
            place=book.writable(request.place),
            text=book.writable(request.text),
        )
        waiting = list(self.requests(request.child, open_only=True, limit=1000))
        stale = [r for r in waiting if request.asked - r.asked > book.REQUEST_LIFE]
        waiting = [r for r in waiting if r not in stale]
        for other in waiting:
            if book.same(request, other):
                return other
        if len(waiting) >= book.MAX_OPEN_REQUESTS:
            raise Refused(
                "There are many open requests already.",
                "Wait until a guardian has answered some of them, then ask again.",
            )
        with self._transaction(durable=True):
            self._db.executemany(
                "UPDATE request SET state = 'expired', answered = ? WHERE id = ?",
                [(request.asked, r.id) for r in stale],
            )
            self._db.execute(
                f"INSERT INTO request ({book.REQUEST}) VALUES ({book.places(book.REQUEST)})",
                book.values(request, book.REQUEST),
            )
        return request

    def answer_request(self, ident: str, state: str, at: int, by: str, reply: str) -> Request:
        """Answer an open request (``state``: ``granted``, ``refused`` or ``expired``).

        ``NotFound`` if unknown, ``Refused`` if it was answered before: two guardians must not grant the same twice.
        """
        rows = self._ask(f"SELECT {book.REQUEST} FROM request WHERE id = ?", (ident,))
        if not rows:
            raise NotFound("There is no such request.", "Look at the list of open requests.", where=ident)
        request = book.request_of(rows[0])
        if request.state != "open":
            raise Refused(f"This request was answered already ({request.state}).", "Nothing more to do.", where=ident)
        if state not in ("granted", "refused", "expired"):
            raise ValueError(f"no such answer: {state}")
        with self._transaction(durable=True):
            self._db.execute(
                "UPDATE request SET state = ?, answered = ?, by = ?, reply = ? WHERE id = ?",
                (state, at, by, book.writable(reply), ident),
            )
        return book.request_of(self._ask(f"SELECT {book.REQUEST} FROM request WHERE id = ?", (ident,))[0])

    def requests(self, child: str | None = None, *, open_only: bool = False, limit: int = 100) -> tuple[Request, ...]:
        """Requests of a child or of all, newest first."""
        rows = self._ask(
            f"SELECT {book.REQUEST} FROM request WHERE (?1 IS NULL OR child = ?1) AND (NOT ?2 OR state = 'open') "
            "ORDER BY asked DESC, id DESC LIMIT ?3",
            (child, open_only, limit),
        )
        return tuple(book.request_of(row) for row in rows)

    # ---- events ------------------------------------------------------------------------------------------------------

    def add_event(self, event: LedgerEvent) -> None:
        """Enter an event; the same day, kind, subject and rule add up, with the latest time and text."""
        self._events.append(event)
        self.flush()

    def events(self, child: str, first_day: str, last_day: str) -> list[LedgerEvent]:
        """Events of a child (empty: of the PC) from ``first_day`` to ``last_day``, both included, in order of time."""
        rows = self._ask(
            f"SELECT {book.EVENT} FROM event WHERE child = ? AND day BETWEEN ? AND ? ORDER BY at, kind, subject, rule",
            (child, first_day, last_day),
        )
        waiting = [e for e in self._events if e.child == child and first_day <= e.day <= last_day]
        return [book.event_of(row) for row in rows] + waiting

    # ---- keeping and forgetting --------------------------------------------------------------------------------------

    def forget(self, before_day: str) -> None:
        """Forget what is older than ``before_day``.

        Only the bare totals of days that a running limit still needs (this month) stay, without hours or programs.
        """
        today = max(self._today, (date.fromisoformat(before_day) + timedelta(days=7)).isoformat())
        began = int(datetime.fromisoformat(before_day).replace(tzinfo=UTC).timestamp())
        with self._transaction(durable=True):
            self._forget_use(None, before_day, window_start(today))
            self._db.execute("DELETE FROM event WHERE day < ?", (before_day,))
            self._db.execute(
                "DELETE FROM given WHERE given < ? AND (ended IS NOT NULL OR until < ?)", (began * 1000,) * 2
            )
            self._db.execute("DELETE FROM given WHERE kind = 'time' AND day < ?", (before_day,))
            self._db.execute("DELETE FROM request WHERE asked < ?", (began * 1000,))
        files.drop_copies(self.folder, older_than=began)
        self._reload()

    def delete_history(self, child: str, until_day: str) -> None:
        """Delete a child's history up to ``until_day``, included, also from backups.

        Today is not history yet: its rows stay, as do the bare totals of this month's days, or limits would begin afresh.
        """
        if self._charges or self._events:
            self.flush()
        last = (date.fromisoformat(until_day) + timedelta(days=1)).isoformat()
        before = min(last, self._today) if self._today else last
        began = int(datetime.fromisoformat(before).replace(tzinfo=UTC).timestamp()) * 1000
        with self._transaction(durable=True):
            self._forget_use(child, before, window_start(self._today or before))
            self._db.execute("DELETE FROM event WHERE child = ? AND day < ?", (child, before))
            self._db.execute("DELETE FROM given WHERE child = ? AND kind = 'time' AND day < ?", (child, before))
            self._db.execute(
                "DELETE FROM given WHERE child = ? AND given < ? AND (ended IS NOT NULL OR until < ?)",
                (child, began, began),
            )
            self._db.execute("DELETE FROM request WHERE child = ? AND asked < ? AND state <> 'open'", (child, began))
        self._reload()
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            files.drop_copies(self.folder)
            files.write_backup(self._db, self.folder)
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def export(self, child: str) -> dict[str, Any]:
        """All that the ledger holds about a child, as values that JSON can carry; times are milliseconds."""
        every = ("", "9999-12-31")
        return {
            "child": child,
            "since": self._meta.get(f"since.{child}", ""),
            "use": msgspec.to_builtins(self.rows(child, *every)),
            "grants": msgspec.to_builtins(self.grants(child)),
            "requests": msgspec.to_builtins(self.requests(child, limit=-1)),
            "events": msgspec.to_builtins(self.events(child, *every)),
        }

    def backup(self, keep: int = 7) -> Path:
        """Copy the ledger while it is open; keeps the newest ``keep`` copies."""
        if self.pending:
            self.flush()
        try:
            return files.write_backup(self._db, self.folder, keep)
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    # ---- within ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        """All or nothing; ``durable`` syncs it, and with it everything written before."""
        try:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            # SQLite itself rolls back after some errors (disk full, input/output error); then there is nothing to undo.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._failed(error) from error
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        if durable:
            self._synced = time.monotonic()

    def _failed(self, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, sqlite3.Error):
            return files.explain(error, self.path)
        return StoreError(
            f"The ledger's folder failed: {error.strerror or error}.",
            "Check that the service may write to it and that the disk has room.",
            where=str(self.folder),
        )

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _still_in_place(self) -> None:
        """Somebody may delete or replace the file while it is open; what we hold is the ledger, so it is put back."""
        try:
            if self.path.stat().st_ino == self._inode:
                return
        except FileNotFoundError:
            files.secure_folder(self.folder)
        try:
            files.copy_to(self._db, self.path)
            self._db.close()
            for side in ("-wal", "-shm"):
                self.path.with_name(self.path.name + side).unlink(missing_ok=True)
            self._db = files.reopen(self.path)
            self._inode = self.path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error
        self._events.append(
            LedgerEvent(
                at=int(time.time() * 1000),
                day=self._today,
                kind="tamper",
                subject="ledger",
                text="The ledger was deleted or replaced while in use; it was put back whole.",
            )
        )

    def _bound_pending(self) -> None:
        """While nothing can be written for days, keep exact sums and let the hours go."""
        if len(self._charges) > MAX_PENDING:
            whole: dict[_ChargeKey, int] = {}
            for (child, day, _, kind, key), millis in self._charges.items():
                at = (child, day, 0, kind, key)
                whole[at] = whole.get(at, 0) + millis
            self._charges = whole
        if len(self._events) > MAX_PENDING:
            del self._events[: len(self._events) - MAX_PENDING]

    def _load_grants(self) -> book.Grants:
        return book.Grants(self._db.execute(f"SELECT {book.GRANT}, ended FROM given ORDER BY given, id"))

    def _load_sums(self, child: str, first: str) -> Sums:
        sums = Sums(first)
        sums.load(self.rows(child, first, "9999-12-31"))
        self._sums[child] = sums
        return sums

    def _reload(self) -> None:
        """After rows were deleted."""
        self._sums.clear()
        self._usage.clear()
        # What was checked is what is in memory: from the file only what has gone is taken.
        kept = {ident for (ident,) in self._ask("SELECT id FROM given")}
        for ident in self._given.ids() - kept:
            self._given.drop(ident)

    def _forget_use(self, child: str | None, before: str, needed: str) -> None:
        mine = "(?1 IS NULL OR child = ?1) AND day < ?2"
        totals = self._db.execute(
            f"SELECT child, day, 0, kind, key, sum(millis) FROM charge WHERE {mine} AND day >= ?3 AND {_LIMITS} "
            "GROUP BY child, day, kind, key",
            (child, before, needed),
        ).fetchall()
        self._db.execute(f"DELETE FROM charge WHERE {mine}", (child, before))
        self._db.executemany(_CHARGE, totals)

    def _since(self, child: str, today: str) -> str:
        key = f"since.{child}"
        if key not in self._meta:
            (first,) = self._ask("SELECT min(day) FROM charge WHERE child = ?", (child,))[0]
            self._set_meta(key, min(first or today, today))
        return min(self._meta[key], today)

    def _lost(self, today: str) -> bool:
        """From the day when the loss was first seen until that day is over, however the clock is set meanwhile."""
        day = self._meta.get("lost")
        if day is None or day == OVER:
            return False
        if day == "":
            self._set_meta("lost", today)
            return True
        return today <= day  # ISO dates compare as text

    def _set_meta(self, key: str, value: str) -> None:
        """Remember at once, write with the next ``record``: a tick that reads must not fail on a full disk.

        Should the service end before that, the loss has still no day on disk and is counted again.
        """
        self._meta[key] = value
        self._new_meta[key] = value


def _charge(key: _ChargeKey, millis: int) -> Charge:
    child, day, hour, kind, name = key
    return Charge(child=child, day=day, hour=hour, kind=kind, key=name, millis=millis)  # type: ignore[arg-type]  # only
    # kinds that ``record`` took are in the ledger
