"""What is kept as it should be on this PC: looked at with the service's own wake-ups, put right in a thread."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agent.clock import Millis
from agent.model.snapshot import Mended


class Keeper(Protocol):
    """Something that stays as it should be: ``look`` on the loop, ``mend`` in a thread, in turn."""

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Cheap."""

    def mend(self, now: Millis) -> None:
        """Put right what is not as it should be."""

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """What cannot be kept or put right, in words for a guardian."""


class Tending:
    """A keeper and the thread that it mends in, for a host on an event loop.  Without a keeper it does nothing."""

    def __init__(self, guard: Keeper | None) -> None:
        self._guard = guard
        self._job: asyncio.Future[None] | None = None
        self._troubles: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        return self._guard is not None

    def tend(self, now: Millis) -> None:
        """Look, and have mended what needs it.  What went wrong in the thread is raised here: it is a bug."""
        if self._guard is None:
            return
        if self._job is not None:
            if not self._job.done():
                return
            job, self._job = self._job, None
            job.result()
        if self._guard.look(now):
            self._job = asyncio.get_running_loop().run_in_executor(None, self._guard.mend, now)

    def take(self) -> tuple[Mended, ...]:
        """As the guard's, once its thread has ended."""
        return () if self._guard is None or self._job is not None else self._guard.take()

    def troubles(self) -> tuple[str, ...]:
        """As the guard's; while its thread runs, as before."""
        if self._guard is not None and self._job is None:
            self._troubles = self._guard.troubles
        return self._troubles

    async def close(self) -> None:
        """Wait for the thread."""
        if self._job is not None:
            job, self._job = self._job, None
            await job
