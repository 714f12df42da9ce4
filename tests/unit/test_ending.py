"""The end of the time, whole: the engine, the effects and a computer in memory, second by second."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest

from agent.clock import MINUTE, SECOND
from agent.core.rules import Rules
from agent.model.grant import Grant
from agent.model.policy import Ending
from agent.model.program import ProgramId
from agent.model.snapshot import Session, SessionKind
from agent.model.usage import Usage
from agent.platforms.base import Capability
from agent.platforms.fake import FakeHost
from agent.service.effects import AGAIN_AFTER, GIVE_UP_LOCKING, MOST_UNDONE, Effects
from tests.family import child, compiled, head
from tests.pc import computer, engine

GAME = ProgramId(name="game", path="/opt/game", protected=True)
LOCK = Grant(id="l", child="mia", kind="lock", given=0, by="ana")
PAUSE = Grant(id="p", child="mia", kind="pause", given=0, by="ana")
LIMITS = """
windows = {{}}
budget = {{ all = "2m" }}
save_up_to = "0m"
notices = []
grace = "60s"
mode = "{mode}"
ending = "{ending}"
programs = []
unknown_programs = "allow"
learning_after = false
"""


def rules(ending: str, mode: str = "block") -> Rules:
    return compiled(head(zone="UTC") + child(LIMITS.format(ending=ending, mode=mode)))


class Home:
    """A family PC and its service, without the clock of this world."""

    def __init__(self, ending: str, mode: str = "block", host: type[FakeHost] = FakeHost) -> None:
        limits = rules(ending, mode)
        self.host = computer(limits, "mia", "leo", host=host)
        self.host.watch(["mia"])
        self.grants: tuple[Grant, ...] = ()
        self.events: list[tuple[str, str, str]] = []
        self.used = 0
        self.engine = engine(limits, lambda: self.grants, floor=self.host.clock.instant.wall)
        self.effects = Effects(self.host, lambda _: None, self._record, lambda _: None, lambda _: None)
        self.tick()

    def _record(self, child: str, kind: str, subject: str, rule: str, text: str) -> None:
        self.events.append((kind, subject, text))

    def tick(self) -> None:
        now = self.host.clock.now()
        step = self.engine.step(now, asyncio.run(self.host.observe()))
        self.used += sum(charge.millis for charge in step.charges if charge.kind == "total")
        asyncio.run(self.effects.apply(step.effects, now.boot))

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.host.advance(SECOND)
            self.tick()

    def login(self, kind: SessionKind = "wayland") -> Session:
        session = self.host.login("mia", kind=kind)
        self.tick()
        return session

    def now(self, session: Session) -> Session | None:
        return self.host.sessions.get(session.id)

    @property
    def endings(self) -> list[str]:
        return [ending for _, ending in self.host.ended]

    def state(self) -> str:
        decision = self.engine.children["mia"].decision
        assert decision is not None
        return decision.verdict.stage


# ---- the ladder, to its end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", get_args(Ending))
def test_time_runs_out_then_grace_then_the_chosen_end(ending: str) -> None:
    home = Home(ending)
    home.login()
    home.seconds(120 + 59)
    assert home.state() == "grace" and not home.endings
    home.seconds(3)
    assert home.endings == [ending]


@pytest.mark.parametrize("ending", get_args(Ending))
def test_a_session_that_begins_without_time_is_ended_in_the_tick_that_sees_it(ending: str) -> None:
    home = Home(ending)
    home.grants = (LOCK,)
    home.login()
    assert home.endings == [ending]


# ---- lock ----------------------------------------------------------------------------------------------------------


def test_a_lock_is_renewed_whenever_it_is_undone() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    for round_ in range(3):
        assert home.endings == ["lock"] * (round_ + 1)
        home.seconds(20)
        home.host.change(session.id, locked_hint=False)
        home.tick()
    assert home.now(session) is not None


def test_whoever_unlocks_over_and_over_is_logged_out() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    for _ in range(MOST_UNDONE):
        home.seconds(1)
        home.host.change(session.id, locked_hint=False)
        home.tick()
    assert home.endings[-1] == "logout" and home.endings.count("logout") == 1
    assert home.now(session) is None


@pytest.mark.parametrize("kind", ["tty", "remote", "unspecified"])
def test_what_has_no_locker_is_logged_out_in_the_same_tick(kind: SessionKind) -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login(kind)
    assert home.endings == ["logout"] and home.now(session) is None


class DeafDesktop(FakeHost):
    """Its screen does not lock."""

    async def end_session(self, session: str, ending: Ending) -> None:
        if ending == "lock":
            self.ended.append((session, ending))
        else:
            await super().end_session(session, ending)


def test_a_desktop_that_ignores_the_lock_is_logged_out() -> None:
    home = Home("lock", host=DeafDesktop)
    home.grants = (LOCK,)
    session = home.login()
    home.seconds((GIVE_UP_LOCKING + 1) * AGAIN_AFTER // SECOND)
    assert home.endings == ["lock"] * GIVE_UP_LOCKING + ["logout"] and home.now(session) is None


def test_a_screen_that_is_unlocked_before_anyone_looked_is_locked_again_after_a_second() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    home.host.change(session.id, locked_hint=False)
    home.host.advance(200)
    home.tick()
    assert home.endings == ["lock"], "a desktop needs a moment"
    assert home.effects.again == home.host.clock.now().boot + 800
    home.host.advance(800)
    home.tick()
    assert home.endings == ["lock", "lock"]
    home.seconds(1)
    assert home.effects.again is None, "it holds"


def test_whoever_unlocks_before_anyone_looks_is_logged_out_after_a_few_tries() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    for _ in range(GIVE_UP_LOCKING):
        assert home.now(session) is not None
        home.host.change(session.id, locked_hint=False)
        home.seconds(1)
    assert home.endings == ["lock"] * GIVE_UP_LOCKING + ["logout"] and home.now(session) is None


def test_a_locked_screen_that_is_typed_at_is_put_behind_the_login_screen() -> None:
    """The hint is the session's own word for it; keys that are pressed for longer than a password takes are not."""
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    home.seconds(2)
    for _ in range(90):
        home.host.change(session.id, input_idle=500)
        home.seconds(1)
    gone = home.now(session)
    assert gone is not None and gone.locked_hint and not gone.active, "nothing is lost, and it is not in front"
    assert home.endings == ["lock", "lock"]


def test_a_locked_screen_that_rests_is_left_alone() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    home.seconds(20)
    for second in range(300):
        home.host.change(session.id, input_idle=second * SECOND)
        home.seconds(1)
    assert home.endings == ["lock"] and home.now(session) is not None


def test_a_few_keys_at_a_locked_screen_are_no_use() -> None:
    home = Home("lock")
    home.grants = (LOCK,)
    session = home.login()
    for _ in range(30):
        home.host.change(session.id, input_idle=500)
        home.seconds(1)
    for second in range(60, 120):
        home.host.change(session.id, input_idle=second * SECOND)
        home.seconds(1)
    assert home.endings == ["lock"]


# ---- log out -------------------------------------------------------------------------------------------------------


def test_a_log_out_takes_the_sessions_in_the_background_along() -> None:
    home = Home("logout")
    first, second = home.login(), home.login("tty")
    home.host.change(first.id, active=False)
    home.seconds(5)
    home.grants = (LOCK,)
    home.tick()
    assert home.now(first) is None and home.now(second) is None


def test_a_session_in_the_background_alone_is_left_until_it_comes_to_the_front() -> None:
    """Fast user switching: the guardian sits there."""
    home = Home("logout")
    session = home.login()
    home.host.change(session.id, active=False)
    home.grants = (LOCK,)
    home.seconds(10)
    assert home.now(session) is not None
    home.host.change(session.id, active=True)
    home.tick()
    assert home.now(session) is None


def test_what_lingers_is_stopped_and_stopped_again() -> None:
    home = Home("logout")
    home.host.lingering.add("mia")
    home.login()
    home.host.start("mia", GAME, ignores_term=True)
    home.grants = (LOCK,)
    home.tick()
    home.seconds(6)
    assert not home.host.running
    home.host.start("mia", GAME)  # a job of cron
    home.seconds(3)
    assert not home.host.running
    assert ("ended", "leftovers") in {(kind, subject) for kind, subject, _ in home.events}


@pytest.mark.parametrize("ending", ["lock", "freeze"])
def test_without_a_log_out_nothing_is_cleared(ending: str) -> None:
    home = Home(ending)
    home.grants = (LOCK,)
    home.host.start("mia", GAME)
    home.seconds(10)
    assert home.host.running


@pytest.mark.parametrize("mode", ["warn", "inform"])
def test_an_agreement_clears_nothing(mode: str) -> None:
    home = Home("logout", mode)
    home.login()
    home.seconds(220)
    home.host.lingering.add("mia")
    home.host.start("mia", GAME)
    for session in list(home.host.sessions):
        home.host.logout(session)
    home.seconds(10)
    assert home.host.running and not home.endings


def test_while_work_is_being_saved_nothing_is_cleared() -> None:
    home = Home("logout")
    session = home.login()
    home.seconds(121)
    assert home.state() == "grace"
    home.host.lingering.add("mia")
    home.host.start("mia", GAME)
    home.host.logout(session.id)
    home.seconds(30)
    assert home.host.running
    home.seconds(40)
    assert not home.host.running


# ---- freeze --------------------------------------------------------------------------------------------------------


def test_frozen_time_is_not_charged_and_a_grant_thaws_in_the_tick_that_sees_it() -> None:
    home = Home("freeze")
    session = home.login()
    home.seconds(120 + 62)
    assert home.host.frozen == {"mia"}
    used = home.used
    home.seconds(100)
    assert home.used == used
    assert home.endings == ["freeze"], "what holds is not done again"
    home.grants = (Grant(id="g", child="mia", kind="time", seconds=600, day="2026-03-02", given=0, by="ana"),)
    home.tick()
    assert not home.host.frozen
    home.seconds(11)  # the first of them is seen as frozen at its start
    assert home.used == used + 10 * SECOND
    assert home.now(session) is not None


def test_a_freeze_that_is_undone_is_done_again() -> None:
    home = Home("freeze")
    home.grants = (LOCK,)
    home.login()
    home.host.frozen.clear()
    home.seconds(AGAIN_AFTER // SECOND)
    assert home.host.frozen == {"mia"}


def test_a_pause_thaws() -> None:
    home = Home("freeze")
    home.grants = (LOCK,)
    home.login()
    home.grants = (PAUSE,)
    home.seconds(1)
    assert not home.host.frozen


def test_a_restart_keeps_the_frozen_state_and_its_accounting() -> None:
    home = Home("freeze")
    home.login()
    home.seconds(120 + 62)
    saved, used = home.engine.saved(), home.used
    home.host.advance(40 * SECOND)  # nobody looked
    again = engine(home.engine.rules, lambda: home.grants)
    again.resume(saved)
    home.engine = again
    home.engine.children["mia"].usage = _used(used)
    home.tick()
    assert home.used == used and home.host.frozen == {"mia"}
    home.grants = (Grant(id="g", child="mia", kind="time", seconds=600, day="2026-03-02", given=0, by="ana"),)
    home.seconds(1)
    assert not home.host.frozen


def test_a_service_that_lost_its_state_thaws_what_it_finds_frozen() -> None:
    home = Home("freeze")
    home.login()
    home.host.frozen.add("mia")
    home.seconds(1)
    assert not home.host.frozen


def test_a_policy_that_chooses_another_end_lets_go_first() -> None:
    home = Home("freeze")
    home.grants = (LOCK,)
    home.login()
    assert home.host.frozen
    home.engine.adopt(rules("lock"))
    home.seconds(2)
    assert not home.host.frozen
    assert home.endings[-1] == "lock"


def test_where_nothing_can_be_frozen_the_session_is_logged_out() -> None:
    home = Home("freeze")
    home.host.missing[Capability.FREEZE] = "The kernel is too old."
    home.grants = (LOCK,)
    home.login()
    assert home.endings == ["logout"]
    assert any(kind == "degraded" for kind, _, _ in home.events)


# ---- other people's sessions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("within", "counts"), [("leo", True), ("", True), ("ana", False), ("root", False)])
def test_programs_in_anothers_session_are_use_unless_a_guardian_is_at_work(within: str, counts: bool) -> None:
    home = Home("logout")
    session = home.host.login("mia", kind="unspecified")
    home.host.change(session.id, within=within)
    home.tick()
    home.seconds(10)
    assert home.used == (10 * SECOND if counts else 0)
    home.grants = (LOCK,)
    home.seconds(1)
    assert (home.now(session) is None) is counts


def test_two_sessions_are_charged_once_a_second() -> None:
    home = Home("lock")
    home.login()
    home.login("tty")
    borrowed = home.host.login("mia", kind="unspecified")
    home.host.change(borrowed.id, within="leo")
    home.tick()
    home.seconds(30)
    assert home.used == 30 * SECOND


def _used(millis: int) -> Usage:
    from agent.model.usage import DayUse

    return Usage(child="mia", since="2026-01-01", days={"2026-03-02": DayUse(total=millis)})


def test_the_minutes_are_whole() -> None:
    """The grace is use as well: it is charged like any other second."""
    home = Home("logout")
    home.login()
    home.seconds(120 + 120)
    assert 3 * MINUTE <= home.used <= 3 * MINUTE + 2 * SECOND
