"""Fold what was seen into minutes used.

What was seen at one observation holds until the next.  The fold cuts that interval at local hours, policy days and the
edges of hours that do not count, and charges integer milliseconds, so that the same time in any split gives the same sums.

Slept time is never charged.  Time in which the agent was stalled is charged like any other, because only the machine's
sleep can stop the clock that is used (boot time minus awake time).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from agent.clock import HOUR, MINUTE, Millis
from agent.core.activity import Activity
from agent.core.schedule import Span, holding, local, next_hour, policy_day
from agent.model.usage import Charge, ChargeKind, DayUse, Folding, Usage

KEPT_DAYS = 40
"""More than a month, and more than the week that saved minutes look back."""
UNCONFIRMED_AT_ONCE = 15 * MINUTE
UNCONFIRMED_A_DAY = HOUR


@dataclass(frozen=True, slots=True)
class Seen:
    """What one observation says of one child; it holds until the next one."""

    child: str
    activity: Activity
    counts: bool = True
    """What runs counts (see ``counts_now``)."""
    programs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    paused: bool = False
    """A guardian's pause: use is not charged."""
    free: tuple[Span, ...] = ()
    """Hours that do not count, around now."""
    natural_left: Millis | None = None
    """What limits leave without extra time, at the observation; beyond it time is paid by grants."""
    extra_left: Millis = 0


@dataclass(slots=True)
class Folded:
    """The outcome of one interval."""

    folding: Folding
    charges: list[Charge] = field(default_factory=list)


def fold(
    folding: Folding, seen: Seen, start: Millis, awake: Millis, slept: Millis, zone: ZoneInfo, reset: int, rest: Millis
) -> Folded:
    """Charge ``awake`` milliseconds from trusted wall time ``start``; ``rest`` is what makes a break (0: no breaks).

    Sleep lies at the end of the interval: it is rest, and charges nothing.
    """
    out = Folded(folding)
    natural, extra = seen.natural_left, seen.extra_left
    for piece_start, length in _pieces(start, awake, seen.free, zone, reset):
        hour, day, _ = _calendar(piece_start // MINUTE, zone, reset)
        used, unconfirmed = _split(out.folding, seen.activity, length, day)
        sums: list[tuple[ChargeKind, Millis, str]] = [("unconfirmed", unconfirmed, "")]
        if used:
            if seen.paused or not seen.counts or holding(piece_start, seen.free):
                sums.append(("free", used, ""))
            else:
                sums.append(("total", used, ""))
                if natural is not None:
                    paid = min(max(0, used - natural), extra)
                    sums.append(("extra", paid, ""))
                    extra -= paid
                    natural = max(0, natural - used)
            sums += [("program", used, key) for key in seen.programs]
            sums += [("group", used, key) for key in seen.groups]
        out.charges += [
            Charge(child=seen.child, day=day, hour=hour, kind=kind, key=key, millis=millis)
            for kind, millis, key in sums
            if millis > 0
        ]
        out.folding = _running(out.folding, seen, length, used, unconfirmed, day, rest)
    if slept:
        out.folding = rested(out.folding, slept, rest)
    return out


def added(usage: Usage, charges: Iterable[Charge]) -> Usage:
    """The sums with these charges added; other children's are left out."""
    days = dict(usage.days)
    by_day: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.child == usage.child:
            by_day.setdefault(charge.day, []).append(charge)
    if not by_day:
        return usage
    for name, found in by_day.items():
        day = days.get(name, DayUse())
        total, extra = day.total, day.extra
        programs, groups, sites = dict(day.programs), dict(day.groups), dict(day.sites)
        for charge in found:
            match charge.kind:
                case "total":
                    total += charge.millis
                case "extra":
                    extra += charge.millis
                case "program":
                    programs[charge.key] = programs.get(charge.key, 0) + charge.millis
                case "group":
                    groups[charge.key] = groups.get(charge.key, 0) + charge.millis
                case "site-rule":
                    sites[charge.key] = sites.get(charge.key, 0) + charge.millis
        days[name] = DayUse(total=total, extra=extra, programs=programs, groups=groups, sites=sites)
    return replace(usage, days=days)


def new_day(usage: Usage, today: str) -> Usage:
    """The sums at the start of a policy day: days too old to matter are dropped, and a lost ledger is forgiven."""
    oldest = (dt.date.fromisoformat(today) - dt.timedelta(days=KEPT_DAYS)).isoformat()
    return replace(usage, lost=False, days={day: use for day, use in usage.days.items() if day >= oldest})


def _pieces(
    start: Millis, length: Millis, free: tuple[Span, ...], zone: ZoneInfo, reset: int
) -> Iterator[tuple[Millis, Millis]]:
    """Cut an interval where the hour, the policy day or the hours that do not count change."""
    end = start + length
    while start < end:
        cut = min(end, _calendar(start // MINUTE, zone, reset)[2])
        if reset % 60:
            minute = local(start, zone).replace(minute=0, second=0, microsecond=0)
            reset_at = int(minute.timestamp() * 1000) + (reset % 60) * MINUTE
            if start < reset_at < cut:
                cut = reset_at
        for span in free:
            for edge in span:
                if start < edge < cut:
                    cut = edge
        yield start, cut - start
        start = cut


@lru_cache(maxsize=64)
def _calendar(minute: int, zone: ZoneInfo, reset: int) -> tuple[int, str, Millis]:
    """Local hour, policy day and end of the hour, of a minute since 1970: no zone of today's changes within one."""
    wall = minute * MINUTE
    return local(wall, zone).hour, policy_day(wall, zone, reset).isoformat(), next_hour(wall, zone)


def _split(folding: Folding, activity: Activity, length: Millis, day: str) -> tuple[Millis, Millis]:
    """How much of an interval is used, and how much is let go on the word of a hint."""
    if activity in (Activity.USED, Activity.TOUCHED):
        return length, 0
    if activity is not Activity.UNCONFIRMED:
        return 0, 0
    today = folding.unconfirmed_today if folding.unconfirmed_day == day else 0
    allowed = max(0, min(length, UNCONFIRMED_AT_ONCE - folding.unconfirmed, UNCONFIRMED_A_DAY - today))
    return length - allowed, allowed


def _running(
    folding: Folding, seen: Seen, length: Millis, used: Millis, unconfirmed: Millis, day: str, rest: Millis
) -> Folding:
    today = folding.unconfirmed_today if folding.unconfirmed_day == day else 0
    folding = replace(
        folding,
        unconfirmed=folding.unconfirmed + length if seen.activity in (Activity.UNCONFIRMED, Activity.TOUCHED) else 0,
        unconfirmed_day=day,
        unconfirmed_today=today + unconfirmed,
        in_use=used > 0,
    )
    idle = length - used
    if idle:
        folding = rested(folding, idle, rest)
    if used:
        folding = replace(folding, streak=folding.streak + used, resting=0)
    return folding


def rested(folding: Folding, millis: Millis, rest: Millis) -> Folding:
    """Time away from the screen, whatever the reason (idle, asleep, switched off); a long enough one ends a streak."""
    resting = folding.resting + millis
    return replace(folding, resting=resting, streak=0 if rest and resting >= rest else folding.streak)
