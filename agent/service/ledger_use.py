"""What children used: rows and pending charges, their sums in memory, and from when on the ledger knows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from agent.model.usage import Charge, DayUse, Usage
from agent.service import ledger_book as book
from agent.service.ledger_db import Database
from agent.service.ledger_pending import CHARGE, ChargeKey, Pending
from agent.service.ledger_sums import Sums, window_start

OVER = "over"
"""In place of the day of a loss: a guardian knows of it."""

_MOST = 366 * 86_400_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LIMITS = "kind IN ('total', 'extra')"


class Use:
    """Every charge of an open ledger; what is added waits in ``pending`` until the store writes it."""

    def __init__(self, db: Database, pending: Pending) -> None:
        self.today = ""
        """The policy day that was last asked for; empty until then."""
        self._db = db
        self._pending = pending
        self._sums: dict[str, Sums] = {}
        self._usage: dict[str, tuple[Usage, dict[str, DayUse]]] = {}
        self._meta: dict[str, str] = dict(db.ask("SELECT key, value FROM meta"))

    def add(self, charges: Iterable[Charge]) -> None:
        """Add to the sums and to what is pending; ``ValueError`` for what is no time of a day."""
        for charge in charges:
            if not (0 <= charge.millis <= _MOST and 0 <= charge.hour <= 23 and _DAY.fullmatch(charge.day)):
                raise ValueError(f"a charge is a time of at least 0 ms in an hour from 0 to 23 of a day, not {charge}")
            if charge.millis == 0:
                continue
            name = book.writable(charge.key)
            key = (charge.child, charge.day, charge.hour, charge.kind, name)
            self._pending.charges[key] = self._pending.charges.get(key, 0) + charge.millis
            sums = self._sums.get(charge.child)
            if sums is not None:
                sums.add(charge.day, charge.kind, name, charge.millis)

    def usage(self, child: str, today: str) -> Usage:
        """``Store.usage``."""
        self.today = today
        sums = self._sums.get(child)
        first = window_start(today)
        if sums is None or first < sums.first:
            sums = self._load(child, first)
        elif first > sums.first and not first.startswith(sums.first[:7]):
            sums = self._load(child, first)  # a new month: let the old one go
        days = sums.read()
        since, lost = self._since(child, today), self._lost(today)
        held = self._usage.get(child)
        if held is not None and held[1] is days and held[0].since == since and held[0].lost == lost:
            return held[0]
        usage = Usage(child=child, days=days, since=since, lost=lost)
        self._usage[child] = (usage, days)
        return usage

    def rows(self, child: str, first_day: str, last_day: str) -> list[Charge]:
        """``Store.rows``."""
        found: dict[ChargeKey, int] = {
            (child, day, hour, kind, key): millis
            for day, hour, kind, key, millis in self._db.ask(
                "SELECT day, hour, kind, key, millis FROM charge WHERE child = ? AND day BETWEEN ? AND ?",
                (child, first_day, last_day),
            )
        }
        for charge, millis in self._pending.charges.items():
            if charge[0] == child and first_day <= charge[1] <= last_day:
                found[charge] = found.get(charge, 0) + millis
        return [_charge(key, found[key]) for key in sorted(found)]

    def known_since(self, child: str) -> str:
        """The first day that the ledger knows of a child; empty when it was never asked for."""
        return self._meta.get(f"since.{child}", "")

    def accept_loss(self) -> None:
        """From now on today counts only what the ledger holds."""
        self._set_meta("lost", OVER)

    def forget(self, connection: sqlite3.Connection, child: str | None, before: str, needed: str) -> None:
        """Delete the days before ``before`` inside the caller's transaction, of one child or (``None``) of all.

        From day ``needed`` on the bare totals stay.  ``reload`` once it is committed.
        """
        mine = "(?1 IS NULL OR child = ?1) AND day < ?2"
        totals = connection.execute(
            f"SELECT child, day, 0, kind, key, sum(millis) FROM charge WHERE {mine} AND day >= ?3 AND {_LIMITS} "
            "GROUP BY child, day, kind, key",
            (child, before, needed),
        ).fetchall()
        connection.execute(f"DELETE FROM charge WHERE {mine}", (child, before))
        connection.executemany(CHARGE, totals)

    def reload(self) -> None:
        """After rows were deleted: the sums are read anew when they are asked for."""
        self._sums.clear()
        self._usage.clear()

    # ---- within ------------------------------------------------------------------------------------------------------

    def _load(self, child: str, first: str) -> Sums:
        sums = Sums(first)
        sums.load(self.rows(child, first, "9999-12-31"))
        self._sums[child] = sums
        return sums

    def _since(self, child: str, today: str) -> str:
        key = f"since.{child}"
        if key not in self._meta:
            (first,) = self._db.ask("SELECT min(day) FROM charge WHERE child = ?", (child,))[0]
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
        self._pending.meta[key] = value


def _charge(key: ChargeKey, millis: int) -> Charge:
    child, day, hour, kind, name = key
    return Charge(child=child, day=day, hour=hour, kind=kind, key=name, millis=millis)
