"""The week as text: 78 columns, sensible when read aloud."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from agent.clock import SECOND
from agent.core.timewords import duration_words
from agent.summary.weekly import ChildWeek, DayLine, Line, Part, Week

WIDTH = 78
NOTHING = "Nothing."


def render(week: Week) -> str:
    """The page as text."""
    out = [f"Fairtime: the week from {week.first} to {week.last}" + (" (not over yet)" if week.in_progress else "")]
    if week.protection:
        out.append(f"This PC: {week.protection}.")
    out += [_wrapped(note, "  ! ") for note in week.notes]
    for child in week.children:
        out += ["", *_child(child)]
    if week.machine:
        out += ["", "About this PC", *_lines(week.machine)]
    out += ["", _wrapped("Guardian and child see the same page. It never leaves this PC by itself.", "")]
    return "\n".join(out) + "\n"


def words(seconds: int) -> str:
    """``1 h 05 min``."""
    return duration_words(seconds * SECOND) if seconds else "0 min"


def _child(child: ChildWeek) -> Iterable[str]:
    yield child.child.upper()
    yield f"{words(child.total)} counted this week, {words(child.before)} the week before."
    if child.extra:
        yield f"{words(child.extra)} of it was extra time from a guardian."
    if child.free:
        yield f"{words(child.free)} more did not count (learning, free hours)."
    yield ""
    for day in child.days:
        yield _day(day)
    yield from _section("Programs", _parts(child.programs))
    yield from _section("Groups", _parts(child.groups))
    yield from _section("Sites with minutes of their own", _parts(child.site_limits))
    yield from _section("Sites (minutes in which each was asked for)", _parts(child.sites))
    yield from _section("Asked", _lines(child.requests))
    yield from _section("Given", _lines(child.grants))
    yield from _section("Not allowed", _lines(child.blocked))
    yield from _section("Sites that are not open", _lines(child.blocked_sites))
    yield from _section("Worth knowing", _lines(child.notable))
    yield from _section("To talk about", [_wrapped(f"{p.text} ({p.fact})", "  - ") for p in child.prompts])


def _day(day: DayLine) -> str:
    if day.future:
        return f"  {day.name:<10} still to come"
    of = f" of {words(day.budget)}" if day.budget is not None else ""
    over = "  over" if day.over else ""
    extra = f"  +{words(day.extra)} extra" if day.extra else ""
    return f"  {day.name:<10} {words(day.seconds):>12}{of}{extra}{over}".rstrip()


def _parts(parts: Iterable[Part]) -> list[str]:
    return [f"  {words(part.seconds):>12}  {part.title}" for part in parts]


def _lines(lines: Iterable[Line]) -> list[str]:
    return [
        _wrapped(f"{line.day}  {line.text}" + (f" ({line.count} times)" if line.count > 1 else ""), "  ")
        for line in lines
    ]


def _section(title: str, lines: list[str]) -> Iterable[str]:
    if lines:
        yield from ("", title, *lines)


def _wrapped(text: str, lead: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
