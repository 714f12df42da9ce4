"""The ladder: what a child is told and what is done, second by second, until the end and after it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.clock import HOUR, MINUTE
from agent.core.activity import Activity
from agent.core.holding import identity_of
from agent.model.grant import Grant
from agent.model.snapshot import Session
from agent.model.usage import Folding
from agent.model.verdict import AskFor, EndSession, Hold, Ladder, Notify, StopProgram, Thaw
from tests.core.scene import (
    CHESS,
    MONDAY,
    RACER,
    SUMS,
    Run,
    clock,
    ended,
    extra,
    mia,
    plain,
    process,
    stopped,
    told,
    used,
)

DAY = MONDAY.isoformat()
HOUR_A_DAY = 'budget = { all = "1h" }\nnotices = ["15m", "5m", "1m"]\ngrace = "60s"\nunknown_programs = "allow"\n'
LEFT = "left of today's 1 h."
USED = "You have used today's 1 h. There is more tomorrow."


def run(limits: str = HOUR_A_DAY, minutes: float = 0, text: str = "15:00") -> Run:
    one = Run(mia(limits), text, usage=used(minutes))
    one.step()
    return one


# ---- verdict and what is seen ------------------------------------------------------------------------------------


def test_a_verdict_says_all_there_is() -> None:
    one = Run(mia(HOUR_A_DAY + 'free = { mon = ["16:00-17:00"] }'), usage=used(20))
    one.processes = (process(CHESS), process(SUMS, 11))
    one.grants = (
        extra(10),
        extra(-5, name="h"),
        Grant(id="x", child="mia", kind="lock", seconds=7, given=0, until=1, by="a"),
    )
    found = one.step()
    verdict = found.verdict
    assert (verdict.child, verdict.day, verdict.stage) == ("mia", DAY, "open")
    assert verdict.remaining == 45 * MINUTE
    assert verdict.binding is not None
    assert verdict.binding.sentence == "40 min left of today's 1 h."
    assert verdict.constraints == (verdict.binding,)
    assert (verdict.in_use, verdict.free_now) == (True, False)
    assert (verdict.used_today, verdict.granted_today, verdict.extra_left) == (20 * MINUTE, 5 * MINUTE, 5 * MINUTE)
    assert verdict.notes == ()
    seen = found.seen
    assert (seen.child, seen.activity, seen.counts, seen.paused) == ("mia", Activity.USED, True, False)
    assert (seen.programs, seen.groups) == (("chess", "sums"), ("games", "school"))
    assert (seen.natural_left, seen.extra_left) == (40 * MINUTE, 5 * MINUTE)
    assert (clock("16:00"), clock("17:00")) in seen.free
    assert found.effects == ()
    assert found.disagreement is False
    assert [v.program for v in found.judged.verdicts.values()] == ["chess", "sums"]


def test_hours_that_do_not_count_are_said() -> None:
    limits = HOUR_A_DAY + 'free = { mon = ["15:00-16:00"] }'
    assert Run(mia(limits), "15:00").step().verdict.free_now is True
    assert Run(mia(limits), "14:59").step().verdict.free_now is False
    assert Run(mia(limits), "16:00").step().verdict.free_now is False


def test_a_hint_that_contradicts_use_is_noted() -> None:
    one = Run(mia(HOUR_A_DAY))
    one.sessions = (Session(id="s1", account="mia", locked_hint=True, playing=True),)
    found = one.step()
    assert found.disagreement is True
    assert found.verdict.notes == ("Something says the screen is locked or idle while programs are in use.",)
    assert found.verdict.in_use is True


# ---- notices -----------------------------------------------------------------------------------------------------


def test_each_notice_comes_once_on_the_way_down() -> None:
    one = run(minutes=44)
    assert told(one.step(59).effects) == []
    assert told(one.step(1).effects) == [("time", "15 min left", f"15 min {LEFT}")]
    assert told(one.step(1).effects) == []
    assert told(one.step(599).effects) == [("time", "5 min left", f"5 min {LEFT}")]
    assert told(one.step(240).effects) == [("time", "1 min left", f"1 min {LEFT}")]
    assert told(one.step(30).effects) == []


def test_a_notice_names_its_child_time_and_rule() -> None:
    (notice,) = run(minutes=44).step(60).effects
    assert plain([notice])[0] == Notify(
        child="mia", kind="time", title="15 min left", text=f"15 min {LEFT}", left=15 * MINUTE, rule="mia/day"
    )


@pytest.mark.parametrize(
    ("seconds", "title"),
    [
        (14 * 60 + 40, "15 min left"),
        (14 * 60 + 20, "14 min left"),
        (121, "2 min left"),
        (120, "2 min left"),
        (119.5, "2 min left"),
        (100, "1 min left"),
        (59.2, "1 min left"),
        (40, "40 s left"),
    ],
)
def test_the_title_is_rounded_as_people_speak(seconds: float, title: str) -> None:
    one = Run(mia(HOUR_A_DAY), usage=used(60 - seconds / 60))
    assert [notice[1] for notice in told(one.step().effects)] == [title]


def test_after_a_sleep_only_the_nearest_threshold_is_news() -> None:
    one = run(minutes=44)
    assert len(told(one.step(12 * 60).effects)) == 1
    assert told(one.step(1).effects) == []


def test_notices_come_again_when_there_is_more_time() -> None:
    one = run(minutes=44)
    one.step(60)
    one.grants = (extra(10),)
    assert told(one.step(1).effects) == []
    assert [title for _, title, _ in told(one.step(10 * 60).effects)] == ["15 min left"]


def test_nobody_there_is_told_nothing_but_told_when_they_come() -> None:
    one = run(minutes=44)
    one.sessions = ()
    assert one.step(60).effects == ()
    one.sessions = (Session(id="s1", account="mia"),)
    assert len(told(one.step().effects)) == 1


def test_before_a_break_the_notice_is_of_a_break() -> None:
    one = Run(mia('breaks = { after = "45m", rest = "10m" }\nnotices = ["5m"]'))
    one.folding = Folding(streak=40 * MINUTE, in_use=True)
    assert told(one.step().effects) == [("break", "5 min left", "A break of 10 min is due in 5 min.")]


def test_without_limits_nothing_is_told() -> None:
    one = Run(mia('notices = ["15m"]'))
    found = one.step()
    assert (found.verdict.stage, found.effects, found.verdict.remaining) == ("open", (), None)


# ---- time is up --------------------------------------------------------------------------------------------------


def test_grace_then_the_end_and_again_until_it_holds() -> None:
    one = run(minutes=59.5)
    grace = one.step(30)
    assert grace.verdict.stage == "grace"
    assert plain(grace.effects) == (
        Notify(
            child="mia",
            kind="grace",
            title="Time is up",
            text=f"{USED} You have 1 min to save your work.",
            left=MINUTE,
            rule="mia/day",
        ),
    )
    assert one.step(59).effects == ()
    end = one.step(1)
    assert end.verdict.stage == "up"
    assert plain(end.effects) == (
        Notify(child="mia", kind="up", title="Time is up", text=USED, left=0, rule="mia/day"),
        EndSession(child="mia", session="s1", account="mia", ending="lock", rule="mia/day"),
    )
    again = one.step(1)
    assert told(again.effects) == []
    assert ended(again.effects) == [("s1", "lock")]
    one.sessions = (Session(id="s1", account="mia", locked_hint=True),)
    assert one.step(1).effects == ()
    one.sessions = (
        Session(id="s1", account="mia", locked_hint=True, playing=True),
        Session(id="s2", account="mia"),
        Session(id="s3", account="mia", active=False),
    )
    assert ended(one.step(1).effects) == [("s1", "logout"), ("s2", "lock")]


def test_a_session_that_begins_when_nothing_is_left_ends_at_once() -> None:
    one = Run(mia(HOUR_A_DAY), usage=used(60))
    found = one.step()
    assert (told(found.effects), ended(found.effects)) == ([("up", "Time is up", USED)], [("s1", "lock")])
    assert told(one.step(1).effects) == []


def test_nobody_there_is_not_ended() -> None:
    one = Run(mia(HOUR_A_DAY), usage=used(60))
    one.sessions = ()
    found = one.step()
    assert (found.verdict.stage, found.effects) == ("up", ())
    one.sessions = (Session(id="s1", account="mia", active=False),)
    assert one.step().effects == ()


@pytest.mark.parametrize("ending", ["lock", "logout", "freeze"])
def test_each_ending(ending: str) -> None:
    one = Run(mia(HOUR_A_DAY + f'ending = "{ending}"'), usage=used(60))
    assert ended(one.step().effects) == [("s1", ending)]
    assert one.ladder.frozen is (ending == "freeze")
    liar = Session(id="s1", account="mia", locked_hint=True, playing=True)
    one.sessions = (liar,)
    assert ended(one.step().effects) == [("s1", "logout" if ending == "lock" else ending)]


def test_frozen_sessions_are_thawed_once_when_there_is_time_again() -> None:
    one = Run(mia(HOUR_A_DAY + 'ending = "freeze"'), usage=used(60))
    one.step()
    assert one.step().ladder.frozen
    one.grants = (extra(10),)
    assert one.step().effects[-2:] == (Thaw(child="mia", account="mia"), Thaw(child="mia", account="mia-school"))
    assert not any(isinstance(e, Thaw) for e in one.step().effects)


def test_extra_time_in_the_grace_ends_it_and_the_next_grace_is_whole() -> None:
    one = run(minutes=59.5)
    one.step(30)
    one.step(30)
    one.grants = (extra(2),)
    assert one.step(1).verdict.stage == "open"
    one.grants = ()
    found = one.step(1)
    assert (found.verdict.stage, [e.left for e in found.effects if isinstance(e, Notify)]) == ("grace", [MINUTE])


def test_after_a_restart_of_the_pc_there_is_nothing_to_save() -> None:
    one = run(minutes=59.5)
    one.step(30)
    one.boot_id, one.boot = "next", MINUTE
    found = one.step()
    assert ended(found.effects) == [("s1", "lock")]
    assert one.ladder.boot_id == "next"


def test_a_restart_forgets_what_was_reckoned_by_the_old_boot_clock() -> None:
    one = Run(mia(HOUR_A_DAY + 'ending = "freeze"'))
    one.ladder = Ladder(
        boot_id="old",
        grace_from=5,
        last_warned=5,
        was_open=True,
        learning_from=5,
        stopping=(("chess", 5),),
        frozen=True,
    )
    one.sessions = ()
    one.usage = used(60)
    found = one.step()
    assert found.ladder == Ladder(boot_id="boot", frozen=True)


def test_lock_now_means_now() -> None:
    for mode in ("block", "inform", "warn"):
        one = run(HOUR_A_DAY + f'mode = "{mode}"')
        one.grants = (Grant(id="l", child="mia", kind="lock", given=0, by="ana"),)
        found = one.step(1)
        assert (told(found.effects), ended(found.effects)) == (
            [("up", "Time is up", "ana has paused the PC.")],
            [("s1", "lock")],
        )
        assert found.verdict.stage == "up"


def test_of_a_lock_and_a_pause_the_last_word_counts() -> None:
    one = Run(mia(HOUR_A_DAY))
    pause = Grant(id="p", child="mia", kind="pause", given=10, until=clock("15:10"), by="ana")
    for lock_given, stage in ((11, "up"), (10, "up"), (9, "paused")):
        for lock_until, then in ((None, stage), (clock("15:10"), stage), (one.wall, "paused")):
            lock = Grant(id="l", child="mia", kind="lock", given=lock_given, until=lock_until, by="ana")
            for given in ((pause, lock), (lock, pause)):
                one.grants = given
                assert one.step(1).verdict.stage == then, given


def test_a_pause_rests_all_of_it() -> None:
    one = Run(mia(HOUR_A_DAY), usage=used(60))
    one.grants = (Grant(id="p", child="mia", kind="pause", given=0, until=clock("15:10"), by="ana"),)
    one.ladder = Ladder(boot_id="boot", shown=(1,), grace_from=7)
    found = one.step()
    assert (found.verdict.stage, found.effects, found.seen.paused) == ("paused", (), True)
    assert (found.ladder.shown, found.ladder.grace_from) == ((), None)
    one.grants = (replace(one.grants[0], until=None),)
    assert one.step().verdict.stage == "paused"
    one.grants = (replace(one.grants[0], until=one.wall),)
    assert one.step().verdict.stage == "up"


def test_mode_inform_tells_once_and_mode_warn_every_minute() -> None:
    one = Run(mia(HOUR_A_DAY + 'mode = "inform"'), usage=used(60))
    assert plain(one.step().effects) == (
        Notify(child="mia", kind="up", title="Time is up, as agreed", text=USED, left=0),
    )
    assert [one.step(60).effects for _ in range(3)] == [(), (), ()]
    assert one.step().verdict.stage == "up"
    warn = Run(mia(HOUR_A_DAY + 'mode = "warn"'), usage=used(60))
    assert len(told(warn.step().effects)) == 1
    assert [len(told(warn.step(seconds).effects)) for seconds in (59, 1, 30, 30, 1)] == [0, 1, 0, 1, 0]
    warn.grants = (extra(30),)
    assert warn.step(1).effects == ()
    warn.grants = ()
    assert len(told(warn.step(1).effects)) == 1


# ---- programs ----------------------------------------------------------------------------------------------------

BLOCK = HOUR_A_DAY + 'programs = [{ program = "chess", action = "block", reason = "Not this one." }]'


def test_a_blocked_program_is_told_and_stopped_at_once() -> None:
    one = Run(mia(BLOCK))
    one.processes = (process(CHESS), process(RACER, 11))
    assert one.step().effects == (
        Notify(
            child="mia", kind="blocked", title="Chess", text="Not this one.", rule="mia/program:chess", program="chess"
        ),
        StopProgram(
            child="mia",
            pid=10,
            started=1,
            program="chess",
            title="Chess",
            rule="mia/program:chess",
            sentence="Not this one.",
            at_once=True,
        ),
    )
    again = one.step(1)
    assert (told(again.effects), stopped(again.effects)) == ([], [(10, True)])
    one.processes = (process(CHESS, 10, started=2),)
    assert len(told(one.step(1).effects)) == 1, "a new start is told again"


def test_what_must_be_asked_for_is_told_so() -> None:
    one = Run(mia(HOUR_A_DAY + 'programs = [{ program = "chess", action = "ask" }]'))
    one.processes = (process(CHESS),)
    found = one.step()
    hold, question = found.effects
    assert hold == Hold(child="mia", pid=10, started=hold.started, program="chess", rule="mia/program:chess")
    assert isinstance(question, AskFor)
    assert question.sentence.startswith("Chess is new here.")
    assert question.identity == identity_of(CHESS)
    assert not stopped(found.effects)


@pytest.mark.parametrize("action", ["warn", "inform"])
def test_warned_about_once_a_day_and_never_stopped(action: str) -> None:
    one = Run(mia(HOUR_A_DAY + f'programs = [{{ program = "chess", action = "{action}", reason = "Well." }}]'))
    one.processes = (process(CHESS), process(replace(CHESS, path="/usr/games/x"), 11))
    assert one.step().effects == (
        Notify(child="mia", kind=action, title="Chess", text="Well.", rule="mia/program:chess", program="chess"),
    )
    assert one.step(60).effects == ()
    one.wall += 24 * HOUR
    assert len(told(one.step().effects)) == 1


LIMITED = HOUR_A_DAY + 'programs = [{ program = "chess", budget = { all = "20m" } }]'


def limited(minutes: float) -> Run:
    one = Run(mia(LIMITED), usage=used(0, chess=minutes))
    one.processes = (process(replace(CHESS, name="chess")),)
    return one


def test_a_program_with_minutes_is_told_before_and_gets_time_to_save() -> None:
    one = limited(4)
    assert one.step().effects == ()
    assert one.step(59).effects == ()
    (notice,) = one.step(1).effects
    assert plain([notice])[0] == Notify(
        child="mia",
        kind="time",
        title="Chess",
        text="15 min left for Chess today.",
        left=15 * MINUTE,
        rule="mia/program:chess",
        program="chess",
    )
    assert one.step(1).effects == ()
    assert [text for _, _, text in told(one.step(10 * 60).effects)] == ["5 min left for Chess today."]
    assert [text for _, _, text in told(one.step(4 * 60).effects)] == ["59 s left for Chess today."]
    up = one.step(59)
    assert (told(up.effects), stopped(up.effects)) == ([("grace", "Chess", "Today's time for Chess is used up.")], [])
    assert one.step(59).effects == ()
    assert stopped(one.step(1).effects) == [(10, False)]
    last = one.step(1)
    assert (told(last.effects), stopped(last.effects)) == ([], [(10, False)])


def test_a_program_that_starts_when_its_minutes_are_gone_is_stopped_at_once() -> None:
    one = limited(20)
    found = one.step()
    assert told(found.effects) == [("blocked", "Chess", "Today's time for Chess is used up.")]
    assert stopped(found.effects) == [(10, True)]


def test_closing_it_in_time_ends_the_matter_and_starting_it_again_is_a_start() -> None:
    one = limited(19.9)
    one.step()
    one.step(6)
    kept, one.processes = one.processes, ()
    assert one.step(30).effects == ()
    assert one.ladder.stopping == ()
    one.processes = kept
    again = one.step()
    assert stopped(again.effects) == [(10, True)]


def test_a_program_told_once_for_all_its_processes() -> None:
    one = limited(6)
    one.processes = (*one.processes, process(replace(CHESS, name="chess", path="/usr/games/b"), 11))
    assert len(told(one.step().effects)) == 1
    one = limited(19.99)
    one.processes = (*one.processes, process(replace(CHESS, name="chess", path="/usr/games/b"), 11))
    one.step()
    up = one.step(1)
    assert len(told(up.effects)) == 1
    assert stopped(one.step(60).effects) == [(10, False), (11, False)]


def test_a_programs_notices_come_again_after_more_minutes() -> None:
    one = limited(6)
    assert len(told(one.step().effects)) == 1
    one.usage = used(0, chess=0)
    assert one.step().effects == ()
    one.usage = used(0, chess=6)
    assert len(told(one.step().effects)) == 1
    one.usage = used(0, chess=16)
    assert [text for _, _, text in told(one.step().effects)] == ["4 min left for Chess today."]
    one.usage = used(0, chess=10)
    assert one.step().effects == ()
    one.usage = used(0, chess=16)
    assert len(told(one.step().effects)) == 1


def test_what_was_told_is_forgotten_with_the_process_and_the_day() -> None:
    one = Run(mia(BLOCK))
    one.processes = (process(CHESS),)
    one.step()
    assert one.ladder.told == ("10/1",)
    one.processes = ()
    one.step()
    assert one.ladder.told == ()
    warned = Run(mia(HOUR_A_DAY + 'programs = [{ program = "chess", action = "warn" }]'))
    warned.processes = (process(CHESS),)
    warned.step()
    assert warned.ladder.told == (f"{DAY}/chess",)
    warned.processes = ()
    warned.step()
    assert warned.ladder.told == (f"{DAY}/chess",)
    warned.wall += 24 * HOUR
    warned.step()
    assert warned.ladder.told == ()


def test_nothing_new_keeps_the_same_ladder() -> None:
    one = limited(6)
    one.step()
    before = one.ladder
    assert one.step().ladder == before


# ---- learning goes on --------------------------------------------------------------------------------------------

LEARN = HOUR_A_DAY + 'learning_after = true\nprograms = [{ group = "school", counts = false }]'


def learning(minutes: float) -> Run:
    one = Run(mia(LEARN), usage=used(minutes))
    one.processes = (process(CHESS), process(SUMS, 11))
    return one


def test_when_minutes_run_out_what_counts_gets_the_grace_and_learning_goes_on() -> None:
    one = learning(59.5)
    one.step()
    found = one.step(30)
    assert plain(found.effects) == (
        Notify(
            child="mia",
            kind="grace",
            title="Time is up",
            text=f"{USED} You have 1 min to save your work. Programs that do not count can go on.",
            left=MINUTE,
            rule="mia/day",
        ),
    )
    verdict = found.verdict
    assert (verdict.stage, verdict.remaining) == ("open", 0)
    assert verdict.binding is not None
    assert verdict.binding.rule == "mia/day"
    assert verdict.constraints[0] == verdict.binding
    assert found.seen.counts is False
    assert one.step(59, use=False).effects == ()
    last = one.step(1, use=False)
    assert told(last.effects) == [("blocked", "Chess", f"{USED} Programs that do not count can go on.")]
    assert stopped(last.effects) == [(10, True)]
    assert ended(last.effects) == []


def test_who_comes_when_nothing_is_left_may_still_learn() -> None:
    one = learning(60)
    one.folding = Folding(in_use=False)
    found = one.step()
    assert told(found.effects) == [
        ("grace", "Time is up", f"{USED} Programs that do not count can go on."),
        ("blocked", "Chess", f"{USED} Programs that do not count can go on."),
    ]
    assert [e.left for e in found.effects if isinstance(e, Notify)] == [0, None]
    assert stopped(found.effects) == [(10, True)]


def test_nothing_was_in_use_so_nothing_is_to_be_saved() -> None:
    one = learning(59.5)
    one.step()
    one.folding = Folding(in_use=False)
    assert stopped(one.step(30).effects) == [(10, True)]


def test_nobody_is_told_of_learning_when_nobody_is_there() -> None:
    one = learning(60)
    one.sessions = (Session(id="s1", account="mia", active=False),)
    one.processes = ()
    assert one.step().effects == ()


def test_more_minutes_begin_the_matter_anew() -> None:
    one = learning(59.5)
    one.step()
    one.step(30)
    one.grants = (extra(1),)
    found = one.step(1)
    assert found.ladder.learning_from is None
    assert found.verdict.remaining == MINUTE
    one.grants = ()
    assert [e.left for e in one.step(1).effects if isinstance(e, Notify)] == [MINUTE]


def test_an_hour_that_is_shut_or_a_break_ends_learning_too() -> None:
    one = Run(mia(LEARN + '\nwindows = { all = ["09:00-10:00"] }'), usage=used(60))
    one.processes = (process(SUMS),)
    assert ended(one.step().effects) == [("s1", "lock")]
    rest = Run(mia(LEARN + '\nbreaks = { after = "45m", rest = "10m" }'), usage=used(10))
    rest.folding = Folding(streak=45 * MINUTE)
    assert ended(rest.step().effects) == [("s1", "lock")]


def test_a_pause_rests_learning_as_well() -> None:
    one = learning(60)
    one.grants = (Grant(id="p", child="mia", kind="pause", given=0, by="ana"),)
    found = one.step()
    assert (found.effects, found.verdict.stage) == ((), "paused")
