"""What the login screen is answered, and that it is what would happen after the login."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import HOUR, MINUTE, SECOND
from agent.core.login import Entry
from agent.core.rules import Rules
from agent.model.grant import Grant
from agent.model.snapshot import Session
from agent.model.verdict import EndSession
from agent.service.questions import Questions
from tests.family import child, compiled, head
from tests.pc import computer, engine

LIMITS = """
windows = {{ all = ["15:00-20:00"] }}
budget = {{ all = "1h" }}
save_up_to = "0m"
grace = "60s"
mode = "{mode}"
programs = []
unknown_programs = "allow"
learning_after = {learning}
{breaks}
"""
PAUSE = Grant(id="p", child="mia", kind="pause", given=0, by="ana")
LOCK = Grant(id="l", child="mia", kind="lock", given=0, by="ana")


def rules(mode: str = "block", learning: bool = False, breaks: str = "") -> Rules:
    limits = LIMITS.format(mode=mode, learning=str(learning).lower(), breaks=breaks)
    return compiled(head() + child(limits, accounts=["mia", "mia-school"]))


class Door:
    """A family PC, and what its login screen is told."""

    def __init__(self, limits: Rules, minute: int = 15 * 60) -> None:
        self.host = computer(limits, "mia", minute=minute)
        self.host.watch(["mia"])
        self.grants: tuple[Grant, ...] = ()
        self.ended: list[EndSession] = []
        self.engine = engine(limits, lambda: self.grants, floor=self.host.clock.instant.wall)
        self.tick()

    def tick(self) -> None:
        step = self.engine.step(self.host.clock.now(), asyncio.run(self.host.observe()))
        self.ended = [e for e in step.effects if isinstance(e, EndSession)]

    def pass_time(self, millis: int) -> None:
        self.host.advance(millis)
        self.tick()

    def login(self) -> Session:
        session = self.host.login("mia")
        self.tick()
        return session

    def use(self, millis: int) -> None:
        session = self.login()
        self.pass_time(millis)
        self.host.logout(session.id)
        self.pass_time(2 * MINUTE)  # the grace of this session is over

    def ask(self, account: str = "mia") -> Entry:
        assert self.engine.keeper is not None
        return Questions(self.engine).entry(account, self.host.clock.now(), self.engine.keeper.wall)


def test_whoever_is_no_child_comes_in() -> None:
    door = Door(rules(), minute=22 * 60)
    assert door.ask("ana") == door.ask("root") == door.ask("nobody-knows") == Entry(True)


def test_with_time_left_a_child_comes_in_without_words() -> None:
    assert Door(rules()).ask() == Entry(True)


def test_outside_the_hours_the_child_is_told_when() -> None:
    found = Door(rules(), minute=21 * 60).ask()
    assert not found.allowed
    assert "on Tuesday at 15:00" in found.sentence
    assert found.rule == "mia/windows"


def test_an_opening_that_came_since_the_last_tick_counts() -> None:
    door = Door(rules(), minute=15 * 60 - 1)
    assert not door.ask().allowed
    door.host.advance(MINUTE)
    assert door.engine.keeper is not None
    assert Questions(door.engine).entry("mia", door.host.clock.now(), door.engine.keeper.wall + MINUTE).allowed


def test_used_up_minutes_close_the_door_for_every_account_of_the_child() -> None:
    door = Door(rules())
    door.use(HOUR)
    found = door.ask("mia-school")
    assert not found.allowed and "used today's 1 h" in found.sentence
    assert found == door.ask("mia")


def test_extra_time_and_a_pause_open_it() -> None:
    door = Door(rules())
    door.use(HOUR)
    door.grants = (Grant(id="g", child="mia", kind="time", seconds=600, day="2026-03-02", given=0, by="ana"),)
    assert door.ask().allowed
    door.grants = (PAUSE,)
    assert door.ask().allowed
    door.grants = (replace(PAUSE, until=1),)
    assert not door.ask().allowed


def test_a_guardians_lock_holds_in_any_mode() -> None:
    for mode in ("block", "warn", "inform"):
        door = Door(rules(mode))
        door.grants = (LOCK,)
        found = door.ask()
        assert not found.allowed and "ana has paused the PC" in found.sentence


@pytest.mark.parametrize("mode", ["warn", "inform"])
def test_an_agreement_is_no_lock(mode: str) -> None:
    assert Door(rules(mode), minute=22 * 60).ask().allowed


def test_learning_goes_on_when_minutes_are_used_up_but_not_outside_the_hours() -> None:
    door = Door(rules(learning=True))
    door.use(HOUR)
    assert door.ask().allowed
    door.pass_time(5 * HOUR)
    assert not door.ask().allowed


def test_a_break_is_told_and_passes() -> None:
    door = Door(rules(breaks='breaks = { after = "30m", rest = "10m" }'))
    session = door.login()
    door.pass_time(30 * MINUTE)
    door.host.logout(session.id)
    door.pass_time(90 * SECOND)
    assert "break" in door.ask().sentence
    door.pass_time(10 * MINUTE)
    assert door.ask().allowed


def test_while_work_is_being_saved_a_locked_screen_opens() -> None:
    door = Door(rules())
    session = door.login()
    door.pass_time(HOUR)
    door.host.change(session.id, locked_hint=True)
    door.pass_time(30 * SECOND)
    assert door.ask().allowed
    door.pass_time(31 * SECOND)
    assert not door.ask().allowed


def test_asking_changes_nothing() -> None:
    door = Door(rules())
    door.use(40 * MINUTE)
    before = door.engine.saved()
    door.ask()
    assert door.engine.saved() == before


@settings(max_examples=60, deadline=None)
@example(minute=14 * 60 + 1, used=59, mode="block", learning=False, grant=None)
@given(
    minute=st.integers(0, 24 * 60 - 1),
    used=st.integers(0, 70),
    mode=st.sampled_from(["block", "warn"]),
    learning=st.booleans(),
    grant=st.sampled_from([None, PAUSE, LOCK]),
)
def test_who_is_refused_would_have_been_ended_and_nobody_else(
    minute: int, used: int, mode: str, learning: bool, grant: Grant | None
) -> None:
    door = Door(rules(mode, learning), minute)
    door.use(used * MINUTE)
    door.grants = () if grant is None else (grant,)
    door.tick()
    told = door.ask()
    door.login()
    assert bool(door.ended) is not told.allowed, told
