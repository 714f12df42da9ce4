"""What must hold whatever happens: limits never leave less than nothing, never grow by themselves, and count every split alike."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import DAY, HOUR, MINUTE, SECOND, FakeClock, Instant, between
from agent.core.activity import Activity
from agent.core.rules import Rules, compile_policy
from agent.core.schedule import day_bounds, local, policy_day, spans, wall_of
from agent.core.timekeeper import SLACK, advance, start
from agent.core.usage import Seen, fold
from agent.model.grant import Grant
from agent.model.policy import ProgramRule
from agent.model.program import ProgramId
from agent.model.usage import Folding
from agent.model.verdict import EndSession, Notify, StopProgram
from agent.service.questions import Questions
from tests.family import MONDAY, child, compiled, head
from tests.pc import computer, engine

ZONES = ("Europe/Lisbon", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")
LIMITS = """
windows = {}
budget = { all = "1h" }
save_up_to = "0m"
week = "6h"
notices = ["15m", "5m", "1m"]
grace = "60s"
programs = []
unknown_programs = "allow"
learning_after = false
"""


def rules(zone: str = "Europe/Lisbon", more: str = "") -> Rules:
    return compiled(head(zone=zone) + child(LIMITS + more))


class World:
    """One child at one computer in memory, and the engine that watches it."""

    def __init__(self, limits: Rules | None = None, at: dt.date = MONDAY, minute: int = 15 * 60) -> None:
        self.rules = limits or rules()
        self.host = computer(self.rules, "mia", minute=minute, day=at)
        self.host.watch(["mia"])
        self.grants: tuple[Grant, ...] = ()
        self.charged: dict[str, int] = {}
        self.effects: list[object] = []
        self.engine = engine(self.rules, lambda: self.grants, floor=self.host.clock.instant.wall)

    def pass_time(self, millis: int, *, asleep: bool = False) -> None:
        self.host.advance(millis, asleep=asleep)
        self.tick()

    def tick(self) -> None:
        step = self.engine.step(self.host.clock.now(), asyncio.run(self.host.observe()))
        self.effects += step.effects
        for charge in step.charges:
            self.charged[charge.kind] = self.charged.get(charge.kind, 0) + charge.millis

    @property
    def remaining(self) -> int:
        decision = self.engine.children["mia"].decision
        assert decision is not None
        assert decision.verdict.remaining is not None
        return decision.verdict.remaining


# ---- sums --------------------------------------------------------------------------------------------------------


@given(
    zone=st.sampled_from(ZONES),
    at=st.integers(0, 800 * 24),
    cuts=st.lists(st.integers(1, 5 * HOUR), min_size=1, max_size=12),
    counts=st.booleans(),
)
def test_the_same_time_in_any_split_gives_the_same_sums(zone: str, at: int, cuts: list[int], counts: bool) -> None:
    place = ZoneInfo(zone)
    begin = wall_of(dt.date(2025, 1, 1), 0, place) + at * HOUR
    seen = Seen(child="mia", activity=Activity.USED, counts=counts, programs=("chess",), groups=("games",))

    def sums(parts: list[int]) -> dict[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = {}
        folding, wall = Folding(), begin
        for part in parts:
            out = fold(folding, seen, wall, part, 0, place, 180, 0)
            folding, wall = out.folding, wall + part
            for charge in out.charges:
                key = (charge.day, charge.kind, charge.key)
                found[key] = found.get(key, 0) + charge.millis
        return found

    whole = sums([sum(cuts)])
    assert sums(cuts) == whole
    assert sum(millis for (_, kind, _), millis in whole.items() if kind in ("total", "free")) == sum(cuts)


@given(zone=st.sampled_from(ZONES), days=st.integers(0, 2000), minute=st.integers(0, 1439), reset=st.integers(0, 600))
def test_every_moment_lies_in_exactly_one_policy_day(zone: str, days: int, minute: int, reset: int) -> None:
    place = ZoneInfo(zone)
    wall = wall_of(dt.date(2024, 1, 1) + dt.timedelta(days=days), minute, place)
    day = policy_day(wall, place, reset)
    begin, end = day_bounds(day, place, reset)
    assert begin <= wall < end
    assert end - begin in (23 * HOUR, 23 * HOUR + 30 * MINUTE, 24 * HOUR, 24 * HOUR + 30 * MINUTE, 25 * HOUR)
    assert day_bounds(day + dt.timedelta(days=1), place, reset)[0] == end


def test_days_when_clocks_change_have_23_and_25_hours() -> None:
    lisbon = ZoneInfo("Europe/Lisbon")
    spring = day_bounds(dt.date(2026, 3, 29), lisbon, 0)
    autumn = day_bounds(dt.date(2026, 10, 25), lisbon, 0)
    assert (spring[1] - spring[0], autumn[1] - autumn[0]) == (23 * HOUR, 25 * HOUR)
    assert day_bounds(dt.date(2028, 2, 29), lisbon, 180)[0] == wall_of(dt.date(2028, 2, 29), 180, lisbon)


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1440)), max_size=6), st.sampled_from(ZONES))
def test_spans_are_sorted_and_apart(hours: list[tuple[int, int]], zone: str) -> None:
    found = spans(lambda _: tuple(hours), MONDAY, 40, ZoneInfo(zone))
    assert all(start < end for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))


# ---- what is left ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40 * MINUTE), st.sampled_from(["use", "lock", "sleep", "away"])), max_size=25))
def test_what_is_left_is_never_negative_and_never_grows_by_itself(story: list[tuple[int, str]]) -> None:
    world = World()
    session = world.host.login("mia").id
    world.tick()
    before, day = world.remaining, world.engine.today("mia")
    for millis, what in story:
        away = what in ("lock", "away")
        world.host.change(
            session, locked_hint=what == "lock", input_idle=HOUR if away else 0, playing=False, busy=False
        )
        world.tick()
        world.pass_time(millis, asleep=what == "sleep")
        assert world.remaining >= 0
        if world.engine.today("mia") == day:
            assert world.remaining <= before
        day, before = world.engine.today("mia"), world.remaining


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-10 * 365 * DAY, 10 * 365 * DAY), min_size=1, max_size=12), st.integers(0, 2**32))
def test_setting_the_clock_gains_nothing(jumps: list[int], _: int) -> None:
    world, honest = World(), World()
    for each in (world, honest):
        each.host.login("mia")
        each.tick()
    for jump in jumps:
        world.host.clock.jump(jump)
        for each in (world, honest):
            each.pass_time(2 * MINUTE)
    assert world.charged.get("total", 0) >= honest.charged.get("total", 0) - 300 * SECOND
    assert world.remaining <= honest.remaining + 300 * SECOND


def test_a_thousand_random_sequences_of_jumps_gain_at_most_five_minutes_each() -> None:

    dice = random.Random(7)
    for _ in range(1000):
        clock = FakeClock(Instant(1_795_000_000_000, 60_000, 60_000, "boot"))
        keeper = start(clock.now(), clock.now().wall - DAY)
        honest = keeper.wall
        assert honest == clock.now().wall, "the clock is believed to begin with"
        # Wild ones, and patient ones that creep in one direction by steps that each look like a correction.
        creep = dice.choice((0, -1, 1))
        for _ in range(12):
            wild = dice.choice((dice.randint(-150_000, 150_000), dice.randint(-10 * 365 * DAY, 10 * 365 * DAY)))
            clock.jump(creep * dice.randint(0, SLACK) if creep else wild)
            passed = dice.randint(0, 600_000)
            clock.advance(passed)
            honest += passed
            keeper, _ = advance(keeper, clock.now())
            assert abs(keeper.wall - honest) <= SLACK <= 300 * SECOND


@pytest.mark.parametrize("year", [1970, 2106])
def test_a_clock_from_another_age_is_not_believed(year: int) -> None:
    world = World()
    world.host.login("mia")
    world.tick()
    world.pass_time(10 * MINUTE)
    left = world.remaining
    there = int(dt.datetime(year, 2, 1, tzinfo=dt.UTC).timestamp()) * 1000
    world.host.clock.jump(there - world.host.clock.instant.wall)
    world.pass_time(MINUTE)
    assert left - 2 * MINUTE <= world.remaining <= left
    world.host.clock.reboot(wall=there)
    world.tick()
    assert world.remaining <= left


def test_a_zone_of_the_pc_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:

    def day_in(zone: str) -> dt.date:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        return policy_day(wall_of(MONDAY, 30, ZoneInfo("Asia/Tokyo")), ZoneInfo("Asia/Tokyo"), 180)

    assert day_in("Pacific/Kiritimati") == day_in("Pacific/Pago_Pago") == MONDAY - dt.timedelta(days=1)
    monkeypatch.delenv("TZ")
    time.tzset()


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.booleans())
def test_time_that_passed_is_never_negative(boot: int, awake: int, wall: int, same: bool) -> None:
    one = Instant(wall, boot, min(awake, boot), "a")
    other = Instant(wall, awake, awake // 2, "a" if same else "b")
    passed = between(one, other)
    assert passed.elapsed >= 0
    assert 0 <= passed.slept <= passed.elapsed


# ---- the ladder --------------------------------------------------------------------------------------------------


def test_notices_come_at_15_5_and_1_then_grace_then_the_end_and_again() -> None:
    world = World()
    world.host.login("mia")
    world.tick()
    ended_at = None
    for second in range(3700):
        world.pass_time(SECOND)
        if ended_at is None and any(isinstance(e, EndSession) for e in world.effects):
            ended_at = second
    told = [e for e in world.effects if isinstance(e, Notify)]
    assert [(n.kind, n.left) for n in told[:3]] == [("time", 15 * MINUTE), ("time", 5 * MINUTE), ("time", MINUTE)]
    assert [n.kind for n in told[3:]] == ["grace", "up"]
    assert ended_at is not None
    assert 3600 + 58 <= ended_at <= 3600 + 61
    assert sum(isinstance(e, EndSession) for e in world.effects) > 10, "the ending comes again while it is undone"


def test_extra_time_lasts_its_minutes_and_a_new_day_starts_afresh() -> None:
    world = World()
    world.host.login("mia")
    world.tick()
    world.pass_time(HOUR)
    assert world.remaining == 0
    day = world.engine.today("mia").isoformat()
    world.grants = (Grant(id="g", child="mia", kind="time", seconds=1800, day=day, given=0, by="ana"),)
    world.tick()
    assert world.remaining == 30 * MINUTE
    world.pass_time(20 * MINUTE)
    assert world.remaining == 10 * MINUTE
    world.pass_time(20 * MINUTE)
    assert world.remaining == 0
    assert world.charged["extra"] == 30 * MINUTE
    world.pass_time(DAY, asleep=True)
    assert world.remaining == HOUR


def test_sleep_is_never_charged_and_a_stalled_agent_always_is() -> None:
    world = World()
    world.host.login("mia")
    world.tick()
    world.pass_time(30 * MINUTE, asleep=True)
    assert world.charged.get("total", 0) == 0
    world.pass_time(30 * MINUTE)
    assert world.charged["total"] == 30 * MINUTE


def test_two_sessions_of_one_child_count_once() -> None:
    world = World()
    world.host.login("mia")
    world.host.login("mia")
    world.tick()
    world.pass_time(10 * MINUTE)
    assert world.charged["total"] == 10 * MINUTE


def test_a_hint_is_believed_only_with_evidence() -> None:
    def charged(**hints: object) -> int:
        world = World()
        session = world.host.login("mia").id
        world.host.change(session, **hints)
        world.tick()
        world.pass_time(10 * MINUTE)
        return world.charged.get("total", 0)

    assert charged(locked_hint=True, playing=True) == 10 * MINUTE
    assert charged(locked_hint=True, busy=True, playing=False) == 10 * MINUTE
    assert charged(locked_hint=True, input_idle=HOUR, playing=False, busy=False) == 0
    assert charged(idle_hint=True, input_idle=HOUR, playing=False, busy=False) == 0


def test_unconfirmed_idle_is_capped_at_a_quarter_of_an_hour() -> None:
    world = World()
    session = world.host.login("mia").id
    world.host.change(session, locked_hint=True, input_idle=None, playing=None, busy=False)
    world.tick()
    for _ in range(40):
        world.pass_time(MINUTE)
    assert world.charged["unconfirmed"] == 15 * MINUTE
    assert world.charged["total"] == 25 * MINUTE


# ---- programs ----------------------------------------------------------------------------------------------------

FIRM = {"protected": True, "application": True}


@pytest.mark.parametrize(
    ("program", "action"),
    [
        (ProgramId(name="krita", path="/usr/bin/krita", package="deb:krita", **FIRM), "allow"),
        (ProgramId(name="krita", path="/home/mia/krita"), "block"),  # a name alone never allows
        (ProgramId(name="other", path="/usr/bin/other", package="deb:other", **FIRM), "block"),
        (ProgramId(name="good", path="/opt/good", sha256="a" * 64), "allow"),
        (ProgramId(name="renamed", path="/home/mia/renamed", sha256="b" * 64), "block"),
        (ProgramId(name="tool", path="/opt/tools/tool", **FIRM), "allow"),
        (ProgramId(name="tool", path="/opt/tools/tool"), "block"),  # a path the child can write proves nothing
        (ProgramId(name="dbus-daemon", path="/usr/bin/dbus-daemon", package="deb:dbus", protected=True), "allow"),
    ],
)
def test_the_most_specific_rule_on_firm_evidence_decides(program: ProgramId, action: str) -> None:
    base = rules().children["mia"].child.limits
    listed = [
        ProgramRule(program="krita"),
        ProgramRule(sha256="a" * 64),
        ProgramRule(sha256="b" * 64, action="block"),
        ProgramRule(path="/opt/tools/"),
        ProgramRule(group="games", action="block"),
    ]
    compiled = rules()
    policy = compiled.policy
    child = replace(policy.family.children[0], limits=replace(base, programs=listed, unknown_programs="block"))
    compiled = compile_policy(replace(policy, family=replace(policy.family, children=[child])))
    world = World(compiled)
    world.host.login("mia")
    world.tick()

    verdict = Questions(world.engine).why(world.engine.children["mia"], program)
    assert verdict.action == action, verdict
    assert verdict.rule
    assert verdict.sentence


def test_local_time_is_the_policys() -> None:
    assert (
        local(wall_of(MONDAY, 17 * 60 + 30, ZoneInfo("Asia/Tokyo")), ZoneInfo("Asia/Tokyo")).strftime("%H:%M")
        == "17:30"
    )


def test_when_minutes_run_out_learning_goes_on_and_the_rest_gets_time_to_save() -> None:
    compiled = rules()
    policy = compiled.policy
    base = policy.family.children[0].limits
    limits = replace(base, learning_after=True, programs=[ProgramRule(group="school", counts=False)])
    child = replace(policy.family.children[0], limits=limits)
    world = World(compile_policy(replace(policy, family=replace(policy.family, children=[child]))))
    world.host.login("mia")
    game = ProgramId(name="supertux2", path="/usr/games/supertux2", package="deb:supertux", **FIRM)
    school = ProgramId(name="gcompris-qt", path="/usr/games/gcompris-qt", package="deb:gcompris-qt", **FIRM)
    playing = world.host.start("mia", game)
    learning = world.host.start("mia", school)
    assert playing is not None
    assert learning is not None
    world.tick()
    stopped_at, told_at = None, None
    for second in range(3700):
        world.pass_time(SECOND)
        if told_at is None and any(isinstance(e, Notify) and e.kind == "grace" for e in world.effects):
            told_at = second
        if stopped_at is None and any(isinstance(e, StopProgram) for e in world.effects):
            stopped_at = second
    assert told_at is not None
    assert stopped_at is not None
    assert 3598 <= told_at <= 3601
    assert 58 <= stopped_at - told_at <= 62
    assert {e.pid for e in world.effects if isinstance(e, StopProgram)} == {playing.pid}
    assert not any(isinstance(e, EndSession) for e in world.effects)
    verdict = world.engine.children["mia"].decision
    assert verdict is not None
    assert verdict.verdict.remaining == 0
    assert verdict.verdict.binding is not None
    assert verdict.verdict.binding.kind == "day"
    charged = world.charged["total"]
    world.host.quit(playing.pid)
    world.tick()
    world.pass_time(10 * MINUTE)
    assert world.charged["total"] == charged, "learning does not count"


APPS = (
    ProgramId(name="supertux2", path="/usr/games/supertux2", package="deb:supertux", **FIRM),
    ProgramId(name="gcompris-qt", path="/usr/games/gcompris-qt", package="deb:gcompris-qt", **FIRM),
    ProgramId(name="odd", path="/home/mia/odd"),
)


@given(st.lists(st.tuples(st.sampled_from(("start", "quit", "become", "wait")), st.integers(0, 2)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_what_is_remembered_between_ticks_changes_no_decision(story: list[tuple[str, int]]) -> None:
    """An engine that is given the same processes anew at every tick decides like one that is given the same tuple."""
    policy = rules().policy
    listed = [ProgramRule(group="games", budget={"all": "40s"}), ProgramRule(name="odd", action="block")]
    child = replace(policy.family.children[0], limits=replace(policy.family.children[0].limits, programs=listed))
    compiled = compile_policy(replace(policy, family=replace(policy.family, children=[child])))
    world, other = World(compiled), World(compiled)
    world.host.login("mia")
    for deed, which in story:
        pids = list(world.host.running)
        if deed == "start":
            world.host.start("mia", APPS[which])
        elif deed == "quit" and pids:
            world.host.quit(pids[which % len(pids)])
        elif deed == "become" and pids:
            world.host.become(pids[-1], APPS[which])
        world.host.advance(20 * SECOND if deed == "wait" else SECOND)
        now, snapshot = world.host.clock.now(), asyncio.run(world.host.observe())
        step = world.engine.step(now, snapshot)
        again = other.engine.step(now, replace(snapshot, processes=(*snapshot.processes,)))
        assert (step.effects, step.charges, step.events) == (again.effects, again.charges, again.events)
        assert world.engine.children["mia"].decision == other.engine.children["mia"].decision


@given(
    st.lists(
        st.tuples(st.sampled_from(("in", "out", "start", "quit", "grant", "wait", "night")), st.integers(0, 2)),
        max_size=40,
    )
)
@settings(deadline=None, max_examples=60)
def test_deciding_less_often_for_a_child_who_is_not_there_changes_nothing(story: list[tuple[str, int]]) -> None:
    compiled = rules()
    world, other = World(compiled), World(compiled)
    other.engine.rest = 1
    for number, (deed, which) in enumerate(story):
        sessions, pids = list(world.host.sessions), list(world.host.running)
        if deed == "in":
            world.host.login("mia")
        elif deed == "out" and sessions:
            world.host.logout(sessions[0])
        elif deed == "start":
            world.host.start("mia", APPS[which])
        elif deed == "quit" and pids:
            world.host.quit(pids[0])
        elif deed == "grant":
            kind = ("lock", "pause", "time")[which]
            grant = Grant(id=str(number), child="mia", kind=kind, seconds=60, day=MONDAY.isoformat(), given=0, by="ana")  # type: ignore[arg-type]  # one of three literals
            world.grants = other.grants = (*world.grants, grant)
        world.host.advance({"wait": 7 * SECOND, "night": 11 * HOUR}.get(deed, SECOND))
        now, snapshot = world.host.clock.now(), asyncio.run(world.host.observe())
        step, again = world.engine.step(now, snapshot), other.engine.step(now, snapshot)
        assert (step.effects, step.charges, step.events, step.new_day) == (
            again.effects,
            again.charges,
            again.events,
            again.new_day,
        )
        one, two = world.engine.children["mia"], other.engine.children["mia"]
        assert (one.ladder, one.folding, one.moment) == (two.ladder, two.folding, two.moment)
        if snapshot.sessions or snapshot.processes:
            assert one.decision == two.decision
