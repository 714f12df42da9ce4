"""The service's state as Windows' service control manager wants to hear it, and the sign of life that is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

ALIVE_WITHIN = 60.0
"""Seconds within which a running service says that it lives; every tick does."""


class Supervision:
    """The ``Supervisor`` of a service: ``report`` is given each state, ``ask_stop`` may come before anybody waits for it."""

    interval: float | None = ALIVE_WITHIN

    def __init__(self, running: Callable[[], None], stopping: Callable[[], None]) -> None:
        self._running = running
        self._stopping = stopping
        self._guard = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._asked = False
        self._life = threading.Event()
        self.begun = False
        """It runs, so from now on signs of life are due; before, it may read and check for as long as it takes."""

    def ready(self, status: str = "") -> bool:
        self._life.set()
        self.begun = True
        self._running()
        return True

    def alive(self, status: str = "") -> bool:
        self._life.set()
        return True

    def stopping(self) -> bool:
        self.begun = False
        self._stopping()
        return True

    def on_stop(self, stop: Callable[[], None]) -> None:
        with self._guard:
            self._stop = stop
            asked = self._asked
        if asked:
            stop()

    def ask_stop(self) -> None:
        """End the service, now or as soon as somebody can be asked.  From any thread."""
        with self._guard:
            self._asked = True
            stop = self._stop
        if stop is not None:
            stop()

    def hangs(self) -> bool:
        """Whether it runs and has given no sign of life since the last time this was asked."""
        if not self.begun:
            return False
        lived = self._life.is_set()
        self._life.clear()
        return not lived
