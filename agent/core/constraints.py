"""Every limit that bears on a child's time now, each with what it leaves and a sentence; the smallest binds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.clock import DAY, SECOND, Millis
from agent.core.rules import ChildRules, Plan, clock_words
from agent.core.saying import say
from agent.core.schedule import (
    Span,
    day_bounds,
    day_names,
    holding,
    horizon,
    merged,
    opening,
    policy_day,
    spans,
    week_start,
)
from agent.core.timewords import when
from agent.model.grant import Grant
from agent.model.site import Said
from agent.model.usage import DayUse, Folding, Usage
from agent.model.verdict import Constraint, ConstraintKind


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a child stands in time: computed once per tick, remembered while it holds."""

    wall: Millis
    day: dt.date
    today: str
    """The ISO name of ``day``."""
    plan: Plan
    open: tuple[Span, ...]
    """Hours of use (windows and hours that do not count), merged, from yesterday on; empty with ``always_open``."""
    always_open: bool
    free: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the limits leave a child at one moment; milliseconds, ``None`` where nothing limits."""

    natural: Millis | None
    """Before extra time."""
    extra: Millis
    """Extra time left from grants."""
    remaining: Millis | None
    constraints: tuple[Constraint, ...]
    binding: Constraint | None
    only_minutes: bool
    """It is minutes that ran out (day, week, month), not the hour, a break or a lock."""


NO_USE = DayUse()
_LOST = Said("Today's record of use was lost, so today's minutes cannot be given again. A guardian can add time.")
_OF = {
    "day": (Said("You have used today's {limit}. There is more tomorrow."), Said("{time} left of today's {limit}.")),
    "week": (
        Said("You have used this week's {limit}. There is more on Monday."),
        Said("{time} left of this week's {limit}."),
    ),
    "month": (
        Said("You have used this month's {limit}. There is more next month."),
        Said("{time} left of this month's {limit}."),
    ),
    "": (
        Said("You have used today's minutes. There is more tomorrow."),
        Said("{time} left of today's minutes."),
    ),
}
"""What is said of minutes when they are used up, and before."""
LOOK_AHEAD = 9
"""Days of windows to look through for the next opening: more than a week."""


def moment(rules: ChildRules, wall: Millis, last: Moment | None = None) -> Moment:
    """The plan and the spans around ``wall``; ``last`` is reused while its day lasts."""
    if last is not None:
        start, end = day_bounds(last.day, rules.zone, rules.reset)
        if start <= wall < end and last.plan is rules.plan(last.day):
            # Written out, because ``dataclasses.replace`` takes longer than all the rest of a tick's look at the calendar.
            return Moment(wall, last.day, last.today, last.plan, last.open, last.always_open, last.free)
    day = policy_day(wall, rules.zone, rules.reset)
    first = day - dt.timedelta(days=1)
    limited = any(rules.windows(first + dt.timedelta(days=n)) is not None for n in range(4))
    free = spans(rules.free, first, 4, rules.zone)
    if not limited:
        return Moment(wall, day, day.isoformat(), rules.plan(day), (), True, free)
    windows = spans(rules.windows, first, LOOK_AHEAD, rules.zone)
    return Moment(wall, day, day.isoformat(), rules.plan(day), merged((*windows, *free)), False, free)


def allowance(
    rules: ChildRules, now: Moment, usage: Usage, grants: Iterable[Grant], folding: Folding, counts: bool
) -> Allowance:
    """What is left, and why.  ``counts``: what runs now counts (else minutes do not bind); ``grants``: the oldest first."""
    today = usage.days.get(now.today, NO_USE)
    given = [grant for grant in grants if grant.child == rules.name]
    extra, fewer = _extra_and_fewer(given, now.today, today.extra)
    minutes = _minutes(rules, now, usage, today, fewer) if counts else []
    limits = [*_window(rules, now), *minutes]
    locks = [*_break(now, folding), *_locks(now.wall, given, rules)]
    natural = min((c.left for c in limits), default=None)
    remaining = None if natural is None else natural + extra
    remaining = (
        min((c.left for c in locks), default=remaining)
        if remaining is None
        else min([remaining, *(c.left for c in locks)])
    )
    found = tuple(sorted((*limits, *locks), key=lambda c: c.left))
    binding = found[0] if found else None
    hard = [c for c in locks if c.left == 0]
    if hard:
        binding = hard[0]
    elif extra and binding is not None and binding in limits and binding.left == 0:
        binding = _extra(rules, extra)
        found = (binding, *found)
    hours_shut = any(c.kind == "window" and c.left == 0 for c in limits)
    return Allowance(natural, extra, remaining, found, binding, not hard and not hours_shut)


def takeable(rules: ChildRules, now: Moment, usage: Usage, grants: Iterable[Grant]) -> Millis | None:
    """The most that can be taken away today, so that what is given later is there in full; ``None``: all of the day.

    ``grants``: the oldest first.
    """
    today = usage.days.get(now.today, NO_USE)
    extra, fewer = _extra_and_fewer((g for g in grants if g.child == rules.name), now.today, today.extra)
    if usage.lost:
        return extra
    if now.plan.budget is None:
        return extra or None
    return max(0, _budget_today(rules, now, now.plan.budget, usage, fewer) - (today.total - today.extra)) + extra


def paused(grants: Iterable[Grant], wall: Millis) -> bool:
    """Whether a guardian lets limits rest at the moment: the last word counts, so a lock that came after a pause holds."""
    last: dict[str, Millis] = {}
    for grant in grants:
        if grant.kind in ("pause", "lock") and (grant.until is None or grant.until > wall):
            last[grant.kind] = max(grant.given, last.get(grant.kind, grant.given))
    return "pause" in last and ("lock" not in last or last["lock"] < last["pause"])


def saved(rules: ChildRules, day: dt.date, usage: Usage) -> Millis:
    """Minutes carried into ``day``: the unused rest of the days before it, at most ``save_up_to`` at each step.

    Seven days back are enough: the cap makes older savings indistinguishable.
    """
    most = rules.plan(day).save_up_to
    if not most:
        return 0
    carry, since = 0, usage.since or "9999"
    first = day - dt.timedelta(days=7)
    for number, before in enumerate(day_names(first, day)[:7]):
        plan = rules.plan(first + dt.timedelta(days=number))
        if before < since or plan.budget is None or not plan.save_up_to:
            carry = 0
            continue
        use = usage.days.get(before, NO_USE)
        carry = min(plan.save_up_to, max(0, plan.budget + carry - (use.total - use.extra)))
    return min(carry, most)


def _window(rules: ChildRules, now: Moment) -> list[Constraint]:
    if now.always_open:
        return []
    span = holding(now.wall, now.open)
    if span is None:
        again = opening(now.wall, now.open)
        said = Said(
            "This is outside your hours. You can use the PC again {when}.", (("when", _when(rules, now, again)),)
        )
        return [_limit("window", f"{rules.name}/windows", 0, said, again)]
    if span[1] > horizon(now.wall):
        return []
    said = Said("Your hours end at {time}.", (("time", clock_words(span[1], rules.zone)),))
    return [_limit("window", f"{rules.name}/windows", span[1] - now.wall, said, opening(span[1], now.open))]


def _extra_and_fewer(given: Iterable[Grant], today: str, used: Millis) -> tuple[Millis, Millis]:
    """Extra time that is left, and what is taken from the day's own minutes.  ``used``: of extra time.

    What a guardian takes away goes off extra time that was given before and is not used, then off the day's own minutes.
    """
    more = taken = back = 0
    for grant in given:
        if grant.kind != "time" or grant.day != today:
            continue
        if grant.seconds > 0:
            more += grant.seconds * SECOND
        else:
            taken -= grant.seconds * SECOND
            back += min(-grant.seconds * SECOND, more - back)
    unused = max(0, more - used)
    back = min(back, unused)
    return unused - back, taken - back


def _budget_today(rules: ChildRules, now: Moment, budget: Millis, usage: Usage, fewer: Millis) -> Millis:
    return max(0, budget + saved(rules, now.day, usage) - fewer)


def _minutes(rules: ChildRules, now: Moment, usage: Usage, today: DayUse, fewer: Millis) -> list[Constraint]:
    plan, found = now.plan, []
    span = holding(now.wall, now.free)
    # While hours do not count, minutes start to run only when those hours end.
    later = span[1] - now.wall if span else 0
    if usage.lost:
        return [_limit("day", f"{rules.name}/lost", later, _LOST, _tomorrow(rules, now))]
    if plan.budget is not None:
        limit = _budget_today(rules, now, plan.budget, usage, fewer)
        left = max(0, limit - (today.total - today.extra)) + later
        found.append(_budget("day", limit, left, rules, _tomorrow(rules, now)))
    elif fewer:
        found.append(_budget("day", None, later, rules, _tomorrow(rules, now)))
    if plan.week is not None:
        monday = week_start(now.day)
        left = _left(plan.week, usage, monday, now.day) + later
        again = day_bounds(monday + dt.timedelta(days=7), rules.zone, rules.reset)[0]
        found.append(_budget("week", plan.week, left, rules, again))
    if plan.month is not None:
        first = now.day.replace(day=1)
        left = _left(plan.month, usage, first, now.day) + later
        again = day_bounds((first + dt.timedelta(days=32)).replace(day=1), rules.zone, rules.reset)[0]
        found.append(_budget("month", plan.month, left, rules, again))
    return found


def _budget(
    kind: Literal["day", "week", "month"], limit: Millis | None, left: Millis, rules: ChildRules, again: Millis
) -> Constraint:
    """``limit``: ``None`` where a day has no minutes of its own, and some were taken away."""
    used_up, some = _OF[kind if limit is not None else ""]
    of = () if limit is None else (("limit", limit // SECOND),)
    said = Said(used_up.text, of) if left == 0 else Said(some.text, (("time", left // SECOND), *of))
    return _limit(kind, f"{rules.name}/{kind}", left, said, again)


def _limit(kind: ConstraintKind, rule: str, left: Millis, said: Said, again: Millis | None = None) -> Constraint:
    return Constraint(kind=kind, rule=rule, left=left, sentence=say(said), said=said, again=again)


def _left(limit: Millis, usage: Usage, first: dt.date, today: dt.date) -> Millis:
    used = 0
    for day in day_names(first, today):
        use = usage.days.get(day)
        if use is not None:
            used += use.total - use.extra
    return max(0, limit - used)


def _break(now: Moment, folding: Folding) -> list[Constraint]:
    plan = now.plan
    if plan.break_after is None:
        return []
    left = max(0, plan.break_after - folding.streak)
    rest_left = max(0, plan.break_rest - folding.resting)
    rule = f"{plan.child}/break"
    if left:
        said = Said(
            "A break of {rest} is due in {time}.", (("rest", plan.break_rest // SECOND), ("time", left // SECOND))
        )
        return [_limit("break", rule, left, said)]
    said = Said("Time for a break: {time} away from the screen, then you can go on.", (("time", rest_left // SECOND),))
    return [_limit("break", rule, 0, said, now.wall + rest_left)]


def _locks(wall: Millis, grants: Iterable[Grant], rules: ChildRules) -> list[Constraint]:
    found = []
    for grant in grants:
        if grant.kind == "lock" and (grant.until is None or grant.until > wall):
            said = Said("{by} has paused the PC.", (("by", grant.by),), grant.note)
            if grant.until is not None:
                places = (("by", grant.by), ("time", clock_words(grant.until, rules.zone)))
                said = Said("{by} has paused the PC until {time}.", places, grant.note)
            found.append(_limit("lock", f"grant/{grant.id}", 0, said, grant.until))
    return found


def _extra(rules: ChildRules, extra: Millis) -> Constraint:
    said = Said("{time} of extra time left today.", (("time", extra // SECOND),))
    return _limit("grant", f"{rules.name}/extra", extra, said)


def _tomorrow(rules: ChildRules, now: Moment) -> Millis:
    return day_bounds(now.day, rules.zone, rules.reset)[1]


def _when(rules: ChildRules, now: Moment, again: Millis | None) -> Said:
    if again is None:
        return Said("when a guardian says so")
    at = clock_words(again, rules.zone)
    if again - now.wall < DAY and policy_day(again, rules.zone, rules.reset) == now.day:
        return Said("at {time}", (("time", at),))
    return when(dt.datetime.fromtimestamp(again / 1000, rules.zone).weekday(), at)
