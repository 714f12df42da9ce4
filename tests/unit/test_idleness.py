"""Hands that rest, where only the tray can say so: a hint, never more, and only while a tray says it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.clock import HOUR, MINUTE, SECOND
from agent.core.activity import Activity, of_session
from agent.errors import ConnectionFailed
from agent.ipc.answers import Done, Result
from agent.ipc.protocol import Body, Idle
from agent.model.snapshot import Session, Snapshot
from agent.service.idleness import FRESH, MOST, Idleness
from agent.tray.hands import EVERY, Hands

MIA = Session(id="1", account="mia", kind="windows")


def hinted(idleness: Idleness, now: int, session: Session = MIA) -> bool:
    return idleness.put(Snapshot(sessions=(session,)), now).sessions[0].idle_hint


def test_five_minutes_without_a_hand_are_a_hint_and_unconfirmed() -> None:
    idleness = Idleness()
    idleness.say("mia", 5 * MINUTE - 1, 0)
    assert not hinted(idleness, 0)
    idleness.say("mia", 5 * MINUTE, 0)
    (seen,) = idleness.put(Snapshot(sessions=(MIA,)), 0).sessions
    assert of_session(seen) == (Activity.UNCONFIRMED, False), "which core.usage caps"
    assert not hinted(idleness, 0, replace(MIA, account="tom"))


@pytest.mark.parametrize("more", [{"playing": True}, {"busy": True}, {"input_idle": 0}])
def test_what_the_host_sees_itself_is_worth_more(more: dict[str, object]) -> None:
    idleness = Idleness()
    idleness.say("mia", HOUR, 0)
    session = replace(MIA, **more)
    assert idleness.put(Snapshot(sessions=(session,)), 0).sessions == (session,)


def test_a_tray_that_says_no_more_is_not_believed_any_longer() -> None:
    idleness = Idleness()
    idleness.say("mia", HOUR, 0)
    assert hinted(idleness, FRESH)
    assert not hinted(idleness, FRESH + 1)


def test_hands_that_are_back_end_it_at_once() -> None:
    idleness = Idleness()
    idleness.say("mia", HOUR, 0)
    idleness.say("mia", 0, SECOND)
    assert not hinted(idleness, SECOND)


def test_accounts_without_end_are_not_kept() -> None:
    idleness = Idleness()
    for number in range(2 * MOST):
        idleness.say(f"a{number}", HOUR, 0)
    assert len(idleness._said) == MOST


# ---- the tray --------------------------------------------------------------------------------------------------------


class Desk:
    def __init__(self) -> None:
        self.now, self.idle, self.said, self.away = 0.0, 0, list[int](), False
        self.looked = 0

    def look(self) -> int | None:
        self.looked += 1
        return self.idle

    def call(self, body: Body) -> Result:
        if self.away:
            raise ConnectionFailed("The service is away", "Wait.")
        assert isinstance(body, Idle)
        self.said.append(body.seconds)
        return Done(sentence="")

    def hands(self) -> Hands:
        return Hands(self.call, self.look, lambda: self.now)

    def after(self, hands: Hands, idle: int, seconds: float = EVERY) -> list[int]:
        self.now += seconds
        self.idle = idle
        hands.tell()
        said, self.said = self.said, []
        return said


def test_it_says_so_twice_a_minute_and_once_when_the_hands_are_back() -> None:
    desk = Desk()
    hands = desk.hands()
    assert [desk.after(hands, idle) for idle in (0, 30, 60, 90, 2, 3)] == [[], [], [60], [90], [0], []]
    assert desk.after(hands, 600, 1.0) == [], "not more often"


def test_a_service_that_is_away_is_told_again() -> None:
    desk = Desk()
    hands = desk.hands()
    desk.after(hands, 60)
    desk.away = True
    assert desk.after(hands, 0) == []
    desk.away = False
    assert desk.after(hands, 0) == [0]


def test_where_the_service_sees_it_itself_nothing_is_asked_again() -> None:
    desk = Desk()
    hands = Hands(desk.call, lambda: desk.look() and None, lambda: desk.now)
    for _ in range(3):
        desk.after(hands, 600)
    assert desk.looked == 1
