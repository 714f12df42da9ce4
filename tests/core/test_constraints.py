"""Every limit that bears on a child's time: what it leaves, when there is more, which binds, and the sentence."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import DAY, HOUR, MINUTE, Millis
from agent.core.constraints import Allowance, allowance, moment, saved, takeable
from agent.core.rules import ChildRules
from agent.core.saying import say
from agent.model.grant import Grant
from agent.model.usage import DayUse, Folding, Usage
from agent.model.verdict import Constraint
from tests.core.scene import MONDAY, clock, extra, mia, now, used

TOMORROW = clock("03:00") + DAY
RESTED = Folding()
NOTHING = Usage(child="mia", since="2026-01-01")


def left(
    child: ChildRules,
    text: str = "15:00",
    usage: Usage = NOTHING,
    *grants: Grant,
    folding: Folding = RESTED,
    counts: bool = True,
    day: dt.date = MONDAY,
) -> Allowance:
    return allowance(child, now(child, text, day), usage, grants, folding, counts)


def only(found: Allowance) -> Constraint:
    (constraint,) = found.constraints
    assert found.binding == constraint
    return told(constraint)


def told(constraint: Constraint | None) -> Constraint:
    """The limit without its sentence for other languages, which says the same in English."""
    assert constraint is not None
    assert constraint.said is not None
    assert say(constraint.said) == constraint.sentence
    return replace(constraint, said=None)


def test_without_limits_nothing_binds() -> None:
    found = left(mia())
    assert found == Allowance(None, 0, None, (), None, True)


# ---- hours -------------------------------------------------------------------------------------------------------


def test_inside_and_outside_hours() -> None:
    child = mia('windows = { all = ["15:00-18:00", "19:30-20:00"] }')
    inside = only(left(child, "15:00"))
    assert inside == Constraint(
        kind="window", rule="mia/windows", left=3 * HOUR, sentence="Your hours end at 18:00.", again=clock("19:30")
    )
    outside = left(child, "18:00")
    assert only(outside) == Constraint(
        kind="window",
        rule="mia/windows",
        left=0,
        sentence="This is outside your hours. You can use the PC again at 19:30.",
        again=clock("19:30"),
    )
    assert (outside.natural, outside.remaining, outside.only_minutes) == (0, 0, False)
    assert left(child, "15:00").only_minutes is True
    late = only(left(child, "20:00"))
    assert late.sentence == "This is outside your hours. You can use the PC again on Tuesday at 15:00."
    assert late.again == clock("15:00") + DAY


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("mon", "Monday"),
        ("tue", "Tuesday"),
        ("wed", "Wednesday"),
        ("thu", "Thursday"),
        ("fri", "Friday"),
        ("sat", "Saturday"),
        ("sun", "Sunday"),
    ],
)
def test_the_next_opening_is_named_by_its_day(day: str, words: str) -> None:
    child = mia(f'windows = {{ all = [], {day} = ["10:00-11:00"] }}')
    found = only(left(child, "20:00"))
    assert found.sentence == f"This is outside your hours. You can use the PC again on {words} at 10:00."


def test_hours_that_never_come_wait_for_a_guardian() -> None:
    found = only(left(mia("windows = { all = [] }")))
    assert found.sentence == "This is outside your hours. You can use the PC again when a guardian says so."
    assert found.again is None


def test_an_opening_after_midnight_but_before_the_day_ends_is_today() -> None:
    child = mia('windows = { all = ["01:00-02:00"] }')
    assert only(left(child, "20:00")).sentence.endswith("again at 01:00.")
    assert only(left(child, "02:30")).sentence.endswith("again on Tuesday at 01:00.")
    assert only(left(child, "00:30")).sentence.endswith("again at 01:00.")


def test_a_window_runs_over_midnight_and_into_free_hours() -> None:
    child = mia('windows = { all = ["22:00-02:00"] }\nfree = { tue = ["02:00-03:00"] }')
    assert only(left(child, "23:00")).left == 4 * HOUR  # to 02:00, and on to 03:00 in hours that do not count
    assert only(left(child, "01:00")).left == HOUR


def test_open_day_and_night_is_no_limit() -> None:
    assert left(mia('windows = { all = ["00:00-24:00"] }')).constraints == ()
    week = 'windows = { wed = ["00:00-12:00"] }'
    assert left(mia(week)).constraints[0].left == clock("12:00", MONDAY + dt.timedelta(days=2)) - clock("15:00")
    assert left(mia(week), "11:59").constraints == (), "more than two days away is as good as endless"
    assert left(mia(week), "12:00").constraints != ()


# ---- minutes -----------------------------------------------------------------------------------------------------


def test_a_days_minutes() -> None:
    child = mia('budget = { all = "1h" }')
    found = left(child, usage=used(20))
    assert only(found) == Constraint(
        kind="day", rule="mia/day", left=40 * MINUTE, sentence="40 min left of today's 1 h.", again=TOMORROW
    )
    assert (found.natural, found.extra, found.remaining) == (40 * MINUTE, 0, 40 * MINUTE)
    up = left(child, usage=used(70))
    assert only(up).sentence == "You have used today's 1 h. There is more tomorrow."
    assert (up.natural, up.remaining, up.only_minutes) == (0, 0, True)


def test_a_weeks_minutes_run_from_monday() -> None:
    child = mia('week = "3h"')
    friday = MONDAY + dt.timedelta(days=4)
    usage = Usage(
        child="mia",
        days={
            (MONDAY - dt.timedelta(days=1)).isoformat(): DayUse(total=9 * HOUR),
            MONDAY.isoformat(): DayUse(total=HOUR, extra=10 * MINUTE),
            friday.isoformat(): DayUse(total=HOUR),
        },
    )
    found = only(left(child, usage=usage, day=friday))
    assert found == Constraint(
        kind="week",
        rule="mia/week",
        left=70 * MINUTE,
        sentence="1 h 10 min left of this week's 3 h.",
        again=clock("03:00", MONDAY + dt.timedelta(days=7)),
    )
    used_up = only(left(mia('week = "1h"'), usage=usage, day=friday))
    assert used_up.sentence == "You have used this week's 1 h. There is more on Monday."


@pytest.mark.parametrize(
    ("day", "first"), [(dt.date(2026, 3, 31), dt.date(2026, 4, 1)), (dt.date(2026, 12, 1), dt.date(2027, 1, 1))]
)
def test_a_months_minutes_run_from_the_first(day: dt.date, first: dt.date) -> None:
    days = {
        (day.replace(day=1) - dt.timedelta(days=1)).isoformat(): DayUse(total=9 * HOUR),
        day.replace(day=1).isoformat(): DayUse(total=HOUR),
    }
    found = only(left(mia('month = "20h"'), usage=Usage(child="mia", days=days), day=day))
    assert found == Constraint(
        kind="month",
        rule="mia/month",
        left=19 * HOUR,
        sentence="19 h left of this month's 20 h.",
        again=clock("03:00", first),
    )
    used_up = only(left(mia('month = "1h"'), usage=Usage(child="mia", days=days), day=day))
    assert used_up.sentence == "You have used this month's 1 h. There is more next month."


def test_the_smallest_binds_and_all_are_told_in_order() -> None:
    child = mia('windows = { all = ["09:00-18:00"] }\nbudget = { all = "2h" }\nweek = "90m"\nmonth = "20h"')
    found = left(child)
    assert [c.kind for c in found.constraints] == ["week", "day", "window", "month"]
    assert found.binding == found.constraints[0]
    assert found.remaining == found.natural == 90 * MINUTE


def test_hours_that_do_not_count_come_on_top_of_the_minutes() -> None:
    child = mia('budget = { all = "1h" }\nweek = "2h"\nmonth = "3h"\nfree = { mon = ["15:00-16:00"] }')
    found = left(child, "15:20", used(60))
    assert {c.kind: c.left // MINUTE for c in found.constraints} == {"day": 40, "week": 100, "month": 160}
    assert left(child, "16:00", used(60)).remaining == 0


def test_what_does_not_count_is_not_bound_by_minutes() -> None:
    child = mia('windows = { all = ["15:00-18:00"] }\nbudget = { all = "1h" }')
    assert only(left(child, usage=used(60), counts=False)).kind == "window"


def test_a_lost_ledger_is_no_fresh_budget() -> None:
    lost = replace(NOTHING, lost=True)
    child = mia('budget = { all = "1h" }\nweek = "2h"\nfree = { mon = ["16:00-17:00"] }')
    found = left(child, usage=lost)
    assert only(found) == Constraint(
        kind="day",
        rule="mia/lost",
        left=0,
        sentence="Today's record of use was lost, so today's minutes cannot be given again. A guardian can add time.",
        again=TOMORROW,
    )
    assert left(child, "16:30", lost).remaining == 30 * MINUTE
    helped = left(child, "15:00", lost, extra(10))
    assert (helped.extra, helped.remaining) == (10 * MINUTE, 10 * MINUTE)


# ---- saved minutes -----------------------------------------------------------------------------------------------

SAVING = 'budget = { all = "1h" }\nsave_up_to = "30m"'


def days(**minutes: int) -> Usage:
    """Use by days before Monday: ``d1`` is the day before."""
    return Usage(
        child="mia",
        since="2026-01-01",
        days={
            (MONDAY - dt.timedelta(days=int(key[1:]))).isoformat(): DayUse(total=value * MINUTE)
            for key, value in minutes.items()
        },
    )


@pytest.mark.parametrize(
    ("usage", "minutes"),
    [
        (NOTHING, 30),
        (days(d1=60), 30),  # yesterday's own minutes were used, not those saved before
        (days(d1=75), 15),
        (days(d1=90), 0),
        (days(d1=200), 0),
        (days(d2=200, d1=45), 15),
        (days(d2=200, d1=50), 10),
        (days(d8=0, d7=200, d6=200, d5=200, d4=200, d3=200, d2=200, d1=60), 0),
        (days(d7=60, d6=60, d5=60, d4=60, d3=60, d2=60, d1=60), 0),
        (days(d7=50, d6=60, d5=60, d4=60, d3=60, d2=60, d1=60), 10),
        (replace(NOTHING, since=MONDAY.isoformat()), 0),
        (replace(NOTHING, since=""), 0),
        (replace(days(d1=50), since=(MONDAY - dt.timedelta(days=1)).isoformat()), 10),
    ],
)
def test_unused_minutes_carry_over_within_the_cap(usage: Usage, minutes: int) -> None:
    child = mia(SAVING)
    assert saved(child, MONDAY, usage) == minutes * MINUTE
    found = only(left(child, usage=usage))
    assert found.left == (60 + minutes) * MINUTE


def test_extra_time_does_not_use_up_what_was_saved() -> None:
    yesterday = (MONDAY - dt.timedelta(days=1)).isoformat()
    usage = replace(days(d2=200), days={**days(d2=200).days, yesterday: DayUse(total=HOUR, extra=20 * MINUTE)})
    assert saved(mia(SAVING), MONDAY, usage) == 20 * MINUTE


def test_saving_needs_a_budget_and_a_cap_on_both_days() -> None:
    assert saved(mia('budget = { all = "1h" }'), MONDAY, NOTHING) == 0
    assert saved(mia('save_up_to = "30m"'), MONDAY, NOTHING) == 0
    profile = '[profiles.p]\nsave_up_to = "0m"\n[[exceptions]]\nfrom = "{}"\nprofile = "p"\n'
    assert saved(mia(SAVING, more=profile.format(MONDAY)), MONDAY, NOTHING) == 0
    assert saved(mia(SAVING, more=profile.format(MONDAY - dt.timedelta(days=1))), MONDAY, NOTHING) == 0
    smaller = profile.format(MONDAY).replace("0m", "10m")
    assert saved(mia(SAVING, more=smaller), MONDAY, NOTHING) == 10 * MINUTE


# ---- extra time --------------------------------------------------------------------------------------------------


def test_extra_time_adds_to_what_is_left_and_binds_when_the_rest_is_gone() -> None:
    child = mia('budget = { all = "1h" }')
    some = left(child, "15:00", used(20), extra(30), extra(15, name="h"))
    assert (some.natural, some.extra, some.remaining) == (40 * MINUTE, 45 * MINUTE, 85 * MINUTE)
    assert some.binding is not None
    assert some.binding.kind == "day"
    gone = left(child, "15:00", used(60), extra(30))
    assert gone.remaining == 30 * MINUTE
    assert told(gone.binding) == Constraint(
        kind="grant", rule="mia/extra", left=30 * MINUTE, sentence="30 min of extra time left today."
    )
    assert [c.kind for c in gone.constraints] == ["grant", "day"]


def test_extra_time_also_opens_hours_that_are_shut() -> None:
    found = left(mia('windows = { all = ["09:00-10:00"] }'), "15:00", NOTHING, extra(30))
    assert (found.remaining, found.binding is not None and found.binding.kind) == (30 * MINUTE, "grant")


def test_extra_time_is_for_its_child_its_day_and_used_once() -> None:
    child = mia('budget = { all = "1h" }')
    tomorrow = MONDAY + dt.timedelta(days=1)
    assert left(child, "15:00", NOTHING, extra(30, child="leo"), extra(30, tomorrow)).extra == 0
    part = Usage(child="mia", days={MONDAY.isoformat(): DayUse(total=80 * MINUTE, extra=20 * MINUTE)})
    assert left(child, "15:00", part, extra(30)).remaining == 10 * MINUTE
    over = Usage(child="mia", days={MONDAY.isoformat(): DayUse(total=100 * MINUTE, extra=40 * MINUTE)})
    assert left(child, "15:00", over, extra(30)).extra == 0
    permission = Grant(id="p", child="mia", kind="program", seconds=999, day=MONDAY.isoformat(), given=0, by="ana")
    assert left(child, "15:00", NOTHING, permission).extra == 0


def test_minutes_taken_away() -> None:
    child = mia('budget = { all = "1h" }')
    found = left(child, "15:00", used(20), extra(-15), extra(-99, MONDAY + dt.timedelta(days=1)))
    assert only(found).left == 25 * MINUTE
    assert only(found).sentence == "25 min left of today's 45 min."
    assert left(child, "15:00", used(20), extra(-90)).remaining == 0
    assert (
        only(left(child, "15:00", NOTHING, extra(-90))).sentence == "You have used today's 0 s. There is more tomorrow."
    )
    both = left(child, "15:00", used(20), extra(-15), extra(10))
    assert (both.extra, both.remaining) == (10 * MINUTE, 35 * MINUTE)


def test_what_was_given_is_taken_back_before_the_days_own_minutes() -> None:
    child = mia('budget = { all = "1h" }')
    back = left(child, "15:00", used(20), extra(120), extra(-120))
    assert (back.extra, back.remaining) == (0, 40 * MINUTE)
    part = left(child, "15:00", used(20), extra(120), extra(-90))
    assert (part.extra, part.remaining) == (30 * MINUTE, 70 * MINUTE)
    more = left(child, "15:00", used(20), extra(30), extra(-50))
    assert (more.extra, more.remaining) == (0, 20 * MINUTE)
    assert only(more).sentence == "20 min left of today's 40 min."


def test_what_was_given_for_after_hours_is_taken_back() -> None:
    child = mia('windows = { all = ["09:00-10:00"] }\nbudget = { all = "1h" }')
    assert left(child, "20:00", NOTHING, extra(120)).remaining == 120 * MINUTE
    assert left(child, "20:00", NOTHING, extra(120), extra(-120)).remaining == 0
    assert left(child, "09:00", NOTHING, extra(120), extra(-120)).remaining == 60 * MINUTE
    unbounded = mia('windows = { all = ["09:00-10:00"] }')
    assert left(unbounded, "20:00", NOTHING, extra(120), extra(-120)).remaining == 0
    assert left(unbounded, "09:00", NOTHING, extra(120), extra(-120)).remaining == 60 * MINUTE


def test_what_was_used_of_extra_time_is_not_taken_twice() -> None:
    child = mia('budget = { all = "1h" }')
    part = Usage(child="mia", days={MONDAY.isoformat(): DayUse(total=110 * MINUTE, extra=50 * MINUTE)})
    assert left(child, "15:00", part, extra(120), extra(-70)).remaining == 0
    assert left(child, "15:00", part, extra(120), extra(-60)).remaining == 10 * MINUTE
    evening = Usage(child="mia", days={MONDAY.isoformat(): DayUse(total=50 * MINUTE, extra=50 * MINUTE)})
    found = left(child, "15:00", evening, extra(60), extra(-30))
    assert (found.extra, found.remaining) == (0, 40 * MINUTE), "ten were left of the extra time, twenty go off the day"


def test_what_is_given_after_something_was_taken_is_there_in_full() -> None:
    child = mia('windows = { all = ["09:00-10:00"] }\nbudget = { all = "1h" }')
    assert left(child, "20:00", NOTHING, extra(-15), extra(30)).remaining == 30 * MINUTE
    assert left(child, "20:00", NOTHING, extra(20), extra(-15), extra(30)).remaining == 35 * MINUTE


def test_how_much_can_be_taken_away() -> None:
    def most(limits: str, usage: Usage, *some: Grant) -> Millis | None:
        child = mia(limits)
        return takeable(child, now(child), usage, some)

    hour = 'budget = { all = "1h" }\n'
    assert most(hour, used(20)) == 40 * MINUTE
    assert most(hour, used(20), extra(30)) == 70 * MINUTE
    assert most(hour, used(20), extra(30), extra(-50)) == 20 * MINUTE
    assert most(hour, used(20), extra(30), extra(-99)) == 0
    assert most(hour, used(20), extra(30, child="leo")) == 40 * MINUTE
    assert most(hour + 'windows = { all = ["20:00-21:00"] }', NOTHING) == 60 * MINUTE, "it is for later"
    assert most("", NOTHING) is None
    assert most("", NOTHING, extra(30)) == 30 * MINUTE
    assert most("", NOTHING, extra(30), extra(-30)) is None
    lost = Usage(child="mia", days={}, lost=True)
    assert (most(hour, lost), most(hour, lost, extra(10))) == (0, 10 * MINUTE)


@given(acts=st.lists(st.tuples(st.sampled_from(("use", "give", "take")), st.integers(1, 90)), max_size=8))
def test_minutes_of_a_day_add_up_whatever_is_given_and_taken(acts: list[tuple[str, int]]) -> None:
    child = mia('budget = { all = "1h" }')
    total = of_extra = 0
    answers: list[Grant] = []

    def so_far() -> Usage:
        return Usage(child="mia", days={MONDAY.isoformat(): DayUse(total=total, extra=of_extra)})

    def found() -> Allowance:
        return left(child, "15:00", so_far(), *answers)

    for number, (what, minutes) in enumerate(acts):
        before = found()
        assert before.remaining is not None
        assert before.natural is not None
        millis = minutes * MINUTE
        if what == "use":
            millis = min(millis, before.remaining)
            of_extra += max(0, millis - before.natural)
            total += millis
            expected = before.remaining - millis
        elif what == "give":
            answers.append(extra(minutes, name=str(number)))
            expected = before.remaining + millis
        else:
            most = takeable(child, now(child), so_far(), answers)
            assert most == before.remaining
            millis = min(millis, most)
            answers.append(extra(-millis / MINUTE, name=str(number)))
            expected = before.remaining - millis
        assert found().remaining == expected


def test_minutes_taken_away_where_none_are_counted_end_the_day() -> None:
    found = only(left(mia(), "15:00", NOTHING, extra(-15)))
    assert found == Constraint(
        kind="day",
        rule="mia/day",
        left=0,
        sentence="You have used today's minutes. There is more tomorrow.",
        again=TOMORROW,
    )


# ---- breaks and locks --------------------------------------------------------------------------------------------

BREAKS = 'breaks = { after = "45m", rest = "10m" }'


def test_breaks() -> None:
    child = mia(BREAKS)
    due = left(child, folding=Folding(streak=20 * MINUTE))
    assert only(due) == Constraint(
        kind="break", rule="mia/break", left=25 * MINUTE, sentence="A break of 10 min is due in 25 min."
    )
    assert (due.natural, due.remaining, due.only_minutes) == (None, 25 * MINUTE, True)
    on = left(child, folding=Folding(streak=50 * MINUTE, resting=4 * MINUTE))
    assert only(on) == Constraint(
        kind="break",
        rule="mia/break",
        left=0,
        sentence="Time for a break: 6 min away from the screen, then you can go on.",
        again=clock("15:06"),
    )
    assert (on.remaining, on.only_minutes) == (0, False)
    long = only(left(child, folding=Folding(streak=50 * MINUTE, resting=HOUR)))
    assert long.again == clock("15:00")


def test_extra_time_does_not_skip_a_break() -> None:
    child = mia(BREAKS + '\nbudget = { all = "1h" }')
    found = left(child, "15:00", used(60), extra(30), folding=Folding(streak=45 * MINUTE))
    assert found.remaining == 0
    assert found.binding is not None
    assert found.binding.kind == "break"
    before = left(child, "15:00", used(60), extra(30), folding=Folding(streak=40 * MINUTE))
    assert before.remaining == 5 * MINUTE
    assert [c.kind for c in before.constraints] == ["grant", "day", "break"]


def lock(until: str | None = None, note: str = "", child: str = "mia") -> Grant:
    end = None if until is None else clock(until)
    return Grant(id="l", child=child, kind="lock", given=0, until=end, by="ana", note=note)


def test_lock_now() -> None:
    child = mia('budget = { all = "1h" }')
    found = left(child, "15:00", NOTHING, extra(30), lock())
    assert told(found.binding) == Constraint(kind="lock", rule="grant/l", left=0, sentence="ana has paused the PC.")
    assert (found.natural, found.remaining, found.only_minutes) == (HOUR, 0, False)
    until = left(child, "15:00", NOTHING, lock("15:30", "Dinner."))
    assert told(until.binding) == Constraint(
        kind="lock",
        rule="grant/l",
        left=0,
        sentence="ana has paused the PC until 15:30. Dinner.",
        again=clock("15:30"),
    )
    assert left(mia(), "15:00", NOTHING, lock()).remaining == 0
    assert left(child, "15:30", NOTHING, lock("15:30")).remaining == HOUR
    assert left(child, "15:00", NOTHING, lock(child="leo")).remaining == HOUR


# ---- moments -----------------------------------------------------------------------------------------------------


def test_a_moment_is_kept_while_its_day_and_plan_last() -> None:
    child = mia('windows = { all = ["09:00-10:00"] }\nfree = { all = ["09:30-11:00"] }')
    first = moment(child, clock("15:00"))
    assert (first.wall, first.day, first.always_open) == (clock("15:00"), MONDAY, False)
    assert first.plan is child.plan(MONDAY)
    assert (clock("09:00"), clock("11:00")) in first.open
    assert (clock("09:30"), clock("11:00")) in first.free
    assert first.open[0] == (clock("09:00") - DAY, clock("11:00") - DAY)
    assert len(first.free) == 4
    assert len(first.open) == 9
    later = moment(child, clock("16:00"), first)
    assert later.wall == clock("16:00")
    assert later.open is first.open
    assert later.free is first.free
    night = moment(child, clock("03:00") + DAY - 1, first)
    assert night.open is first.open
    for wall in (clock("03:00") + DAY, clock("03:00") - 1):
        other = moment(child, wall, first)
        assert other.day != MONDAY
        assert other.open is not first.open
    other_rules = mia('windows = { all = ["09:00-10:00"] }')
    assert moment(other_rules, clock("15:00"), first).plan is other_rules.plan(MONDAY)


def test_without_windows_a_moment_is_open() -> None:
    found = moment(mia('free = { all = ["09:30-11:00"] }'), clock("15:00"))
    assert found.always_open
    assert found.open == ()
    assert len(found.free) == 4
    soon = mia('windows = { wed = ["09:00-10:00"] }')
    assert not moment(soon, clock("15:00")).always_open
    assert moment(mia('windows = { fri = ["09:00-10:00"] }'), clock("15:00")).always_open
