"""What Windows tells of use: the last touch of keyboard and mouse, a display that is kept on, the processor's time."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.platforms.windows import display, lastinput
from agent.platforms.windows.systemquery import SystemList


def test_the_last_touch_lies_behind_us() -> None:
    found = lastinput.idle()
    assert found is not None and 0 <= found * 1000 <= ctypes.windll.kernel32.GetTickCount64()


def test_a_display_that_nobody_keeps_on_is_told() -> None:
    assert display.kept_on() in (True, False)


def test_work_is_counted() -> None:
    def spent() -> int:
        return next(entry.spent for entry in SystemList().read() if entry.pid == os.getpid())

    before, begun = spent(), time.process_time()
    while time.process_time() - begun < 0.5:
        sum(range(10_000))
    assert spent() - before >= 2_000_000
