"""What wakes the service's loop before its next tick, and how soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_GATHERED = 0.05
"""Seconds that starts are gathered into one ``wake``: a build starts hundreds of programs a second."""


class Waking:
    """Does nothing before ``open`` and after ``close``."""

    def __init__(self) -> None:
        self._wake: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathering: asyncio.TimerHandle | None = None

    def open(self, wake: Callable[[], None]) -> None:
        """From now on; on the running loop."""
        self._wake = wake
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        self._wake = self._loop = None
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def now(self) -> None:
        if self._wake is not None:
            self._wake()

    def soon(self) -> None:
        """Once for all that happens within a moment."""
        if self._gathering is None and self._loop is not None:
            self._gathering = self._loop.call_later(_GATHERED, self._gathered)

    def after(self, seconds: float) -> None:
        """When so much time has passed."""
        if self._loop is not None:
            self._loop.call_later(seconds, self.now)

    def _gathered(self) -> None:
        self._gathering = None
        self.now()
