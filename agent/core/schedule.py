"""Days, hours and spans of time in the policy's own zone, right on days when clocks change.

Wall times are milliseconds UTC.  Hours of the day are minutes since local midnight.  A *policy day* starts at the reset
hour and is named by the calendar date on which it starts.  A window belongs to the calendar date on which it opens.

A local time that does not exist (clocks go forward) stands for the moment an hour later; one that comes twice (clocks go
back) for its first coming: both as ``datetime`` with ``fold=0`` reckons it (PEP 495), so that adjacent windows stay
adjacent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from functools import lru_cache
from zoneinfo import ZoneInfo

from agent.clock import DAY, HOUR, MINUTE, Millis

MinuteSpan = tuple[int, int]
"""Minutes since local midnight; an end at or before the start, or beyond 1440, lies on the next day."""
Span = tuple[Millis, Millis]

_UTC = dt.UTC
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=_UTC)
_MILLI = dt.timedelta(milliseconds=1)


def local(wall: Millis, zone: ZoneInfo) -> dt.datetime:
    """The local time at ``wall``."""
    return (_EPOCH + wall * _MILLI).astimezone(zone)


def wall_of(date: dt.date, minute: int, zone: ZoneInfo) -> Millis:
    """The wall time of a local minute of ``date``; ``minute`` may exceed a day."""
    naive = dt.datetime(date.year, date.month, date.day) + dt.timedelta(minutes=minute)
    return (naive.replace(tzinfo=zone) - _EPOCH) // _MILLI


def policy_day(wall: Millis, zone: ZoneInfo, reset: int) -> dt.date:
    """The policy day at ``wall``; ``reset`` in minutes since midnight."""
    start = local(wall, zone).date()
    return start if wall >= wall_of(start, reset, zone) else start - dt.timedelta(days=1)


@lru_cache(maxsize=64)
def day_bounds(day: dt.date, zone: ZoneInfo, reset: int) -> Span:
    """Start and end of a policy day: 23, 24 or 25 hours apart."""
    return wall_of(day, reset, zone), wall_of(day + dt.timedelta(days=1), reset, zone)


def week_start(day: dt.date) -> dt.date:
    """The Monday of the week of ``day``."""
    return day - dt.timedelta(days=day.weekday())


@lru_cache(maxsize=64)
def day_names(first: dt.date, last: dt.date) -> tuple[str, ...]:
    """The ISO names of the days from ``first`` to ``last``, as the ledger's sums are filed by."""
    return tuple((first + dt.timedelta(days=n)).isoformat() for n in range((last - first).days + 1))


def next_hour(wall: Millis, zone: ZoneInfo) -> Millis:
    """The wall time at which the local hour changes next."""
    at = local(wall, zone)
    into = at.minute * MINUTE + at.second * 1000 + at.microsecond // 1000
    candidate = wall + HOUR - into
    # A half-hour shift (Lord Howe Island) may change the hour earlier than an hour's end.
    halfway = wall + HOUR // 2 - into % (HOUR // 2)
    return halfway if halfway < candidate and local(halfway, zone).hour != at.hour else candidate


def spans(
    hours: Callable[[dt.date], tuple[MinuteSpan, ...] | None], first: dt.date, days: int, zone: ZoneInfo
) -> tuple[Span, ...]:
    """The merged spans that open on ``days`` calendar dates from ``first``; a date without hours (``None``) is all open."""
    found: list[Span] = []
    for offset in range(days):
        date = first + dt.timedelta(days=offset)
        given = hours(date)
        for start, end in ((0, 24 * 60),) if given is None else given:
            stop = end if end > start else end + 24 * 60
            found.append((wall_of(date, start, zone), wall_of(date, stop, zone)))
    return merged(found)


def merged(found: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted spans without overlaps or seams."""
    result: list[Span] = []
    for start, end in sorted(span for span in found if span[1] > span[0]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


def holding(wall: Millis, among: Iterable[Span]) -> Span | None:
    """The span that holds ``wall`` (start included, end not)."""
    for span in among:
        if span[0] <= wall < span[1]:
            return span
    return None


def opening(wall: Millis, among: Iterable[Span]) -> Millis | None:
    """When the next span after ``wall`` opens."""
    return min((start for start, _ in among if start > wall), default=None)


def horizon(wall: Millis) -> Millis:
    """Beyond this, a span that is still open is as good as endless."""
    return wall + 2 * DAY
