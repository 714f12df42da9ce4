"""What each program may do now, for how long, and whether what runs counts."""

from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace

from agent.clock import HOUR, MINUTE
from agent.core.judge import Judged, judge, permitted, running, verdict_on
from agent.core.programs import Matcher
from agent.model.grant import Grant
from agent.model.program import ProgramId
from agent.model.usage import DayUse, Usage
from agent.model.verdict import Constraint, ProgramVerdict
from tests.core.scene import BUS, CHESS, MONDAY, ODD, RACER, SUMS, clock, mia, now, process, used

SHA = "a" * 64
NOTHING = Usage(child="mia", since="2026-01-01")


def verdict(
    program: ProgramId, limits: str = "", text: str = "15:00", usage: Usage = NOTHING, *grants: Grant, more: str = ""
) -> ProgramVerdict:
    child = mia(limits, more=more)
    return verdict_on(Matcher(child, child.plan(MONDAY)), program, now(child, text), usage, grants)


def judged(limits: str, *programs: ProgramId, usage: Usage = NOTHING, grants: tuple[Grant, ...] = ()) -> Judged:
    child = mia(limits)
    return judge(Matcher(child, child.plan(MONDAY)), now(child), programs, usage, grants)


def test_sentences() -> None:
    def words(rule: str, unknown: str = "ask") -> tuple[str, str, str]:
        found = verdict(CHESS, f'unknown_programs = "{unknown}"\nprograms = [{rule}]')
        return found.action, found.rule, found.sentence

    assert words("") == ("ask", "mia/unknown-programs", "Chess is new here. Ask a guardian for it.")
    assert words("", "block") == ("block", "mia/unknown-programs", "Chess is not on your list of programs.")
    assert words("", "allow") == ("allow", "mia/unknown-programs", "Chess is allowed.")
    assert words("", "inform") == ("inform", "mia/unknown-programs", "Chess is allowed.")
    assert words('{ program = "chess", action = "warn" }') == (
        "warn",
        "mia/program:chess",
        "Chess: talk about this one with a guardian.",
    )
    assert words('{ id = "c", program = "chess", action = "block", reason = "Not in the week." }') == (
        "block",
        "mia/c",
        "Not in the week.",
    )


def test_who_a_verdict_is_about() -> None:
    found = verdict(CHESS, 'programs = [{ program = "chess", counts = false }]')
    assert (found.program, found.title, found.groups, found.counts, found.left) == (
        "chess",
        "Chess",
        ("games",),
        False,
        None,
    )
    assert verdict(BUS).program == "dbus-daemon", "plumbing has a name when it is asked about"


MINUTES = 'programs = [{ program = "chess", budget = { all = "30m" }, week = "1h" }]'


def test_a_programs_own_minutes() -> None:
    some = verdict(CHESS, MINUTES, usage=used(99, chess=10))
    assert (some.action, some.left, some.rule, some.sentence) == (
        "allow",
        20 * MINUTE,
        "mia/program:chess",
        "Chess is allowed.",
    )
    up = verdict(CHESS, MINUTES, usage=used(99, chess=30))
    assert (up.action, up.left, up.rule, up.sentence) == (
        "block",
        0,
        "mia/program:chess",
        "Today's time for Chess is used up.",
    )
    assert verdict(CHESS, MINUTES, usage=used(99, chess=50)).left == 0
    assert verdict(CHESS, MINUTES).left == 30 * MINUTE
    assert verdict(RACER, 'programs = [{ program = "racer" }]').left is None


def test_a_programs_minutes_in_the_week_run_from_monday_to_today() -> None:
    days = {
        "2026-03-01": DayUse(programs={"chess": 9 * HOUR}),
        "2026-03-02": DayUse(programs={"chess": 10 * MINUTE, "racer": 5 * HOUR}),
        "2026-03-03": DayUse(programs={"chess": 25 * MINUTE}),
        "2026-03-04": DayUse(programs={"chess": 9 * HOUR}),
    }
    child = mia(MINUTES)
    tuesday = MONDAY + dt.timedelta(days=1)
    found = verdict_on(
        Matcher(child, child.plan(tuesday)), CHESS, now(child, "15:00", tuesday), Usage(child="mia", days=days), ()
    )
    assert found.left == 5 * MINUTE
    week = mia('programs = [{ program = "chess", week = "1h" }]')
    found = verdict_on(
        Matcher(week, week.plan(tuesday)), CHESS, now(week, "15:00", tuesday), Usage(child="mia", days=days), ()
    )
    assert found.left == 25 * MINUTE


def test_the_minutes_of_its_groups_bear_on_a_program_too() -> None:
    limits = (
        'programs = [{ program = "chess", budget = { all = "30m" } }, { group = "games", budget = { all = "40m" } },'
        ' { group = "fun", week = "50m" }]'
    )
    fun = '[groups]\nfun = ["games"]'
    usage = Usage(
        child="mia",
        days={MONDAY.isoformat(): DayUse(programs={"chess": MINUTE}, groups={"games": 35 * MINUTE, "fun": MINUTE})},
    )
    found = verdict(CHESS, limits, usage=usage, more=fun)
    assert (found.left, found.rule) == (5 * MINUTE, "mia/program:chess")
    gone = replace(usage, days={MONDAY.isoformat(): DayUse(groups={"games": 40 * MINUTE})})
    found = verdict(CHESS, limits, usage=gone, more=fun)
    assert (found.action, found.left, found.rule) == ("block", 0, "mia/program:games")
    gone = replace(usage, days={MONDAY.isoformat(): DayUse(groups={"fun": 50 * MINUTE})})
    found = verdict(CHESS, limits, usage=gone, more=fun)
    assert (found.left, found.rule) == (0, "mia/program:fun")


def test_a_group_that_is_blocked_does_not_close_what_has_a_rule_of_its_own() -> None:
    limits = 'programs = [{ program = "chess" }, { group = "games", action = "block", hours = { all = [] } }]'
    assert verdict(CHESS, limits).action == "allow"
    assert verdict(RACER, limits).action == "block"


HOURS = 'programs = [{ program = "chess", hours = { all = ["16:00-17:00"] } }]'


def test_a_programs_own_hours() -> None:
    assert verdict(CHESS, HOURS, "16:30").action == "allow"
    shut = verdict(CHESS, HOURS, "15:00")
    assert (shut.action, shut.rule, shut.left, shut.sentence) == (
        "block",
        "mia/program:chess",
        None,
        "Chess has its own hours, and this is outside them. It opens at 16:00.",
    )
    never = verdict(CHESS, HOURS.replace('["16:00-17:00"]', "[]"))
    assert never.sentence == "Chess has its own hours, and this is outside them."
    group = 'programs = [{ program = "chess" }, { group = "games", hours = { all = ["16:00-17:00"] } }]'
    found = verdict(CHESS, group, "15:00")
    assert (found.action, found.rule) == ("block", "mia/program:games")
    assert found.sentence == "games has its own hours, and this is outside them. It opens at 16:00."


def permission(subject: str, until: str | None = None, kind: str = "program") -> Grant:
    end = None if until is None else clock(until)
    return Grant(id="p", child="mia", kind=kind, subject=subject, given=0, until=end, by="ana")


def test_a_temporary_permission() -> None:
    blocked = 'programs = [{ program = "chess", action = "block" }]'
    found = verdict(CHESS, blocked, "15:00", NOTHING, permission("program:chess", "16:00"))
    assert (found.action, found.rule, found.sentence) == ("allow", "grant/p", "ana allowed Chess until 16:00.")
    assert (found.left, found.counts, found.groups, found.program, found.title) == (
        None,
        True,
        ("games",),
        "chess",
        "Chess",
    )
    endless = verdict(CHESS, blocked, "15:00", NOTHING, permission("program:chess"))
    assert endless.sentence == "ana allowed Chess."
    for other in (
        permission("program:chess", "15:00"),
        permission("program:racer"),
        permission("program:chess", kind="site"),
    ):
        assert verdict(CHESS, blocked, "15:00", NOTHING, other).action == "block"
        assert judged(blocked, CHESS, grants=(other,)).verdicts[CHESS].action == "block"
    assert judged(blocked, CHESS, grants=(permission("program:chess"),)).verdicts[CHESS].action == "allow"
    assert judged(blocked, CHESS, grants=(permission("program:chess", "15:01"),)).keys == ("chess",)


@pytest.mark.parametrize(
    ("subject", "program", "key", "strong", "covers"),
    [
        (f"sha256:{SHA}", replace(ODD, sha256=SHA), "odd", False, True),
        (f"sha256:{SHA}", ODD, "odd", True, False),
        ("sha256:", ODD, "odd", True, False),
        ("path:/usr/games/gchess", CHESS, "chess", True, True),
        ("path:/usr/games/gchess", replace(CHESS, protected=False), "chess", True, False),
        ("path:/home/mia/odd", ODD, "odd", True, False),
        ("program:chess", CHESS, "chess", True, True),
        ("program:chess", CHESS, "chess", False, False),
        ("program:racer", CHESS, "chess", True, False),
        ("deb:gnome-chess", CHESS, "chess", False, True),
        ("deb:racer", CHESS, "chess", True, False),
        ("", ODD, "", True, False),
        ("gchess", CHESS, "chess", True, False),
    ],
)
def test_what_a_permission_covers(subject: str, program: ProgramId, key: str, strong: bool, covers: bool) -> None:
    assert permitted(subject, program, key, strong) is covers


def test_processes_are_put_together_by_program() -> None:
    one, two, three = process(CHESS, 1), process(SUMS, 2), process(CHESS, 3)
    found = running([one, two, three])
    assert list(found.items()) == [(CHESS, (one, three)), (SUMS, (two,))]
    assert running([]) == {}


# ---- all that runs -----------------------------------------------------------------------------------------------

LEARN = 'unknown_programs = "allow"\nprograms = [{ group = "school", counts = false }, { program = "racer", action = "block" }]'


def test_what_runs_is_recorded_and_whether_it_counts() -> None:
    other = replace(CHESS, path="/usr/games/other")
    both = judged(LEARN, SUMS, CHESS, RACER, BUS, other)
    named = {SUMS: "sums", CHESS: "chess", RACER: "racer", other: "chess"}
    assert {program: v.program for program, v in both.verdicts.items()} == named
    assert both.keys == ("chess", "sums")
    assert both.groups == ("games", "school")
    assert both.counts is True
    assert both.used_up is None


@pytest.mark.parametrize(
    ("limits", "programs", "counts"),
    [
        (LEARN, (), True),
        (LEARN, (BUS,), True),
        (LEARN, (SUMS,), False),
        (LEARN, (SUMS, BUS), False),
        (LEARN, (SUMS, CHESS), True),
        (LEARN, (SUMS, RACER), False),
        (LEARN, (RACER,), True),
        ('programs = [{ program = "sums", counts = false }]', (SUMS, CHESS), False),  # chess is asked for: not running
        ('count = "listed"\nunknown_programs = "allow"', (CHESS,), False),
        ('count = "listed"\nunknown_programs = "allow"', (), False),
        ('count = "listed"\nprograms = [{ program = "chess", counts = true }]', (CHESS,), True),
        (
            'count = "listed"\nunknown_programs = "allow"\nprograms = [{ program = "chess", counts = true }]',
            (RACER,),
            False,
        ),
        (
            'count = "listed"\nunknown_programs = "allow"\nprograms = [{ program = "chess", counts = true }]',
            (RACER, CHESS),
            True,
        ),
    ],
)
def test_whether_what_runs_counts(limits: str, programs: tuple[ProgramId, ...], counts: bool) -> None:
    assert judged(limits, *programs).counts is counts


def test_when_minutes_are_used_up_everything_that_counts_is_blocked() -> None:
    before = judged(LEARN.replace('"block"', '"warn"'), SUMS, CHESS, RACER, ODD)
    because = Constraint(kind="day", rule="mia/day", left=0, sentence="You have used today's 1 h.")
    after = before.without_counting(because)
    assert (after.used_up, after.counts) == (because, False)
    assert (after.keys, after.groups) == (before.keys, before.groups)
    sums, chess, racer, odd = after.verdicts.values()
    assert sums == before.verdicts[SUMS]
    for one in (chess, racer, odd):
        assert (one.action, one.rule, one.left) == ("block", "mia/day", 0)
        assert one.sentence == "You have used today's 1 h. Programs that do not count can go on."
    assert list(after.verdicts) == list(before.verdicts) == [SUMS, CHESS, RACER, ODD]
    blocked = replace(chess, action="block", rule="mia/own", sentence="Own.", left=None)
    asked = replace(blocked, action="ask")
    informed = replace(blocked, action="inform")
    assert after.narrowed(blocked) == blocked
    assert after.narrowed(asked) == asked
    assert after.narrowed(informed).rule == "mia/day"
    assert before.narrowed(informed) == informed
