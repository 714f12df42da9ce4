"""The start events, on real processes."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.clock import FakeClock
from agent.errors import HostError
from agent.platforms.base import Start
from agent.platforms.linux import procfs, starts
from agent.platforms.linux.host import LinuxHost
from agent.platforms.linux.processes import ROTATION
from agent.platforms.linux.starts import StartEvents
from tests.unit.real_processes import NOBODY, needs_root


@pytest.mark.root
@needs_root
class TestStarts:
    async def test_a_pulse_proves_that_all_before_it_was_heard(self) -> None:
        heard: list[int] = []
        events = StartEvents(heard.append, lambda: None)
        assert not events.pulse()
        await events.open()
        try:
            name = Path("/proc/self/comm").read_text()
            process = subprocess.Popen(["/bin/true"])
            process.wait()
            assert events.pulse()
            assert process.pid in heard
            assert Path("/proc/self/comm").read_text() == name
        finally:
            events.close()
        assert not events.pulse()

    async def test_silence_is_noticed_and_said_and_everything_is_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another privileged program can end the kernel's reports without a word."""
        clock = FakeClock()
        host = LinuxHost(clock, bus_address=f"unix:path={tmp_path}/none")
        host.watch([f"#{NOBODY}"])
        await host.open(lambda: None)
        script = "echo; read x; exec sleep 60"
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.PIPE, stdout=-1
        )
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.readline()
            by_scan = "Program starts are found by a scan once a second, not as they happen."
            snapshot = await host.observe()
            assert by_scan not in snapshot.degraded
            assert {p.pid: p.program.name for p in snapshot.processes}[process.pid] != "sleep"
            sock = host._watching.starts._socket
            assert sock is not None
            with monkeypatch.context() as patch:
                patch.setattr(starts, "COMM", 0x4000_0000)  # no such event
                starts._attach_filter(sock)
            process.stdin.close()
            while not (procfs.exe(process.pid) or "").endswith("sleep"):
                time.sleep(0.01)
            clock.advance(ROTATION)
            snapshot = await host.observe()
            assert {p.pid: p.program.name for p in snapshot.processes}[process.pid] == "sleep"
            assert by_scan in snapshot.degraded
            starts._attach_filter(sock, starts.NONE, starts.EXEC, starts.UID)
            clock.advance(ROTATION)
            assert by_scan not in (await host.observe()).degraded
        finally:
            await host.close()
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    async def test_hears_of_a_start_and_of_a_change_of_account(self) -> None:
        heard: list[int] = []
        events = StartEvents(heard.append, lambda: None)
        await events.open()
        try:
            process = await asyncio.create_subprocess_exec("/bin/true")
            await process.wait()
            script = f"import os; os.setuid({NOBODY})"
            changer = await asyncio.create_subprocess_exec("/usr/bin/python3", "-c", script)
            await changer.wait()
            await asyncio.sleep(0.1)
            assert heard.count(process.pid) == 1
            assert heard.count(changer.pid) == 2
        finally:
            events.close()
            events.close()

    async def test_an_overflow_is_told_once_and_listening_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(starts, "BUFFER", 2048)
        heard: list[int] = []
        lost: list[bool] = []
        events = StartEvents(heard.append, lambda: lost.append(True))
        await events.open()
        try:
            subprocess.run(["/bin/sh", "-c", "for i in $(seq 100); do /bin/true; done"], check=True)
            await asyncio.sleep(0.1)
            assert lost and len(heard) < 100
            for _ in range(50):  # a busy machine overflows so small a buffer again
                process = await asyncio.create_subprocess_exec("/bin/true")
                await process.wait()
                await asyncio.sleep(0.1)
                if process.pid in heard:
                    break
            assert process.pid in heard
        finally:
            events.close()

    async def test_a_refused_program_started_in_an_overflow_is_found(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(starts, "BUFFER", 2048)
        game = Path("/var/lib/fairtime-overflow-game")
        shutil.copy("/bin/sleep", game)
        host = LinuxHost(bus_address=f"unix:path={tmp_path}/none")
        host.watch([f"#{NOBODY}"])
        host.on_start(lambda process: Start.DENY if process.program.name == game.name else Start.ALLOW)
        await host.open(lambda: None)
        try:
            subprocess.run(["/bin/sh", "-c", "for i in $(seq 100); do /bin/true; done"], check=True)
            process = subprocess.Popen([game, "60"], user=NOBODY, group=NOBODY, extra_groups=[])
            for _ in range(100):
                await asyncio.sleep(0.02)
                if process.poll() is not None:
                    break
            assert process.poll() == -signal.SIGKILL
        finally:
            await host.close()
            game.unlink()
            process.kill()
            process.wait()

    async def test_without_the_kernels_answer_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(starts, "_listen", lambda: b"\0" * 40)
        monkeypatch.setattr(starts, "ACKNOWLEDGE", 0.1)
        with pytest.raises(HostError) as caught:
            await StartEvents(lambda pid: None, lambda: None).open()
        assert caught.value.advice
