"""What is taken as a sign of use: sound and the processor, from files laid out as the kernel does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.clock import SECOND
from agent.platforms.linux.evidence import BUSY_SPAN, RESCAN, BusyWatch, SoundWatch
from agent.platforms.linux.freezing import Freezer


def card(folder: Path, number: int, state: str) -> Path:
    stream = folder / f"card{number}" / "pcm0p" / "sub0"
    stream.mkdir(parents=True)
    status = stream / "status"
    status.write_text(state)
    with (folder / "pcm").open("a") as pcm:
        pcm.write(f"{number:02}-00: some sound : playback 1\n")
    return status


def test_who_plays_is_told_by_the_owner_of_a_running_stream(tmp_path: Path) -> None:
    status = card(tmp_path, 0, "closed\n")
    watch = SoundWatch(tmp_path)
    assert watch.playing(0) == frozenset()
    assert watch.present
    status.write_text(f"state: RUNNING\nowner_pid   : {os.getpid()}\n")
    assert watch.playing(SECOND) == {os.geteuid()}
    status.write_text(f"state: SETUP\nowner_pid   : {os.getpid()}\n")
    assert watch.playing(2 * SECOND) == frozenset()


def test_a_card_that_is_plugged_in_is_found_and_one_pulled_out_forgotten(tmp_path: Path) -> None:
    watch = SoundWatch(tmp_path)
    assert watch.playing(0) is None
    assert not watch.present
    card(tmp_path, 1, f"state: RUNNING\nowner_pid : {os.getpid()}\n")
    assert watch.playing(RESCAN) == {os.geteuid()}
    (tmp_path / "pcm").write_text("")
    (tmp_path / "card1" / "pcm0p" / "sub0" / "status").unlink()
    assert watch.playing(2 * RESCAN) is None


def test_busy_is_a_quarter_of_a_core_over_ten_seconds(tmp_path: Path) -> None:
    slice_ = tmp_path / "user.slice" / "user-1000.slice"
    slice_.mkdir(parents=True)
    watch = BusyWatch(tmp_path)
    assert watch.busy(7, 0) is None

    def at(second: int, share: float) -> bool | None:
        (slice_ / "cpu.stat").write_text(f"usage_usec {round(second * share * 1e6)}\nuser_usec 0\n")
        return watch.busy(1000, second * SECOND)

    assert [at(second, 0.3) for second in range(12)] == [None] * (BUSY_SPAN // SECOND) + [True, True]
    watch = BusyWatch(tmp_path)
    assert [at(second, 0.2) for second in range(12)] == [None] * (BUSY_SPAN // SECOND) + [False, False]


def test_frozen_is_what_the_kernel_says(tmp_path: Path) -> None:
    slice_ = tmp_path / "user.slice" / "user-1000.slice"
    slice_.mkdir(parents=True)
    freezer = Freezer(tmp_path)
    assert not freezer.frozen(1000)
    freezer_file = slice_ / "cgroup.freeze"
    freezer_file.write_text("0\n")
    freezer.freeze(1000)
    assert freezer.frozen(1000)
    assert not freezer.frozen(1001)
    freezer.thaw(1000)
    assert not freezer.frozen(1000)
