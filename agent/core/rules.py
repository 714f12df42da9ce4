"""A policy compiled for use: numbers instead of words, one ``Plan`` per child and date.

``compile_policy`` runs once when a policy comes into force; ``ChildRules.plan`` is asked every tick and remembers its
answers by date.  Every rule keeps a stable id, so that verdicts can name it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from agent.clock import SECOND, Millis
from agent.core.layers import layered
from agent.core.schedule import MinuteSpan
from agent.core.timewords import parse_clock, parse_duration, parse_hours
from agent.model.policy import (
    Action,
    ByDay,
    CatalogueEntry,
    Child,
    Day,
    Ending,
    Family,
    HoursByDay,
    Policy,
    ProgramRule,
    SiteRules,
)

ANSWER_WITHIN = 300 * SECOND
"""How long a program that must be asked for waits when the policy says nothing."""
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class ProgramLimit:
    """A program rule as numbers, for one date."""

    id: str
    source: ProgramRule
    title: str
    action: Action
    budget: Millis | None
    week: Millis | None
    hours: HoursByDay | None
    counts: bool | None

    @property
    def passing(self) -> bool:
        """It allows only for a time: it has minutes or hours of its own."""
        return self.budget is not None or self.week is not None or bool(self.hours)


@dataclass(frozen=True, slots=True)
class Plan:
    """One child's limits on one policy day; ``None`` means no such limit."""

    child: str
    date: dt.date
    budget: Millis | None
    week: Millis | None
    month: Millis | None
    save_up_to: Millis
    break_after: Millis | None
    break_rest: Millis
    count_listed: bool
    learning_after: bool
    mode: str
    ending: Ending
    notices: tuple[Millis, ...]
    grace: Millis
    grant_ceiling: Millis | None
    answer_within: Millis
    unknown: Action
    programs: tuple[ProgramLimit, ...]
    sites: SiteRules
    windows: HoursByDay
    free: HoursByDay
    profile: str = ""


@dataclass(slots=True)
class ChildRules:
    """All of one child's rules, resolved by date on demand."""

    child: Child
    zone: ZoneInfo
    reset: int
    family: Family
    catalogue: Mapping[str, CatalogueEntry]
    groups: Mapping[str, frozenset[str]]
    """Group name → catalogue ids (and bare program names) in it."""
    learning: bool = False
    """What is only unknown may run, because a guardian lets Fairtime learn which programs are used."""
    _plans: dict[dt.date, Plan] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.child.name

    def plan(self, date: dt.date) -> Plan:
        """The limits in force on a policy day."""
        found = self._plans.get(date)
        if found is None:
            if len(self._plans) > 64:
                self._plans.clear()
            found = self._plans[date] = _plan(self, date)
        return found

    def learn(self, learning: bool) -> None:
        """Begin or end to let unknown programs run."""
        if learning != self.learning:
            self.learning = learning
            self._plans.clear()

    def windows(self, date: dt.date) -> tuple[MinuteSpan, ...] | None:
        """The hours of use that open on a calendar date; ``None``: no windows that day."""
        return hours_on(self.plan(date).windows, date)

    def free(self, date: dt.date) -> tuple[MinuteSpan, ...]:
        """The hours that do not count that open on a calendar date."""
        return hours_on(self.plan(date).free, date) or ()


@dataclass(frozen=True, slots=True)
class Rules:
    """A compiled policy."""

    policy: Policy
    zone: ZoneInfo
    reset: int
    children: Mapping[str, ChildRules]
    accounts: Mapping[str, str]
    """Account → child."""
    guardians: frozenset[str]
    """Accounts of guardians."""

    def meant(self, said: str) -> str:
        """The child that somebody means: by its name, large letters or small, or by its account.  ``said`` itself where that is
        nobody, or not one child alone."""
        if said in self.children:
            return said
        found = {name for name in self.children if name.casefold() == said.casefold()}
        found = found or {name for account, name in self.accounts.items() if account == said}
        return found.pop() if len(found) == 1 else said


def compile_policy(policy: Policy) -> Rules:
    """Compile; the family must be checked and filled (``core.family``).  Raises ``PolicyError`` when it cannot be used."""
    family = policy.family
    zone = ZoneInfo(family.zone)
    reset = parse_clock(family.reset)
    entries = {entry.id: entry for group in policy.catalogue.values() for entry in group}
    groups = _groups(family, policy.catalogue)
    children = {child.name: ChildRules(child, zone, reset, family, entries, groups) for child in family.children}
    accounts = {account: child.name for child in family.children for account in child.accounts}
    return Rules(policy, zone, reset, children, accounts, frozenset(g.account for g in family.guardians))


def by_day(table: ByDay | None, date: dt.date) -> Millis | None:
    """The duration for a date's weekday: its own key, else schooldays/weekend, else all."""
    if not table:
        return None
    for key in _keys(date):
        if key in table:
            return parse_duration(table[key]) * SECOND
    return None


def hours_on(table: HoursByDay | None, date: dt.date) -> tuple[MinuteSpan, ...] | None:
    """The hours for a date's weekday, as ``by_day``; ``None`` where the table is silent."""
    if not table:
        return None
    for key in _keys(date):
        if key in table:
            return tuple(parse_hours(text) for text in table[key])
    return None


def _keys(date: dt.date) -> tuple[Day, Day, Day]:
    weekday = date.weekday()
    return _DAYS[weekday], "weekend" if weekday >= 5 else "schooldays", "all"


def _groups(family: Family, catalogue: Mapping[str, list[CatalogueEntry]]) -> dict[str, frozenset[str]]:
    known = {name: frozenset(entry.id for entry in entries) for name, entries in catalogue.items()}
    for name, members in family.groups.items():
        inside: set[str] = set()
        for member in members:
            inside |= known.get(member, frozenset((member,)))
        known[name] = frozenset(inside) | (known.get(name, frozenset()) if name in members else frozenset())
    return known


def _profile(rules: ChildRules, date: dt.date) -> str:
    """The last exception that covers the date wins, so that a later line overrides an earlier one."""
    day, found = date.isoformat(), ""
    for dated in rules.family.exceptions:
        if dated.child in (None, rules.name) and dated.from_ <= day <= (dated.to or dated.from_):
            found = dated.profile
    return found


def _seconds(text: str | None) -> Millis | None:
    return None if not text else parse_duration(text) * SECOND


def _plan(rules: ChildRules, date: dt.date) -> Plan:
    profile = _profile(rules, date)
    limits = rules.child.limits
    if profile:
        limits = layered(rules.family.profiles[profile], limits)
    pause = limits.breaks
    return Plan(
        child=rules.name,
        date=date,
        budget=by_day(limits.budget, date),
        week=_seconds(limits.week),
        month=_seconds(limits.month),
        save_up_to=_seconds(limits.save_up_to) or 0,
        break_after=_seconds(pause.after) or None if pause else None,
        break_rest=(_seconds(pause.rest) or 0) if pause else 0,
        count_listed=limits.count == "listed",
        learning_after=bool(limits.learning_after),
        mode=limits.mode or "block",
        ending=limits.ending or "lock",
        notices=tuple(sorted({parse_duration(text) * SECOND for text in limits.notices or ()}, reverse=True)),
        grace=_seconds(limits.grace) or 0,
        grant_ceiling=_seconds(limits.grant_ceiling),
        answer_within=ANSWER_WITHIN if limits.answer_within is None else _seconds(limits.answer_within) or 0,
        unknown="allow" if rules.learning else limits.unknown_programs or "ask",
        programs=tuple(_limit(rules, rule, number, date) for number, rule in enumerate(limits.programs or ())),
        sites=limits.sites or SiteRules(mode="allow-list"),
        windows=limits.windows or {},
        free=limits.free or {},
        profile=profile,
    )


def _limit(rules: ChildRules, rule: ProgramRule, number: int, date: dt.date) -> ProgramLimit:
    what = rule.program or rule.group or rule.package or rule.signer or rule.path or rule.name or rule.sha256 or ""
    entry = rules.catalogue.get(rule.program or "")
    return ProgramLimit(
        id=f"{rules.name}/{rule.id or f'program:{what}'}",
        source=rule,
        # A hash is nobody's name: such a rule is known by its id, or by the program's own name.
        title=entry.name if entry else (rule.id or "" if rule.sha256 else what.rsplit("/", 1)[-1]),
        action=rule.action,
        budget=by_day(rule.budget, date),
        week=_seconds(rule.week),
        hours=rule.hours,
        counts=rule.counts,
    )


def clock_words(wall: Millis, zone: ZoneInfo) -> str:
    """``17:30`` in the policy's zone."""
    return dt.datetime.fromtimestamp(wall / 1000, zone).strftime("%H:%M")
