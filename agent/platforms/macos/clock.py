"""The clocks of a Mac (clock_gettime(3)): ``CLOCK_MONOTONIC_RAW`` goes on during sleep and nobody can set it,
``CLOCK_UPTIME_RAW`` stands still.  ``kern.bootsessionuuid`` is another after each start."""

from __future__ import annotations

import sys
import time

from agent.clock import Clock, Instant, SystemClock
from agent.platforms.macos.commands import Run, text

SYSCTL = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


class MacClock:
    """The machine's clocks.  ``boot_id`` is read once; it cannot change while a process lives."""

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id

    def now(self) -> Instant:
        boot, awake = _readings()
        return Instant(time.time_ns() // 1_000_000, boot, awake, self.boot_id)


def clock(run: Run) -> Clock:
    """This machine's; elsewhere than on a Mac (its tests) that system's own."""
    if sys.platform != "darwin":
        return SystemClock()
    return MacClock(text(run(SYSCTL)).strip())


def _readings() -> tuple[int, int]:
    """``(boot, awake)`` in milliseconds."""
    if sys.platform == "darwin":
        boot = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        awake = time.clock_gettime_ns(time.CLOCK_UPTIME_RAW)
        return boot // 1_000_000, awake // 1_000_000
    both = time.monotonic_ns() // 1_000_000
    return both, both
