"""Sums of the ledger in memory, so that the tick asks no database.

One ``Sums`` per child covers every policy day from ``first`` on.  ``add`` keeps it equal to the rows; ``read`` hands out
frozen values and builds anew only the days that changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from agent.model.usage import Charge, DayUse


def window_start(today: str) -> str:
    """First policy day that limits of ``today`` may look at: the month so far, and at least the eight days before."""
    day = date.fromisoformat(today)
    try:
        return min(day.replace(day=1), day - timedelta(days=8)).isoformat()
    except OverflowError:  # the first days of year 1: a clock that says so is wrong, and there is nothing before
        return date.min.isoformat()


class _Day:
    __slots__ = ("extra", "groups", "programs", "sites", "total")

    def __init__(self) -> None:
        self.total = 0
        self.extra = 0
        self.programs: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.sites: dict[str, int] = {}

    def add(self, kind: str, key: str, millis: int) -> None:
        if kind == "total":
            self.total += millis
        elif kind == "extra":
            self.extra += millis
        elif kind == "program":
            self.programs[key] = self.programs.get(key, 0) + millis
        elif kind == "group":
            self.groups[key] = self.groups.get(key, 0) + millis
        elif kind == "site-rule":
            self.sites[key] = self.sites.get(key, 0) + millis

    def frozen(self) -> DayUse:
        return DayUse(
            total=self.total,
            extra=self.extra,
            programs=dict(self.programs),
            groups=dict(self.groups),
            sites=dict(self.sites),
        )


class Sums:
    """One child's sums from policy day ``first`` on; milliseconds."""

    def __init__(self, first: str) -> None:
        self.first = first
        self._days: dict[str, _Day] = {}
        self._changed: set[str] = set()
        self._read: dict[str, DayUse] = {}

    def add(self, day: str, kind: str, key: str, millis: int) -> None:
        """Add to a day; days before ``first`` are not kept here."""
        if day < self.first:
            return
        held = self._days.get(day)
        if held is None:
            held = self._days[day] = _Day()
        held.add(kind, key, millis)
        self._changed.add(day)

    def load(self, charges: Iterable[Charge]) -> None:
        for charge in charges:
            self.add(charge.day, charge.kind, charge.key, charge.millis)

    def read(self) -> dict[str, DayUse]:
        """The same object until something is added, so that a caller may compare by identity."""
        if self._changed:
            self._read = {**self._read, **{day: self._days[day].frozen() for day in sorted(self._changed)}}
            self._changed.clear()
        return self._read
