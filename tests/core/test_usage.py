"""Folding what was seen into minutes: where an interval is cut, what is charged to what."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from agent.clock import HOUR, MINUTE, SECOND
from agent.core.activity import Activity
from agent.core.schedule import local, next_hour, policy_day, wall_of
from agent.core.usage import Seen, _calendar, added, fold, new_day, rested
from agent.model.usage import Charge, DayUse, Folding, Usage
from tests.core.scene import LISBON, clock

REST = 10 * MINUTE


def seen(**how: object) -> Seen:
    return Seen(**{"child": "mia", "activity": Activity.USED, **how})


def charges(
    what: Seen, start: int, awake: int, slept: int = 0, folding: Folding | None = None, reset: int = 180
) -> list[tuple[str, int, str, str, int]]:
    out = fold(folding or Folding(), what, start, awake, slept, LISBON, reset, REST)
    assert all(charge.child == "mia" for charge in out.charges)
    return [(c.day, c.hour, c.kind, c.key, c.millis) for c in out.charges]


DAY = "2026-03-02"


def test_use_is_charged_by_hour_and_to_what_ran() -> None:
    found = charges(seen(programs=("chess", "sums"), groups=("games",)), clock("15:50"), 20 * MINUTE)
    rows = [("total", ""), ("program", "chess"), ("program", "sums"), ("group", "games")]
    assert found == [(DAY, hour, kind, key, 10 * MINUTE) for hour in (15, 16) for kind, key in rows]


def test_an_interval_is_cut_where_the_policy_day_begins() -> None:
    found = charges(seen(), clock("02:30"), HOUR)
    assert found == [("2026-03-01", 2, "total", "", 30 * MINUTE), (DAY, 3, "total", "", 30 * MINUTE)]
    half_past = charges(seen(), clock("02:20"), 20 * MINUTE, reset=150)
    assert half_past == [("2026-03-01", 2, "total", "", 10 * MINUTE), (DAY, 2, "total", "", 10 * MINUTE)]
    after = charges(seen(), clock("02:30"), 20 * MINUTE, reset=150)
    assert after == [(DAY, 2, "total", "", 20 * MINUTE)]


def test_hours_that_do_not_count_are_cut_out() -> None:
    free = ((clock("15:10"), clock("15:20")), (clock("18:00"), clock("19:00")))
    assert charges(seen(free=free), clock("15:00"), 30 * MINUTE) == [
        (DAY, 15, "total", "", 10 * MINUTE),
        (DAY, 15, "free", "", 10 * MINUTE),
        (DAY, 15, "total", "", 10 * MINUTE),
    ]


@pytest.mark.parametrize("how", [{"paused": True}, {"counts": False}])
def test_what_does_not_count_is_still_recorded(how: dict[str, object]) -> None:
    found = charges(seen(programs=("sums",), natural_left=0, extra_left=HOUR, **how), clock("15:00"), MINUTE)
    assert found == [(DAY, 15, "free", "", MINUTE), (DAY, 15, "program", "sums", MINUTE)]


def test_extra_time_pays_what_lies_beyond_the_natural_minutes() -> None:
    what = seen(natural_left=10 * MINUTE, extra_left=5 * MINUTE)
    assert charges(what, clock("15:00"), 8 * MINUTE) == [(DAY, 15, "total", "", 8 * MINUTE)]
    assert charges(what, clock("15:00"), 12 * MINUTE)[1:] == [(DAY, 15, "extra", "", 2 * MINUTE)]
    assert charges(what, clock("15:00"), 40 * MINUTE)[1:] == [(DAY, 15, "extra", "", 5 * MINUTE)]
    assert charges(seen(extra_left=HOUR), clock("15:00"), 40 * MINUTE) == [(DAY, 15, "total", "", 40 * MINUTE)]


def test_extra_time_is_paid_once_over_the_pieces_of_an_interval() -> None:
    what = seen(natural_left=10 * MINUTE, extra_left=15 * MINUTE)
    found = charges(what, clock("15:55"), 25 * MINUTE)
    assert found == [
        (DAY, 15, "total", "", 5 * MINUTE),
        (DAY, 16, "total", "", 20 * MINUTE),
        (DAY, 16, "extra", "", 15 * MINUTE),
    ]
    what = seen(natural_left=0, extra_left=8 * MINUTE)
    found = charges(what, clock("15:55"), 25 * MINUTE)
    assert [(hour, kind, millis // MINUTE) for _, hour, kind, _, millis in found] == [
        (15, "total", 5),
        (15, "extra", 5),
        (16, "total", 20),
        (16, "extra", 3),
    ]


def test_nobody_there_is_nothing_charged() -> None:
    for state in (Activity.ABSENT, Activity.AWAY):
        assert charges(seen(activity=state, programs=("chess",)), clock("15:00"), HOUR) == []
    assert charges(seen(), clock("15:00"), 0, slept=HOUR) == []


def test_an_unconfirmed_hint_is_let_go_a_quarter_at_a_time_and_an_hour_a_day() -> None:
    unsure = seen(activity=Activity.UNCONFIRMED)
    assert charges(unsure, clock("15:00"), 20 * MINUTE) == [
        (DAY, 15, "unconfirmed", "", 15 * MINUTE),
        (DAY, 15, "total", "", 5 * MINUTE),
    ]
    fifty = Folding(unconfirmed_day=DAY, unconfirmed_today=50 * MINUTE)
    assert charges(unsure, clock("15:00"), 20 * MINUTE, folding=fifty)[0][4] == 10 * MINUTE
    yesterday = Folding(unconfirmed_day="2026-03-01", unconfirmed_today=HOUR)
    assert charges(unsure, clock("15:00"), 20 * MINUTE, folding=yesterday)[0][4] == 15 * MINUTE
    running = Folding(unconfirmed=10 * MINUTE, unconfirmed_day=DAY, unconfirmed_today=10 * MINUTE)
    assert charges(unsure, clock("15:00"), 20 * MINUTE, folding=running)[0][4] == 5 * MINUTE
    spent = Folding(unconfirmed=HOUR, unconfirmed_day=DAY, unconfirmed_today=2 * HOUR)
    assert charges(unsure, clock("15:00"), MINUTE, folding=spent) == [(DAY, 15, "total", "", MINUTE)]


def folded(what: Seen, folding: Folding, awake: int, slept: int = 0) -> Folding:
    return fold(folding, what, clock("15:00"), awake, slept, LISBON, 180, REST).folding


def test_the_running_state_after_use_unsure_idle_and_sleep() -> None:
    begun = Folding(
        streak=20 * MINUTE, resting=3 * MINUTE, unconfirmed=MINUTE, unconfirmed_day=DAY, unconfirmed_today=4
    )
    assert folded(seen(), begun, 5 * MINUTE) == Folding(
        streak=25 * MINUTE, resting=0, unconfirmed=0, unconfirmed_day=DAY, unconfirmed_today=4, in_use=True
    )
    assert folded(seen(activity=Activity.UNCONFIRMED), begun, 5 * MINUTE) == Folding(
        streak=20 * MINUTE,
        resting=8 * MINUTE,
        unconfirmed=6 * MINUTE,
        unconfirmed_day=DAY,
        unconfirmed_today=5 * MINUTE + 4,
        in_use=False,
    )
    assert folded(seen(activity=Activity.TOUCHED), begun, 5 * MINUTE) == Folding(
        streak=25 * MINUTE, resting=0, unconfirmed=6 * MINUTE, unconfirmed_day=DAY, unconfirmed_today=4, in_use=True
    )
    assert folded(seen(activity=Activity.AWAY), begun, 7 * MINUTE) == Folding(
        streak=0, resting=10 * MINUTE, unconfirmed_day=DAY, unconfirmed_today=4
    )
    assert folded(seen(), begun, MINUTE, slept=REST) == Folding(
        streak=0, resting=REST, unconfirmed_day=DAY, unconfirmed_today=4, in_use=True
    )
    assert folded(seen(), begun, MINUTE, slept=0).resting == 0


def test_only_a_rest_that_is_long_enough_ends_a_streak() -> None:
    begun = Folding(streak=HOUR, resting=MINUTE)
    assert rested(begun, MINUTE, REST) == Folding(streak=HOUR, resting=2 * MINUTE)
    assert rested(begun, REST - MINUTE, REST) == Folding(streak=0, resting=REST)
    assert rested(begun, HOUR, 0) == Folding(streak=HOUR, resting=HOUR + MINUTE)


def charge(kind: str, millis: int, key: str = "", child: str = "mia", day: str = DAY) -> Charge:
    return Charge(child=child, day=day, hour=15, kind=kind, key=key, millis=millis)


def test_charges_add_up_by_day_program_and_group() -> None:
    before = Usage(
        child="mia",
        days={DAY: DayUse(total=1, extra=2, programs={"chess": 3}, groups={"games": 4}, sites={"videos": 5})},
    )
    more = [
        charge("total", 99, child="leo"),
        charge("total", 10),
        charge("extra", 20),
        charge("program", 30, "chess"),
        charge("program", 31, "sums"),
        charge("group", 40, "games"),
        charge("group", 41, "school"),
        charge("site-rule", 50, "videos"),
        charge("site-rule", 51, "chess.org"),
        charge("site", 60, "chess.org"),
        charge("free", 50),
        charge("total", 60, day="2026-03-03"),
    ]
    assert added(before, more) == Usage(
        child="mia",
        days={
            DAY: DayUse(
                total=11,
                extra=22,
                programs={"chess": 33, "sums": 31},
                groups={"games": 44, "school": 41},
                sites={"videos": 55, "chess.org": 51},
            ),
            "2026-03-03": DayUse(total=60),
        },
    )


def test_a_new_day_forgets_what_is_too_old_and_forgives_a_lost_ledger() -> None:
    today = dt.date(2026, 3, 2)
    days = {(today - dt.timedelta(days=n)).isoformat(): DayUse(total=n) for n in (0, 40, 41)}
    after = new_day(Usage(child="mia", days=days, since="x", lost=True), today.isoformat())
    assert after == Usage(child="mia", since="x", days={d: u for d, u in days.items() if u.total < 41})


def test_seconds_are_not_lost_to_many_cuts() -> None:
    free = ((clock("15:00") + 1, clock("15:00") + 3 * SECOND),)
    found = charges(seen(free=free), clock("15:00"), 5 * SECOND)
    assert [(kind, millis) for _, _, kind, _, millis in found] == [
        ("total", 1),
        ("free", 2_999),
        ("total", 2_000),
    ]


@pytest.mark.parametrize("zone", ["Europe/Lisbon", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("reset", [0, 180, 195])
def test_the_calendar_of_a_minute_holds_for_all_of_it(zone: str, reset: int) -> None:
    """Also around the days on which clocks change, where hours are half as long or come twice."""
    where = ZoneInfo(zone)
    for day in (dt.date(2026, 3, 29), dt.date(2026, 4, 5), dt.date(2026, 10, 25), dt.date(2026, 11, 1)):
        for minute in range(0, 26 * 60, 7):
            wall = wall_of(day, minute, where)
            for at in (wall, wall + 1, wall + MINUTE - 1):
                hour, name, end = _calendar(at // MINUTE, where, reset)
                assert hour == local(at, where).hour
                assert name == policy_day(at, where, reset).isoformat()
                assert end == next_hour(at, where)
