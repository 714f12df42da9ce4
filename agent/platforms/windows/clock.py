"""The clocks of Windows: interrupt time, with and without the time that the PC slept (DESIGN §6).

``GetTickCount64`` and ``QueryInterruptTime`` go on during sleep, ``QueryUnbiasedInterruptTime`` does not.  They are read one
after the other, and a timer tick (up to 16 ms) may come between; so what lies between them only counts as sleep when it has
grown by ``_SLEPT``, or each such tick would take some time in use away.  A fast start, which wakes a hibernated kernel, is the
same boot after a long sleep.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import time
from ctypes import wintypes

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.clock is for Windows")

from agent.clock import Instant, Millis

_SLEPT: Millis = 500
_TICKS = 10_000
"""Of 100 ns, in a millisecond."""
_BOOT_ID = 0x7FFE0000 + 0x2C4
"""KUSER_SHARED_DATA.BootId (ntddk.h): counts the boots; on the same read-only page of every process."""
_TIME_OF_DAY = 3
"""SystemTimeOfDayInformation (winternl.h): boot time, now, zone bias, zone, reserved, boot time bias, sleep time bias."""
_LAYOUT = struct.Struct("<qqqIIQQ")

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.GetTickCount64.restype = ctypes.c_ulonglong
_ntdll = ctypes.WinDLL("ntdll")


class WindowsClock:
    """The machine's clocks.  ``boot_id`` is read once; it cannot change while a process lives."""

    def __init__(self) -> None:
        self.boot_id = boot_id()
        self._asleep: Millis = 0
        """How long the PC has slept since it was started."""

    def now(self) -> Instant:
        awake = unbiased()
        asleep = with_sleep() - awake
        if abs(asleep - self._asleep) >= _SLEPT:
            self._asleep = max(0, asleep)
        return Instant(time.time_ns() // 1_000_000, awake + self._asleep, awake, self.boot_id)


def unbiased() -> Millis:
    """Since boot, without sleep."""
    found = ctypes.c_ulonglong()
    _kernel.QueryUnbiasedInterruptTime(ctypes.byref(found))
    return found.value // _TICKS


def with_sleep() -> Millis:
    """Since boot, with sleep."""
    return int(_kernel.GetTickCount64())


def boot_id() -> str:
    """Another text after each start of the PC, the same whatever is done to the wall clock."""
    counted = ctypes.c_uint32.from_address(_BOOT_ID).value
    buffer = ctypes.create_string_buffer(_LAYOUT.size)
    status = _ntdll.NtQuerySystemInformation(_TIME_OF_DAY, buffer, wintypes.ULONG(_LAYOUT.size), None)
    began, bias = 0, 0
    if status == 0:
        # The kernel moves both when the wall clock is set, so that their difference stays.
        began, _, _, _, _, bias, _ = _LAYOUT.unpack(buffer.raw)
    return f"{counted}-{(began - bias) // (1000 * _TICKS)}"
