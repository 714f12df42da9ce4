"""Calendar chores: the weekly summary, retention, backup.  Enforcement never waits for them and never depends on them.

When a chore is next due is reckoned by APScheduler in a job (``calendar``); *that* it is due is seen by our own timer,
because APScheduler's scheduler sleeps until a wall time and so misses resume and a changed clock (its issues 794 and 752),
forgets what it missed while the PC was off (memory store), and loops for ever when a job falls into the hour that a clock
change repeats (issue 1021: that would hang the service).

Every missed run of a chore is made up by one run at the next start, however late (``misfire_grace_time=None`` and
``coalesce``, in APScheduler's words).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from agent.clock import DAY, HOUR, MINUTE, Clock, Instant, Millis
from agent.errors import FairtimeError, StoreError
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.service import jobs
from agent.service.calendar import LAST, Question, When

LOOK_EVERY = 60.0
"""Seconds between two looks at the calendar."""
LONGEST = 600.0
"""Seconds after which a chore that has not ended is given up."""
RETRY = (15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR)
"""After a failure the chore waits this long, awake, before it is tried again."""
_FIRST: Millis = DAY

CALENDAR = "calendar"

Job = Callable[[], Awaitable[None]]
Ask = Callable[[Sequence[Question]], Awaitable[Sequence[Millis]]]


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


async def _by_job(questions: Sequence[Question]) -> Sequence[Millis]:
    return msgspec.json.decode(await jobs.run(CALENDAR, msgspec.json.encode(questions)), type=list[Millis])


class Chores:
    """Runs ``deeds`` by the calendar of ``zone`` (IANA name).

    ``clock`` should give the trusted time.  ``times`` says when each is due, ``USUAL`` for those it leaves out; a job that
    neither knows is a ``ValueError``.  ``ask`` answers when chores are due next.
    """

    def __init__(
        self,
        store: Memory,
        zone: str,
        clock: Clock,
        deeds: Mapping[str, Job],
        times: Mapping[str, When] | None = None,
        ask: Ask = _by_job,
    ) -> None:
        plan = {**USUAL, **(times or {})}
        unknown = sorted(deeds.keys() - plan.keys())
        if unknown:
            raise ValueError(f"no time is known for {', '.join(unknown)}")
        self._store = store
        self._zone = ZoneInfo(zone)
        self._clock = clock
        self._jobs = dict(deeds)
        self._plan = plan
        self._ask = ask
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
        """The chores to run now, the longest overdue first, among those whose time is known."""
        found = []
        for name, (_, at) in self._next.items():
            if at <= now.wall and self._failed.get(name, (0, now.awake))[1] <= now.awake:
                found.append((at, name))
        return tuple(name for _, name in sorted(found, key=lambda pair: pair[0]))

    def next_run(self, name: str) -> Millis | None:
        """When a chore is next due (wall ms, UTC); in the past when it is overdue, ``None`` before it was reckoned."""
        held = self._next.get(name)
        return None if held is None else held[1]

    async def run_due(self) -> None:
        """Run what is due, one after the other.  A chore that fails is noted and tried again later; it never raises."""
        await self._reckon(self._clock.now())
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

    async def _reckon(self, now: Instant) -> None:
        """Ask for the next time of each chore that has run, or was never reckoned; what fails is asked again later."""
        if self._failed.get(CALENDAR, (0, now.awake))[1] > now.awake:
            return
        lasts = {name: self._last(name, now) for name in self._jobs}
        new = [name for name, last in lasts.items() if self._next.get(name, (None,))[0] != last]
        if not new:
            return
        questions = [Question(when=self._plan[name], zone=self._zone.key, last=lasts[name]) for name in new]
        try:
            times = await self._ask(questions)
        except FairtimeError as error:
            self._note_failure(CALENDAR, error)
            return
        self._failed.pop(CALENDAR, None)
        self.failures.pop(CALENDAR, None)
        for name, at in zip(new, times, strict=True):
            self._next[name] = (lasts[name], at)

    def _last(self, name: str, now: Instant) -> Millis:
        """The last run; a chore seen for the first time counts as run now.

        A last run more than a day ahead was written under a wrong clock: it is drawn back to now, or nothing would run
        until then.
        """
        wall = min(max(now.wall, _FIRST), LAST)
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
            self._store.record((), {_key(name): b"%d" % min(max(wall, _FIRST), LAST)})

    def _note_failure(self, name: str, error: Exception) -> None:
        now = self._clock.now()
        tries = self._failed.get(name, (0, 0))[0]
        self._failed[name] = (tries + 1, now.awake + RETRY[min(tries, len(RETRY) - 1)])
        took_long = isinstance(error, TimeoutError)
        text = f"it took longer than {LONGEST:.0f} s" if took_long else f"{type(error).__name__}: {error}"
        self.failures[name] = text
        wall = min(max(now.wall, _FIRST), LAST)
        day = datetime.fromtimestamp(wall / 1000, self._zone).date().isoformat()
        event = LedgerEvent(at=now.wall, day=day, kind="degraded", subject=f"chore:{name}", text=text)
        with contextlib.suppress(StoreError):
            self._store.add_event(event)


def _key(name: str) -> str:
    return f"chore.{name}"
