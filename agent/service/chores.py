"""Calendar chores: the weekly summary, retention, backup.  Enforcement never waits for them and never depends on them.

When a chore is next due is reckoned by APScheduler's ``CronTrigger``; *that* it is due is seen by our own timer, because
APScheduler's scheduler sleeps until a wall time and so misses resume and a changed clock (its issues 794 and 752), forgets
what it missed while the PC was off (memory store), loops for ever when a job falls into the hour that a clock change
repeats (issue 1021: that would hang the service), and holds 1.8 MiB more.

The trigger is asked in the zone's local time *as if it were UTC*, and the answer is placed in the zone here: given the
zone itself, ``CronTrigger`` leaves out a week where the clock goes forward at midnight (Beirut, Asuncion) and fires twice
in a repeated hour.  A time that the clock leaps over is due as long after the leap as it is into the gap; one that comes twice, the first
time.

Every missed run of a chore is made up by one run at the next start, however late (``misfire_grace_time=None`` and
``coalesce``, in APScheduler's words).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct

from agent.clock import DAY, HOUR, MINUTE, Clock, Instant, Millis
from agent.errors import StoreError
from agent.model.policy import Weekday
from agent.model.record import LedgerEvent
from agent.model.usage import Charge

LOOK_EVERY = 60.0
"""Seconds between two looks at the calendar."""
LONGEST = 600.0
"""Seconds after which a chore that has not ended is given up."""
RETRY = (15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR)
"""After a failure the chore waits this long, awake, before it is tried again."""
_FIRST: Millis = DAY
_LAST: Millis = 32_503_680_000_000  # the year 3000; a wall clock may say anything

Job = Callable[[], Awaitable[None]]


class When(Struct, frozen=True, kw_only=True):
    """At ``time`` (HH:MM, local time of the policy's zone) every day, or every ``day`` of the week."""

    time: str
    day: Weekday | None = None


USUAL: Mapping[str, When] = {
    "summary": When(day="sunday", time="18:00"),
    "retention": When(time="04:10"),
    "backup": When(time="04:20"),
}


class Memory(Protocol):
    """Where the last runs are kept: the ledger."""

    def state(self, key: str) -> bytes | None: ...
    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None: ...
    def add_event(self, event: LedgerEvent) -> None: ...


class Trigger(Protocol):
    """What is used of ``CronTrigger``, which has no types of its own."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None: ...


class Chores:
    """Runs ``jobs`` by the calendar of ``zone`` (IANA name).

    ``clock`` should give the trusted time.  ``times`` says when each is due, ``USUAL`` for those it leaves out; a job that
    neither knows is a ``ValueError``.
    """

    def __init__(
        self,
        store: Memory,
        zone: str,
        clock: Clock,
        jobs: Mapping[str, Job],
        times: Mapping[str, When] | None = None,
    ) -> None:
        plan = {**USUAL, **(times or {})}
        unknown = sorted(jobs.keys() - plan.keys())
        if unknown:
            raise ValueError(f"no time is known for {', '.join(unknown)}")
        self._store = store
        self._zone = ZoneInfo(zone)
        self._clock = clock
        self._jobs = dict(jobs)
        self._triggers = {name: _trigger(plan[name]) for name in jobs}
        self._next: dict[str, tuple[Millis, Millis]] = {}
        self._failed: dict[str, tuple[int, Millis]] = {}
        self._task: asyncio.Task[None] | None = None
        self.failures: dict[str, str] = {}
        """Chores whose last run failed, and why; empty when all is well."""

    # ---- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the calendar; what was missed is run now.  Needs a running loop; twice is once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="fairtime-chores")

    async def stop(self) -> None:
        """End; a chore that is running is cancelled and will be due again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep(self) -> None:
        while True:
            await self.run_due()
            await asyncio.sleep(LOOK_EVERY)

    # ---- calendar ----------------------------------------------------------------------------------------------------

    def due(self, now: Instant) -> tuple[str, ...]:
        """The chores to run now, the longest overdue first."""
        found = []
        for name in self._jobs:
            at = self.next_run(name, now)
            if at <= now.wall and self._failed.get(name, (0, now.awake))[1] <= now.awake:
                found.append((at, name))
        return tuple(name for _, name in sorted(found, key=lambda pair: pair[0]))

    def next_run(self, name: str, now: Instant) -> Millis:
        """When a chore is next due (wall ms, UTC); in the past when it is overdue."""
        last = self._last(name, now)
        held = self._next.get(name)
        if held is None or held[0] != last:
            held = self._next[name] = (last, self._after(name, last))
        return held[1]

    async def run_due(self) -> None:
        """Run what is due, one after the other.  A chore that fails is noted and tried again later; it never raises."""
        for name in self.due(self._clock.now()):
            began = self._clock.now()
            try:
                async with asyncio.timeout(LONGEST):
                    await self._jobs[name]()
            except Exception as error:  # noqa: BLE001  # whatever a chore does wrong, the service goes on; it is noted
                self._note_failure(name, error)
            else:
                self._failed.pop(name, None)
                self.failures.pop(name, None)
                self._remember(name, began.wall)

    # ---- within ------------------------------------------------------------------------------------------------------

    def _after(self, name: str, last: Millis) -> Millis:
        local = datetime.fromtimestamp(last / 1000, self._zone).replace(tzinfo=UTC)
        while True:
            found = self._triggers[name].get_next_fire_time(None, local + timedelta(microseconds=1))
            if found is None:
                return _LAST
            at = _place(found, self._zone)
            if at > last:
                return at
            local = found  # the first of a repeated hour is over already

    def _last(self, name: str, now: Instant) -> Millis:
        """The last run; a chore seen for the first time counts as run now.

        A last run more than a day ahead was written under a wrong clock: it is drawn back to now, or nothing would run
        until then.
        """
        wall = min(max(now.wall, _FIRST), _LAST)
        kept = self._store.state(_key(name))
        if kept is None:
            self._remember(name, wall)
            return wall
        try:
            last = int(kept)
        except ValueError:
            last = _FIRST  # unreadable: rather once too often than never
        if last > wall + DAY:
            self._remember(name, wall)
            return wall
        return max(last, _FIRST)

    def _remember(self, name: str, wall: Millis) -> None:
        # On a full disk the ledger keeps this pending, answers from it, and its own flush says what is wrong.
        with contextlib.suppress(StoreError):
            self._store.record((), {_key(name): b"%d" % min(max(wall, _FIRST), _LAST)})

    def _note_failure(self, name: str, error: Exception) -> None:
        now = self._clock.now()
        tries = self._failed.get(name, (0, 0))[0]
        self._failed[name] = (tries + 1, now.awake + RETRY[min(tries, len(RETRY) - 1)])
        took_long = isinstance(error, TimeoutError)
        text = f"it took longer than {LONGEST:.0f} s" if took_long else f"{type(error).__name__}: {error}"
        self.failures[name] = text
        wall = min(max(now.wall, _FIRST), _LAST)
        day = datetime.fromtimestamp(wall / 1000, self._zone).date().isoformat()
        event = LedgerEvent(at=now.wall, day=day, kind="degraded", subject=f"chore:{name}", text=text)
        with contextlib.suppress(StoreError):
            self._store.add_event(event)


def _key(name: str) -> str:
    return f"chore.{name}"


def _trigger(when: When) -> Trigger:
    # Imported here: 2.7 MiB of memory, only for a service that has chores.
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
