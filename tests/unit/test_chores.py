"""When chores run, and that what goes wrong with them stays with them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.clock import DAY, HOUR, MINUTE, FakeClock, Instant, Millis
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.service import jobs
from agent.service.calendar import Question, When, after
from agent.service.chores import CALENDAR, RETRY, Chores

LISBON = "Europe/Lisbon"


def wall(text: str, zone: str = LISBON) -> Millis:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


class Notes:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.events: list[LedgerEvent] = []

    def state(self, key: str) -> bytes | None:
        return self.states.get(key)

    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None:
        self.states.update(states)

    def add_event(self, event: LedgerEvent) -> None:
        self.events.append(event)


async def here(questions: Sequence[Question]) -> list[Millis]:
    return [after(question) for question in questions]


class Rig:
    def __init__(self, now: str, ask: object = here, deeds: Mapping[str, object] | None = None) -> None:
        self.ran: list[str] = []
        self.clock = FakeClock(Instant(wall(now), 60_000, 60_000, "boot"))
        self.notes = Notes()
        self.failing = False
        self.chores = Chores(
            self.notes,
            LISBON,
            self.clock,
            {"summary": self.summary},
            ask=ask,
        )

    async def summary(self) -> None:
        if self.failing:
            raise OSError("no room")
        self.ran.append(dt.datetime.fromtimestamp(self.clock.now().wall / 1000, ZoneInfo(LISBON)).isoformat())

    def look(self) -> None:
        asyncio.run(self.chores.run_due())


def test_a_weekly_chore_runs_once_a_week_at_its_hour() -> None:
    rig = Rig("2026-03-04T12:00")
    for _ in range(3 * 7 * 24):
        rig.look()
        rig.clock.advance(HOUR)
    assert [day[:16] for day in rig.ran] == ["2026-03-08T18:00", "2026-03-15T18:00", "2026-03-22T18:00"]


def test_runs_missed_while_the_pc_was_off_are_made_up_by_one() -> None:
    rig = Rig("2026-03-04T12:00")
    rig.look()
    rig.clock.advance(30 * DAY)
    rig.look()
    rig.look()
    assert len(rig.ran) == 1


def test_a_chore_that_fails_is_noted_and_tried_again_later() -> None:
    rig = Rig("2026-03-08T17:59")
    rig.look()
    rig.failing = True
    rig.clock.advance(MINUTE)
    rig.look()
    assert "no room" in rig.chores.failures["summary"]
    assert [event.subject for event in rig.notes.events] == ["chore:summary"]
    rig.failing = False
    rig.look()
    assert not rig.ran
    rig.clock.advance(RETRY[0])
    rig.look()
    assert rig.ran
    assert not rig.chores.failures


def test_a_calendar_that_cannot_be_asked_is_noted_and_asked_again_later() -> None:
    asked = 0

    async def ask(questions: Sequence[Question]) -> list[Millis]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise jobs.JobFailed("It failed", "Try again.")
        return [after(question) for question in questions]

    rig = Rig("2026-03-08T17:00", ask)
    rig.look()
    rig.look()
    assert asked == 1
    assert CALENDAR in rig.chores.failures
    assert rig.chores.next_run("summary") is None
    rig.clock.advance(2 * HOUR)
    rig.look()
    assert rig.ran and not rig.chores.failures
    assert asked == 2


def test_the_calendar_is_asked_only_when_something_has_run() -> None:
    asked = 0

    async def ask(questions: Sequence[Question]) -> list[Millis]:
        nonlocal asked
        asked += 1
        return [after(question) for question in questions]

    rig = Rig("2026-03-04T12:00", ask)
    for _ in range(8 * 24):
        rig.look()
        rig.clock.advance(HOUR)
    assert len(rig.ran) == 1
    assert asked == 2


@pytest.mark.parametrize(
    ("zone", "last", "when", "due"),
    [
        (LISBON, "2026-03-04T12:00", When(time="18:00"), "2026-03-04T18:00"),
        (LISBON, "2026-03-04T18:00", When(time="18:00"), "2026-03-05T18:00"),
        (LISBON, "2026-03-04T12:00", When(time="18:00", day="sunday"), "2026-03-08T18:00"),
        # clocks go forward from 01:00 to 02:00: 01:30 is not there, and stands for 02:30
        (LISBON, "2026-03-28T12:00", When(time="01:30"), "2026-03-29T02:30"),
        # at midnight: the week is not left out
        ("Asia/Beirut", "2026-03-22T12:00", When(time="00:10", day="sunday"), "2026-03-29T01:10"),
        # clocks go back from 02:00 to 01:00: 01:30 comes twice and counts once
        (LISBON, "2026-10-24T12:00", When(time="01:30"), "2026-10-25T01:30"),
        (LISBON, "2026-10-25T01:30", When(time="01:30"), "2026-10-26T01:30"),
    ],
)
def test_the_next_time_is_the_zones(zone: str, last: str, when: When, due: str) -> None:
    assert after(Question(when=when, zone=zone, last=wall(last, zone))) == wall(due, zone)


def test_the_job_answers_like_the_function() -> None:
    questions = [Question(when=When(time=f"0{n}:10"), zone=LISBON, last=wall("2026-03-04T12:00")) for n in range(3)]
    answer = asyncio.run(jobs.run(CALENDAR, msgspec.json.encode(questions)))
    assert msgspec.json.decode(answer) == [after(question) for question in questions]
