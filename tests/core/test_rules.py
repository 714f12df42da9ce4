"""A policy compiled: which number stands on which day."""

from __future__ import annotations

import datetime as dt

import pytest

from agent.clock import HOUR, MINUTE
from agent.core.rules import by_day, clock_words, hours_on
from agent.core.timewords import duration_words
from agent.model.policy import ProgramRule, SiteRules
from tests.core.scene import CHILD, HEAD, LISBON, MONDAY, clock, mia, rules

SATURDAY = MONDAY + dt.timedelta(days=5)


def test_without_limits_a_plan_is_open_but_asks() -> None:
    plan = mia().plan(MONDAY)
    assert (plan.child, plan.date, plan.profile) == ("mia", MONDAY, "")
    assert (plan.budget, plan.week, plan.month, plan.break_after, plan.grant_ceiling) == (None,) * 5
    assert (plan.save_up_to, plan.break_rest, plan.grace) == (0, 0, 0)
    assert (plan.count_listed, plan.learning_after) == (False, False)
    assert (plan.mode, plan.ending, plan.unknown) == ("block", "lock", "ask")
    assert (plan.notices, plan.programs, plan.windows, plan.free) == ((), (), {}, {})
    assert plan.sites == SiteRules(mode="allow-list")


def test_every_limit_becomes_a_number() -> None:
    plan = mia(
        """
        budget = { all = "1h" }
        week = "6h"
        month = "20h"
        save_up_to = "30m"
        breaks = { after = "45m", rest = "10m" }
        count = "listed"
        learning_after = true
        mode = "warn"
        ending = "freeze"
        notices = ["1m", "15m", "5m", "60s"]
        grace = "90s"
        grant_ceiling = "2h"
        unknown_programs = "block"
        sites = { mode = "ask" }
        windows = { all = ["09:00-12:00"] }
        free = { sat = ["10:00-11:00"] }
        """
    ).plan(MONDAY)
    assert (plan.budget, plan.week, plan.month) == (HOUR, 6 * HOUR, 20 * HOUR)
    assert (plan.save_up_to, plan.break_after, plan.break_rest) == (30 * MINUTE, 45 * MINUTE, 10 * MINUTE)
    assert (plan.count_listed, plan.learning_after) == (True, True)
    assert (plan.mode, plan.ending, plan.unknown) == ("warn", "freeze", "block")
    assert plan.notices == (15 * MINUTE, 5 * MINUTE, MINUTE)
    assert (plan.grace, plan.grant_ceiling) == (90_000, 2 * HOUR)
    assert plan.sites == SiteRules(mode="ask")
    assert plan.windows == {"all": ["09:00-12:00"]}
    assert plan.free == {"sat": ["10:00-11:00"]}


def test_the_most_specific_day_wins() -> None:
    table = {"all": "10m", "schooldays": "20m", "weekend": "30m", "wed": "40m", "sun": "50m"}
    days = [MONDAY + dt.timedelta(days=n) for n in range(7)]
    assert [(by_day(table, day) or 0) // MINUTE for day in days] == [20, 20, 40, 20, 20, 30, 50]
    assert [
        by_day({day: "1m"}, days[n]) for n, day in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    ] == [MINUTE] * 7
    assert by_day({"fri": "1m"}, MONDAY) is None
    assert by_day({}, MONDAY) is by_day(None, MONDAY) is None


def test_hours_on_a_day() -> None:
    table = {"mon": ["09:00-10:00", "12:00-24:00"], "weekend": []}
    assert hours_on(table, MONDAY) == ((540, 600), (720, 1440))
    assert hours_on(table, SATURDAY) == ()
    assert hours_on(table, MONDAY + dt.timedelta(days=1)) is None
    assert hours_on(None, MONDAY) is hours_on({}, MONDAY) is None
    child = mia('windows = { mon = ["09:00-10:00"] }\nfree = { mon = ["11:00-12:00"] }')
    assert (child.windows(MONDAY), child.windows(SATURDAY)) == (((540, 600),), None)
    assert (child.free(MONDAY), child.free(SATURDAY)) == (((660, 720),), ())


HOLIDAYS = """
[profiles.holidays]
budget = { all = "3h" }
[profiles.exam]
budget = { all = "10m" }
[[exceptions]]
from = "2026-03-04"
to = "2026-03-06"
profile = "holidays"
[[exceptions]]
from = "2026-03-05"
profile = "exam"
child = "mia"
[[exceptions]]
from = "2026-03-02"
profile = "exam"
child = "leo"
"""


def test_dated_profiles_lie_over_the_childs_limits_and_the_last_line_wins() -> None:
    child = mia('budget = { all = "1h" }\nweek = "7h"', more=HOLIDAYS)
    plans = [child.plan(MONDAY + dt.timedelta(days=n)) for n in range(6)]
    assert [(plan.profile, (plan.budget or 0) // MINUTE) for plan in plans] == [
        ("", 60),
        ("", 60),
        ("holidays", 180),
        ("exam", 10),
        ("holidays", 180),
        ("", 60),
    ]
    assert all(plan.week == 7 * HOUR for plan in plans)


def test_plans_are_remembered_but_not_without_end() -> None:
    child = mia()
    assert child.plan(MONDAY) is child.plan(MONDAY)
    for n in range(200):
        child.plan(MONDAY + dt.timedelta(days=n))
        assert len(child._plans) <= 65


def test_accounts_guardians_and_groups() -> None:
    compiled = rules(
        more='[groups]\nhomework = ["sums", "school", "pencil"]\ngames = ["games", "extra"]\nsystem = ["only"]\n'
    )
    assert compiled.accounts == {"mia": "mia", "mia-school": "mia"}
    assert compiled.guardians == {"ana"}
    assert compiled.reset == 180
    assert compiled.zone == LISBON
    child = compiled.children["mia"]
    assert child.groups["homework"] == {"sums", "pencil"}
    assert child.groups["games"] == {"chess", "racer", "extra"}
    assert child.groups["system"] == {"only"}
    assert child.groups["school"] == {"sums"}
    assert set(child.catalogue) == {"chess", "racer", "sums", "files"}
    assert (child.name, child.reset, child.zone) == ("mia", 180, LISBON)


@pytest.mark.parametrize(
    ("rule", "id_", "title"),
    [
        ('{ program = "chess" }', "mia/program:chess", "Chess"),
        ('{ program = "pencil" }', "mia/program:pencil", "pencil"),
        ('{ group = "games" }', "mia/program:games", "games"),
        ('{ package = "deb:krita" }', "mia/program:deb:krita", "deb:krita"),
        ('{ signer = "CN=Krita" }', "mia/program:CN=Krita", "CN=Krita"),
        ('{ path = "/opt/tools/tool" }', "mia/program:/opt/tools/tool", "tool"),
        ('{ name = "game", action = "block" }', "mia/program:game", "game"),
        ('{ sha256 = "' + "a" * 64 + '" }', "mia/program:" + "a" * 64, ""),
        ('{ id = "art", sha256 = "' + "a" * 64 + '" }', "mia/art", "art"),
        ('{ id = "art", path = "/opt/tools/tool" }', "mia/art", "tool"),
    ],
)
def test_a_rule_has_a_stable_id_and_a_title(rule: str, id_: str, title: str) -> None:
    (limit,) = mia(f"programs = [{rule}]").plan(MONDAY).programs
    assert (limit.id, limit.title) == (id_, title)


def test_a_rule_keeps_all_it_says() -> None:
    (limit,) = (
        mia(
            'programs = [{ program = "chess", action = "warn", budget = { mon = "20m" }, week = "1h", counts = false,'
            ' hours = { all = ["15:00-16:00"] } }]'
        )
        .plan(MONDAY)
        .programs
    )
    assert (limit.action, limit.budget, limit.week, limit.counts) == ("warn", 20 * MINUTE, HOUR, False)
    assert limit.hours == {"all": ["15:00-16:00"]}
    assert isinstance(limit.source, ProgramRule)
    (none,) = mia('programs = [{ program = "chess", budget = { tue = "20m" } }]').plan(MONDAY).programs
    assert (none.budget, none.week, none.hours, none.counts) == (None, None, None, None)


@pytest.mark.parametrize(
    ("millis", "words"),
    [
        (-5, "0 s"),
        (999, "0 s"),
        (40_900, "40 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (59 * MINUTE + 59_999, "59 min"),
        (HOUR, "1 h"),
        (HOUR + 59_999, "1 h"),
        (HOUR + 5 * MINUTE, "1 h 05 min"),
        (25 * HOUR + 10 * MINUTE, "25 h 10 min"),
    ],
)
def test_lengths_of_time_in_words(millis: int, words: str) -> None:
    assert duration_words(millis) == words


def test_times_of_day_in_words() -> None:
    assert clock_words(clock("17:30") + 59_999, LISBON) == "17:30"
    assert clock_words(clock("07:05", dt.date(2026, 7, 1)), LISBON) == "07:05"


def test_each_child_has_its_own_rules() -> None:
    leo = CHILD.replace('name = "mia"', 'name = "leo"').replace('["mia", "mia-school"]', '["leo"]')
    compiled = rules('budget = { all = "1h" }', head=HEAD, more=leo + 'budget = { all = "2h" }')
    assert compiled.accounts["leo"] == "leo"
    assert [compiled.children[name].plan(MONDAY).budget for name in ("mia", "leo")] == [HOUR, 2 * HOUR]


@pytest.mark.parametrize(
    ("said", "child"),
    [
        ("Zoë", "Zoë"),
        ("zoë", "Zoë"),
        ("ZOË", "Zoë"),
        ("kid3", "Zoë"),
        ("mia", "mia"),  # a name goes before an account of another child's
        ("MIA", "mia"),
        ("Leo", "Leo"),
        ("leo", "leo"),
        ("LEO", "LEO"),  # which of the two?
        ("Mia ", "Mia "),
        ("KID3", "KID3"),  # accounts are exact
        ("", ""),
    ],
)
def test_a_child_is_meant_by_name_or_account(said: str, child: str) -> None:
    more = "".join(
        CHILD.replace('name = "mia"', f'name = "{name}"').replace('["mia", "mia-school"]', f'["{account}"]')
        for name, account in (("Zoë", "kid3"), ("Leo", "mia2"), ("leo", "kid5"))
    )
    assert rules(more=more).meant(said) == child
