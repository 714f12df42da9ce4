"""The job ``calendar``: when is each chore due next?

Reckoned by APScheduler's ``CronTrigger``, in a process of its own: with all it imports it is a sixth of what the service
may take, for three questions a day.  The trigger is asked in the zone's local time *as if it were UTC*, and the answer is
placed in the zone here: given the zone itself, ``CronTrigger`` leaves out a week where the clock goes forward at midnight
(Beirut, Asuncion) and fires twice in a repeated hour.  A time that the clock leaps over is due as long after the leap as it
is into the gap; one that comes twice, the first time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from agent.clock import Millis
from agent.model.policy import Weekday

LAST: Millis = 32_503_680_000_000
"""The year 3000; a wall clock may say anything."""


class When(Struct, frozen=True, kw_only=True):
    """At ``time`` (HH:MM, local time of the policy's zone) every day, or every ``day`` of the week."""

    time: str
    day: Weekday | None = None


class Question(Struct, frozen=True, kw_only=True):
    """When is something that runs at ``when`` in ``zone`` due after ``last`` (wall ms, UTC)?"""

    when: When
    zone: str
    last: Millis


class Trigger(Protocol):
    """What is used of ``CronTrigger``, which has no types of its own."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None: ...


def run(request: bytes) -> bytes:
    """A list of questions in, the times (wall ms, UTC) in the same order out."""
    return msgspec.json.encode([after(question) for question in msgspec.json.decode(request, type=list[Question])])


def after(question: Question) -> Millis:
    """The answer to one question; ``LAST`` when there is none."""
    zone, trigger = ZoneInfo(question.zone), _trigger(question.when)
    local = datetime.fromtimestamp(question.last / 1000, zone).replace(tzinfo=UTC)
    while True:
        found = trigger.get_next_fire_time(None, local + timedelta(microseconds=1))
        if found is None:
            return LAST
        at = _place(found, zone)
        if at > question.last:
            return at
        local = found  # the first of a repeated hour is over already


def _trigger(when: When) -> Trigger:
    # Imported here, because the service imports this module for its questions.
    from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # it ships no types

    hour, _, minute = when.time.partition(":")
    day = {"day_of_week": when.day[:3]} if when.day else {}
    trigger: Trigger = CronTrigger(hour=int(hour), minute=int(minute), second=0, timezone=UTC, **day)
    return trigger


def _place(found: datetime, zone: ZoneInfo) -> Millis:
    """The instant at which ``zone`` shows the local time that ``found`` holds.

    PEP 495: with ``fold=0`` a time that comes twice is the first one, and a time in a gap is reckoned with the offset
    before it, which is as long after the leap as the time is into the gap.
    """
    return int(found.replace(tzinfo=zone, fold=0).timestamp() * 1000)
