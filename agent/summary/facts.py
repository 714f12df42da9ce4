"""What a weekly summary is made of: plain rows, gathered by the service and handed to the job that renders them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from agent.core.rules import Rules
from agent.core.schedule import week_start
from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge


class ChildFacts(Struct, frozen=True, kw_only=True):
    """One child's rows of a week; budgets are milliseconds by policy day, ``None`` where there is none."""

    child: str
    detail: str = "programs"
    budgets: tuple[int | None, ...]
    rows: tuple[Charge, ...]
    """This week's charges and those of the week before."""
    events: tuple[LedgerEvent, ...] = ()
    grants: tuple[Grant, ...] = ()
    requests: tuple[Request, ...] = ()
    lost: bool = False


class WeekFacts(Struct, frozen=True, kw_only=True):
    """A family's week from Monday ``first`` on, seen on ``today`` (policy days)."""

    first: str
    today: str
    zone: str
    children: tuple[ChildFacts, ...]
    titles: dict[str, str] = {}
    """Program key → name people know it by."""
    protection: str = ""
    notes: tuple[str, ...] = ()
    machine: tuple[LedgerEvent, ...] = ()
    """Events of the PC itself: clock, tamper, degraded."""


class Ledger(Protocol):
    """The reading half of the store."""

    def rows(self, child: str, first_day: str, last_day: str) -> list[Charge]: ...
    def events(self, child: str, first_day: str, last_day: str) -> list[LedgerEvent]: ...
    def grants(self, child: str | None = None) -> tuple[Grant, ...]: ...
    def requests(self, child: str | None = None, *, limit: int = 100) -> tuple[Request, ...]: ...


def gather(
    ledger: Ledger,
    rules: Rules,
    day: dt.date,
    today: dt.date,
    *,
    children: Sequence[str] | None = None,
    protection: str = "",
    notes: Sequence[str] = (),
) -> WeekFacts:
    """The facts of the week that holds ``day``."""
    first = week_start(day)
    last = first + dt.timedelta(days=6)
    before = (first - dt.timedelta(days=7)).isoformat()
    start, end = first.isoformat(), last.isoformat()
    found = []
    for name in children if children is not None else tuple(rules.children):
        child = rules.children[name]
        plans = [child.plan(first + dt.timedelta(days=n)) for n in range(7)]
        found.append(
            ChildFacts(
                child=name,
                detail=child.child.summary_detail or "programs",
                budgets=tuple(plan.budget for plan in plans),
                rows=tuple(ledger.rows(name, before, end)),
                events=tuple(ledger.events(name, start, end)),
                grants=tuple(g for g in ledger.grants(name) if _in_week(g.day, g.given, first, rules)),
                requests=tuple(r for r in ledger.requests(name, limit=200) if _in_week("", r.asked, first, rules)),
            )
        )
    keys = {c.key for f in found for c in f.rows if c.kind == "program"} | {e.subject for f in found for e in f.events}
    entries = {entry.id: entry.name for group in rules.policy.catalogue.values() for entry in group}
    return WeekFacts(
        first=start,
        today=today.isoformat(),
        zone=str(rules.zone),
        children=tuple(found),
        titles={key: entries[key] for key in sorted(keys) if key in entries},
        protection=protection,
        notes=tuple(notes),
        machine=tuple(ledger.events("", start, end)),
    )


def _in_week(day: str, wall: int, first: dt.date, rules: Rules) -> bool:
    date = dt.date.fromisoformat(day) if day else dt.datetime.fromtimestamp(wall / 1000, rules.zone).date()
    return first <= date <= first + dt.timedelta(days=6)
