"""From a week's rows to a week's page: sums, comparisons, and things to talk about.  Pure.

Seconds on the page are whole, and the parts shown add up to the total shown: what rounding leaves goes to the parts with
the largest remainders.  The exact milliseconds are there too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from agent.clock import HOUR, MINUTE, SECOND, Millis
from agent.core.timewords import duration_words
from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.summary.facts import ChildFacts, WeekFacts

SCHEMA = "fairtime-summary/1"
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST_SHOWN = 12
"""Programs with a line of their own; the rest is one line, so that the lines still add up."""


class Part(Struct, frozen=True, kw_only=True):
    """A share of the week: a program or a group."""

    key: str
    title: str
    seconds: int


class DayLine(Struct, frozen=True, kw_only=True):
    """One day: use that counted, against the day's budget and the same day a week before.  Seconds."""

    date: str
    name: str
    seconds: int
    millis: int
    budget: int | None
    before: int
    extra: int
    free: int
    over: bool
    future: bool


class Line(Struct, frozen=True, kw_only=True):
    """Something that happened, in a sentence, how often."""

    day: str
    text: str
    count: int = 1


class Prompt(Struct, frozen=True, kw_only=True):
    """Something to talk about, and the fact it rests on."""

    text: str
    fact: str


class ChildWeek(Struct, frozen=True, kw_only=True):
    """One child's week."""

    child: str
    detail: str
    total: int
    total_millis: int
    before: int
    extra: int
    free: int
    days: tuple[DayLine, ...]
    hours: tuple[tuple[int, ...], ...]
    """Minutes of use by day and local hour."""
    programs: tuple[Part, ...] = ()
    groups: tuple[Part, ...] = ()
    sites: tuple[Part, ...] = ()
    """Minutes in which a host was asked for; a page asks for several, so they need not add up to the time of use."""
    site_limits: tuple[Part, ...] = ()
    """Sites and groups of them with minutes of their own."""
    requests: tuple[Line, ...] = ()
    grants: tuple[Line, ...] = ()
    blocked: tuple[Line, ...] = ()
    blocked_sites: tuple[Line, ...] = ()
    notable: tuple[Line, ...] = ()
    prompts: tuple[Prompt, ...] = ()


class Week(Struct, frozen=True, kw_only=True):
    """A family's week."""

    schema: str = SCHEMA
    first: str
    last: str
    in_progress: bool
    zone: str
    children: tuple[ChildWeek, ...]
    protection: str = ""
    notes: tuple[str, ...] = ()
    machine: tuple[Line, ...] = ()


def weekly(facts: WeekFacts) -> Week:
    """The page of a week."""
    first = dt.date.fromisoformat(facts.first)
    last = first + dt.timedelta(days=6)
    return Week(
        first=facts.first,
        last=last.isoformat(),
        in_progress=facts.today <= last.isoformat(),
        zone=facts.zone,
        children=tuple(_child(child, facts, first) for child in facts.children),
        protection=facts.protection,
        notes=facts.notes,
        machine=tuple(Line(day=e.day, text=e.text, count=e.count) for e in facts.machine),
    )


def _child(facts: ChildFacts, week: WeekFacts, first: dt.date) -> ChildWeek:
    dates = [(first + dt.timedelta(days=n)).isoformat() for n in range(7)]
    earlier = [(first + dt.timedelta(days=n - 7)).isoformat() for n in range(7)]
    total = _by_day(facts.rows, "total")
    extra, free = _by_day(facts.rows, "extra"), _by_day(facts.rows, "free")
    millis = [total.get(date, 0) for date in dates]
    whole = sum(millis)
    seconds = shares(millis, whole // SECOND)
    days = tuple(
        DayLine(
            date=date,
            name=DAY_NAMES[n],
            seconds=seconds[n],
            millis=millis[n],
            budget=None if (budget := facts.budgets[n]) is None else budget // SECOND,
            before=total.get(earlier[n], 0) // SECOND,
            extra=extra.get(date, 0) // SECOND,
            free=free.get(date, 0) // SECOND,
            over=budget is not None and millis[n] - extra.get(date, 0) > budget,
            future=date > week.today,
        )
        for n, date in enumerate(dates)
    )
    inside = [row for row in facts.rows if row.day >= dates[0]]
    blocked = [e for e in facts.events if e.kind in ("blocked", "asked")]
    shut = [e for e in facts.events if e.kind == "site-blocked"]
    result = ChildWeek(
        child=facts.child,
        detail=facts.detail,
        total=whole // SECOND,
        total_millis=whole,
        before=sum(total.get(date, 0) for date in earlier) // SECOND,
        extra=sum(extra.get(date, 0) for date in dates) // SECOND,
        free=sum(free.get(date, 0) for date in dates) // SECOND,
        days=days,
        hours=_hours(inside, dates),
        programs=_parts(inside, "program", week.titles) if facts.detail == "programs" else (),
        groups=_parts(inside, "group", {}) if facts.detail in ("programs", "groups") else (),
        sites=_parts(inside, "site", {}) if facts.detail == "programs" else (),
        site_limits=_parts(inside, "site-rule", {}) if facts.detail in ("programs", "groups") else (),
        requests=tuple(_request(r, week.zone) for r in reversed(facts.requests)),
        grants=tuple(_grant(g, week) for g in facts.grants),
        blocked=_blocked(blocked, "{} was started but not allowed.", week.titles)
        if facts.detail == "programs"
        else _in_all(blocked, "Programs were started but not allowed."),
        blocked_sites=_blocked(shut, "{} was asked for and is not open.", {})
        if facts.detail == "programs"
        else _in_all(shut, "Sites were asked for that are not open."),
        notable=tuple(
            Line(day=e.day, text=e.text, count=e.count)
            for e in facts.events
            if e.kind in ("unobserved", "clock", "tamper", "degraded", "disagreement", "lost")
        ),
    )
    return msgspec.structs.replace(result, prompts=prompts(result))


def shares(parts: Sequence[Millis], whole: int) -> list[int]:
    """Whole seconds for parts in milliseconds that add up to ``whole`` (the sum's whole seconds)."""
    found = [part // SECOND for part in parts]
    rest = whole - sum(found)
    for at in sorted(range(len(parts)), key=lambda n: (-(parts[n] % SECOND), n))[: max(0, rest)]:
        found[at] += 1
    return found


def prompts(week: ChildWeek) -> tuple[Prompt, ...]:
    """Two or three things to talk about, each with its fact; praise first."""
    found: list[Prompt] = []
    past = [day for day in week.days if not day.future]
    kept = [day for day in past if day.budget is not None and not day.over]
    limited = [day for day in past if day.budget is not None]
    if limited and len(kept) == len(limited) and week.total:
        found.append(
            Prompt(
                text="The limits were kept all week. Say so: it is worth noticing.",
                fact=f"{len(kept)} of {len(limited)} days within the budget",
            )
        )
    asked = sum(line.count for line in week.blocked)
    if asked >= 3:
        found.append(
            Prompt(
                text=f"{week.blocked[0].text} Is there something {week.child} would like to have, or is missing?",
                fact=f"{asked} starts of programs that are not on the list",
            )
        )
    if week.before >= 1800 and abs(week.total - week.before) * 4 >= week.before:
        more = week.total > week.before
        found.append(
            Prompt(
                text=f"This week was {'longer' if more else 'shorter'} than the last. What was different?",
                fact=f"{_words(week.total)} after {_words(week.before)} the week before",
            )
        )
    if week.programs and week.total >= 1800 and week.programs[0].seconds * 2 >= week.total:
        top = week.programs[0]
        found.append(
            Prompt(
                text=f"Most of the time went to {top.title}. Let {week.child} show you what is good about it.",
                fact=f"{_words(top.seconds)} in {top.title}",
            )
        )
    if week.extra and len(found) < 3:
        found.append(
            Prompt(
                text="There was extra time. If it is needed every week, the budget may be too small.",
                fact=f"{_words(week.extra)} of extra time used",
            )
        )
    late = sum(sum(hours[21:]) for hours in week.hours)
    if late >= 30 and len(found) < 3:
        found.append(Prompt(text="Some evenings were late. How was the sleep?", fact=f"{late} min after 21:00"))
    return tuple(found[:3])


def _words(seconds: int) -> str:
    return duration_words(seconds * SECOND)


def _by_day(rows: Iterable[Charge], kind: str) -> dict[str, Millis]:
    found: dict[str, Millis] = {}
    for row in rows:
        if row.kind == kind:
            found[row.day] = found.get(row.day, 0) + row.millis
    return found


def _hours(rows: Iterable[Charge], dates: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    table = [[0] * 24 for _ in dates]
    for row in rows:
        if row.kind in ("total", "free") and row.day in dates:
            table[dates.index(row.day)][row.hour] += row.millis
    # An hour that comes twice when clocks go back may hold two; shown as what it is.
    return tuple(tuple(min(2 * HOUR, millis) // MINUTE for millis in hours) for hours in table)


def _parts(rows: Iterable[Charge], kind: str, titles: Mapping[str, str]) -> tuple[Part, ...]:
    found: dict[str, Millis] = {}
    for row in rows:
        if row.kind == kind:
            found[row.key] = found.get(row.key, 0) + row.millis
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:MOST_SHOWN], ordered[MOST_SHOWN:]
    if rest:
        shown.append(("", sum(millis for _, millis in rest)))
    seconds = shares([millis for _, millis in shown], sum(millis for _, millis in shown) // SECOND)
    return tuple(
        Part(key=key, title=titles.get(key, key) if key else f"{len(rest)} others", seconds=part)
        for (key, _), part in zip(shown, seconds, strict=True)
    )


def _request(request: Request, zone: str) -> Line:
    what = {
        "time": f"{_words(abs(request.seconds))} more",
        "program": f"the program {request.subject}",
        "site": f"the site {request.subject}",
        "comment": "a comment",
    }[request.kind]
    answer = {"open": "not answered yet", "granted": "granted", "refused": "refused", "expired": "never answered"}
    text = f"Asked for {what}" + (f" (“{request.text}”)" if request.text else "") + f": {answer[request.state]}"
    text += f" by {request.by}" if request.by else ""
    text += f" (“{request.reply}”)" if request.reply else ""
    return Line(day=_date(request.asked, zone), text=text + ".")


def _grant(grant: Grant, week: WeekFacts) -> Line:
    match grant.kind:
        case "time":
            what = f"gave {_words(grant.seconds)}" if grant.seconds >= 0 else f"took {_words(-grant.seconds)}"
        case "program" | "site":
            subject = grant.subject.rpartition(":")[2]
            what = f"allowed {week.titles.get(subject, subject)} for a while"
        case "refusal" | "site-refusal":
            what = f"said no to {grant.title or grant.subject} for the day"
        case "pause":
            what = "let the limits rest for a while"
        case _:
            what = "paused the PC"
    note = f" (“{grant.note}”)" if grant.note else ""
    return Line(day=grant.day or _date(grant.given, week.zone), text=f"{grant.by} {what}{note}.")


def _date(wall: Millis, zone: str) -> str:
    return dt.datetime.fromtimestamp(wall / 1000, ZoneInfo(zone)).date().isoformat()


def _blocked(events: Sequence[LedgerEvent], sentence: str, titles: Mapping[str, str]) -> tuple[Line, ...]:
    counts: dict[str, tuple[int, str]] = {}
    for event in events:
        count, day = counts.get(event.subject, (0, event.day))
        counts[event.subject] = (count + event.count, min(day, event.day))
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(
        Line(day=day, text=sentence.format(titles.get(subject, subject)), count=count)
        for subject, (count, day) in ordered[:MOST_SHOWN]
    )


def _in_all(events: Sequence[LedgerEvent], sentence: str) -> tuple[Line, ...]:
    if not events:
        return ()
    day = min(event.day for event in events)
    return (Line(day=day, text=sentence, count=sum(e.count for e in events)),)
