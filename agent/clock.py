"""One reading of time per tick, and what passed between two readings.

An ``Instant`` holds three clocks, all integer milliseconds, so that sums over any split are exact:

* ``wall``  UTC since the epoch: evidence, never truth (a child may change it);
* ``boot``  since boot, *including* sleep (CLOCK_BOOTTIME);
* ``awake`` since boot, *excluding* sleep (CLOCK_MONOTONIC on Linux).

``boot - awake`` grows only while the machine sleeps, which tells sleep from a stalled agent.  ``boot_id`` changes at each
start of the machine; ``boot`` and ``awake`` may be compared only under the same one.  The PC's own time zone is not here:
dates come from the policy's zone (DESIGN §6).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

Millis = int

SECOND: Millis = 1_000
MINUTE: Millis = 60_000
HOUR: Millis = 3_600_000
DAY: Millis = 86_400_000


@dataclass(frozen=True, slots=True)
class Instant:
    """One frozen reading of every clock; milliseconds."""

    wall: Millis
    boot: Millis
    awake: Millis
    boot_id: str = ""
    synchronised: bool = False
    """The wall clock is set from a network or hardware source that a standard account cannot steer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What passed between two instants; milliseconds, never negative except ``jump``."""

    elapsed: Millis
    slept: Millis
    jump: Millis
    """How far the wall clock moved beyond the time that really passed (0 when it agrees)."""
    rebooted: bool

    @property
    def awake(self) -> Millis:
        return self.elapsed - self.slept


def between(before: Instant, after: Instant) -> Passage:
    """What passed from ``before`` to ``after``.

    Across a reboot the boot clock cannot tell how long the machine was off: ``elapsed`` is then only the time since the
    new boot, and the wall difference beyond it is left in ``jump`` for the caller to judge.
    """
    rebooted = before.boot_id != after.boot_id or after.boot < before.boot
    if rebooted:
        elapsed = after.boot
        slept = max(0, after.boot - after.awake)
    else:
        elapsed = after.boot - before.boot
        slept = min(elapsed, max(0, (after.boot - after.awake) - (before.boot - before.awake)))
    return Passage(elapsed, slept, (after.wall - before.wall) - elapsed, rebooted)


class Clock(Protocol):
    def now(self) -> Instant: ...


@dataclass(slots=True)
class SystemClock:
    """The machine's clocks.  ``boot_id`` is read once; it cannot change while a process lives."""

    boot_id: str = field(default_factory=lambda: _boot_id())

    def now(self) -> Instant:
        awake = time.monotonic_ns() // 1_000_000
        return Instant(time.time_ns() // 1_000_000, _boot_millis(awake), awake, self.boot_id)


@dataclass(slots=True)
class FakeClock:
    """A clock that tests and the fake host steer; ``advance`` is real time, ``jump`` is someone setting the clock."""

    instant: Instant = Instant(wall=1_767_600_000_000, boot=60_000, awake=60_000, boot_id="boot-1")

    def now(self) -> Instant:
        return self.instant

    def advance(self, millis: Millis, *, asleep: bool = False) -> Instant:
        at = self.instant
        self.instant = replace(
            at, wall=at.wall + millis, boot=at.boot + millis, awake=at.awake + (0 if asleep else millis)
        )
        return self.instant

    def jump(self, millis: Millis) -> Instant:
        self.instant = replace(self.instant, wall=self.instant.wall + millis)
        return self.instant

    def reboot(self, *, off: Millis = 30_000, wall: Millis | None = None) -> Instant:
        at = self.instant
        self.instant = Instant(at.wall + off if wall is None else wall, 5_000, 5_000, f"{at.boot_id}+", at.synchronised)
        return self.instant


def _boot_millis(awake: Millis) -> Millis:
    """CLOCK_BOOTTIME where the OS has it.

    macOS: CLOCK_MONOTONIC goes on during sleep ("will continue to increment while the system is asleep", clock_gettime(3))
    and CLOCK_UPTIME_RAW is the awake one.  Windows: monotonic (QueryPerformanceCounter) runs on in sleep, so sleep is not
    told apart there until the Windows host reads QueryUnbiasedInterruptTime.
    """
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return awake


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    # Elsewhere: the wall time of boot, coarse enough that slewing does not change it.
    return f"since-{round((time.time() - time.monotonic()) / 60)}"
