"""Days, hours and spans in the policy's zone."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from agent.clock import DAY, HOUR, MINUTE
from agent.core.schedule import (
    day_bounds,
    holding,
    horizon,
    local,
    merged,
    next_hour,
    opening,
    policy_day,
    spans,
    wall_of,
    week_start,
)
from tests.core.scene import LISBON, MONDAY, at, clock

LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
KOLKATA = ZoneInfo("Asia/Kolkata")


def utc(*when: int) -> int:
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp()) * 1000


def test_local_time_and_wall_time_are_each_others_inverse() -> None:
    assert wall_of(dt.date(2026, 7, 1), 90, LISBON) == utc(2026, 7, 1, 0, 30)
    assert local(utc(2026, 7, 1, 0, 30) + 7, LISBON).isoformat() == "2026-07-01T01:30:00.007000+01:00"
    assert wall_of(dt.date(2026, 1, 31), 24 * 60 + 5, LISBON) == utc(2026, 2, 1, 0, 5)


def test_a_local_time_that_is_skipped_is_an_hour_later_and_one_that_comes_twice_its_first() -> None:
    spring, autumn = dt.date(2026, 3, 29), dt.date(2026, 10, 25)
    assert wall_of(spring, 90, LISBON) == utc(2026, 3, 29, 1, 30)  # 01:30 does not exist: 02:30 summer time
    assert wall_of(autumn, 90, LISBON) == utc(2026, 10, 25, 0, 30)


def test_the_policy_day_begins_at_the_reset_hour() -> None:
    assert policy_day(clock("03:00") - 1, LISBON, 180) == MONDAY - dt.timedelta(days=1)
    assert policy_day(clock("03:00"), LISBON, 180) == MONDAY
    assert policy_day(clock("23:59"), LISBON, 180) == MONDAY
    assert policy_day(clock("00:00"), LISBON, 0) == MONDAY
    assert day_bounds(MONDAY, LISBON, 180) == (clock("03:00"), clock("03:00") + DAY)


def test_the_week_begins_on_monday() -> None:
    assert [week_start(MONDAY + dt.timedelta(days=n)) for n in (0, 1, 6)] == [MONDAY] * 3
    assert week_start(MONDAY - dt.timedelta(days=1)) == MONDAY - dt.timedelta(days=7)


@pytest.mark.parametrize(
    ("wall", "zone", "after"),
    [
        (clock("15:00"), LISBON, HOUR),
        (clock("15:00") + 1, LISBON, HOUR - 1),
        (at(15 * 60 + 59) + 59_999, LISBON, 1),
        (at(15 * 60 + 20) + 3_004, LISBON, 40 * MINUTE - 3_004),
        (utc(2026, 1, 1, 0, 10), KOLKATA, 20 * MINUTE),  # 05:40 there
        (utc(2026, 10, 3, 15, 10), LORD_HOWE, 20 * MINUTE),  # 01:40 there; at 02:00 clocks go to 02:30
        (utc(2026, 4, 4, 14, 40), LORD_HOWE, 20 * MINUTE),  # 01:40; at 02:00 clocks go back to 01:30
        (utc(2026, 3, 29, 0, 40), LISBON, 20 * MINUTE),
    ],
)
def test_the_next_hour(wall: int, zone: ZoneInfo, after: int) -> None:
    assert next_hour(wall, zone) == wall + after


def test_where_clocks_shift_by_half_an_hour_the_hour_may_change_at_its_half() -> None:
    # Lord Howe, 5 April 2026: 02:00 summer time becomes 01:30.  From 01:30 (again) the hour lasts half an hour.
    again = utc(2026, 4, 4, 15, 0)
    assert local(again, LORD_HOWE).strftime("%H:%M") == "01:30"
    assert next_hour(again, LORD_HOWE) == again + HOUR // 2
    # 4 October 2026: 02:00 becomes 02:30.
    gap = utc(2026, 10, 3, 15, 30)
    assert local(gap, LORD_HOWE).strftime("%H:%M") == "02:30"
    assert local(gap - 1, LORD_HOWE).strftime("%H:%M") == "01:59"
    assert next_hour(gap - 10 * MINUTE, LORD_HOWE) == gap


def test_spans_of_several_days() -> None:
    day = {0: ((9 * 60, 12 * 60), (11 * 60, 13 * 60)), 1: ((22 * 60, 2 * 60),), 2: (), 3: None}
    found = spans(lambda date: day[(date - MONDAY).days], MONDAY, 4, LISBON)
    tuesday, thursday = MONDAY + dt.timedelta(days=1), MONDAY + dt.timedelta(days=3)
    assert found == (
        (clock("09:00"), clock("13:00")),
        (clock("22:00", tuesday), clock("02:00", tuesday + dt.timedelta(days=1))),
        (clock("00:00", thursday), clock("24:00", thursday)),
    )


def test_the_same_minute_twice_is_a_whole_day() -> None:
    assert spans(lambda _: ((60, 60),), MONDAY, 1, LISBON) == ((clock("01:00"), clock("25:00")),)


def test_merging() -> None:
    assert merged([(5, 7), (1, 3), (3, 4), (6, 6), (9, 8), (6, 10), (6, 9)]) == ((1, 4), (5, 10))
    assert merged([]) == ()


def test_holding_and_opening() -> None:
    found = ((10, 20), (30, 40))
    assert [holding(wall, found) for wall in (9, 10, 19, 20, 35)] == [None, (10, 20), (10, 20), None, (30, 40)]
    assert [opening(wall, found) for wall in (9, 10, 29, 30)] == [10, 30, 30, None]
    assert opening(5, ((30, 40), (10, 20))) == 10


def test_two_days_are_as_good_as_endless() -> None:
    assert horizon(5) == 5 + 2 * DAY
