"""The scan, the start events and the stops, on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.errors import HostError
from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.linux import procfs, starts
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.host import LinuxHost
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.processes import ROTATION, ProcessTable
from agent.platforms.linux.starts import StartEvents
from agent.platforms.linux.stopping import Stopping

ME = Person("me", os.geteuid(), frozenset(os.getgroups()))
NOBODY = 61238
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="listens to the kernel or changes account, which needs root")


def mine(uid: int) -> bool:
    return uid == os.geteuid()


def running(pid: int) -> bool:
    stat = procfs.stat(pid)
    return stat is not None and stat.state not in "ZX"


def key(pid: int) -> tuple[int, int]:
    stat = procfs.stat(pid)
    assert stat is not None
    return pid, stat.started


@pytest.fixture
def shells() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts ``sh -c script`` and waits until it printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        assert process.stdout is not None
        process.stdout.close()  # not read to its end: what detached may hold the other end
        process.wait()


@pytest.fixture
def table() -> ProcessTable:
    table = ProcessTable(Identifier().running)
    table.watch(Owners.of([ME]))
    table.scan(0)
    return table


class TestScan:
    def test_reports_an_image_once(self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]) -> None:
        pid = shells("echo; read x < /dev/zero").pid
        assert pid in {process.pid for process in table.scan(1000)}
        assert pid not in {process.pid for process in table.scan(2000)}
        assert pid in {process.pid for process in table.processes}

    def test_a_fork_is_no_new_image_but_is_there(
        self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("echo; sleep 1; (while :; do sleep 0.1; done) & wait")
        assert process.pid in {p.pid for p in table.scan(1000)}
        for _ in range(300):
            forks = [pid for pid in procfs.children(process.pid) if not (procfs.exe(pid) or "").endswith("sleep")]
            if forks:
                break
            time.sleep(0.01)
        assert forks[0] not in {p.pid for p in table.scan(2000)}
        programs = {p.pid: p.program for p in table.processes}
        assert programs[forks[0]] == programs[process.pid]

    def test_an_exec_under_the_same_pid_is_seen_in_rotation(
        self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        pid = shells("echo; read x < /dev/null; sleep 0.3; exec sleep 60").pid
        table.scan(1000)
        for _ in range(300):
            if (procfs.exe(pid) or "").endswith("sleep"):
                break
            time.sleep(0.01)
        seen: list[Process] = []
        for now in range(2000, 2000 + 2 * ROTATION, 1000):
            seen += [p for p in table.scan(now) if p.pid == pid]
        assert [p.program.name for p in seen] == ["sleep"]

    def test_rewriting_its_own_command_line_changes_nothing(self, table: ProcessTable, tmp_path: Path) -> None:
        """A game may call itself what it likes once it runs: who it is was settled when it started."""
        game = tmp_path / "game.py"
        game.write_text(
            "import ctypes, sys, time\n"
            "base = int(open('/proc/self/stat').read().rpartition(')')[2].split()[45])\n"
            "print('up', flush=True); sys.stdin.readline()\n"
            "ctypes.memset(base, ord('x'), 12)\n"
            "print('done', flush=True); time.sleep(60)\n"
        )
        process = subprocess.Popen(["/usr/bin/python3", game], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.readline()
            before = [p for p in table.scan(1000) if p.pid == process.pid]
            assert before[0].program.name == "game.py"
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            assert procfs.cmdline(process.pid)[0].startswith("xxxx"), "the command line was rewritten"
            for now in range(2000, 2000 + 2 * ROTATION, 1000):
                assert process.pid not in {p.pid for p in table.scan(now)}
            assert {p.program.name for p in table.processes if p.pid == process.pid} == {"game.py"}
        finally:
            process.kill()
            process.communicate()

    def test_threads_that_outlive_their_main_one_stay_seen(self, table: ProcessTable) -> None:
        script = (
            "import ctypes, threading, time; threading.Thread(target=lambda: time.sleep(60)).start(); "
            "print(1, flush=True); ctypes.CDLL(None).pthread_exit(None)"
        )
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
        try:
            for _ in range(500):
                stat = procfs.stat(process.pid)
                if stat is not None and stat.state == "Z":
                    break
                time.sleep(0.01)
            assert procfs.exe(process.pid) is None, "the usual way to look fails"
            table.scan(1000)
            assert process.pid in {p.pid for p in table.processes}
            table.scan(1000 + 2 * ROTATION)
            assert process.pid in {p.pid for p in table.processes}
        finally:
            process.kill()
            process.communicate()

    def test_zombies_are_gone(self, table: ProcessTable) -> None:
        process = subprocess.Popen(["/bin/true"])
        for _ in range(500):
            stat = procfs.stat(process.pid)
            if stat is not None and stat.state == "Z":
                break
            time.sleep(0.01)
        table.scan(1000)
        assert process.pid not in {p.pid for p in table.processes}
        process.wait()

    @pytest.mark.root
    @needs_root
    def test_an_owner_that_changes_under_the_pid_is_followed(
        self, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        table = ProcessTable(Identifier().running)
        table.watch(Owners.of([Person("child", NOBODY, frozenset({NOBODY}))]))
        script = f"import os, time; time.sleep(0.5); os.setuid({NOBODY}); time.sleep(60)"
        process = subprocess.Popen(["/usr/bin/python3", "-c", script])
        try:
            table.scan(0)
            assert table.processes == ()
            for _ in range(500):
                if procfs.owner(process.pid) == NOBODY:
                    break
                time.sleep(0.01)
            for now in range(1000, 1000 + 2 * ROTATION, 1000):
                table.scan(now)
            assert [p.pid for p in table.processes] == [process.pid]
        finally:
            process.kill()
            process.wait()


@pytest.mark.root
@needs_root
class TestStarts:
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
            process = await asyncio.create_subprocess_exec("/bin/true")
            await process.wait()
            await asyncio.sleep(0.1)
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


class TestStopping:
    @pytest.fixture
    async def stopping(self) -> AsyncIterator[Stopping]:
        stopping = Stopping()
        yield stopping
        await stopping.close()

    async def gone(self, *pids: int) -> bool:
        for _ in range(300):
            if not any(running(pid) for pid in pids):
                return True
            await asyncio.sleep(0.01)
        return False

    async def test_a_stopped_program_can_still_close(
        self, stopping: Stopping, shells: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
    ) -> None:
        process = shells(f"trap 'echo saved > {tmp_path}/saved; exit' TERM; echo; while :; do sleep 0.05; done")
        process.send_signal(signal.SIGSTOP)
        await stopping.stop(*key(process.pid), mine, at_once=False)
        assert await self.gone(process.pid)
        assert (tmp_path / "saved").read_text() == "saved\n"

    @pytest.mark.root
    @needs_root
    @pytest.mark.parametrize("at_once", [False, True])
    async def test_what_detaches_while_it_is_asked_to_close_goes_too(
        self, shells: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path, at_once: bool
    ) -> None:
        """It forks twice, leaves the session and ignores requests, within a millisecond of being asked."""
        detach = f"setsid sh -c 'trap : TERM HUP; echo $$ >> {tmp_path}/pids; while :; do sleep 0.05; done' &"
        (tmp_path / "detach").write_text(f"({detach})\n")
        loop = f"while :; do sh {tmp_path}/detach; sleep 0.1; done" if at_once else "while :; do sleep 0.05; done"
        process = shells(f"trap 'sh {tmp_path}/detach; exit' TERM; echo; {loop}")
        events = StartEvents(lambda pid: None, lambda: None)
        await events.open()
        stopping = Stopping(events)
        try:
            await stopping.stop(*key(process.pid), mine, at_once=False)
            if at_once:
                await asyncio.sleep(0.25)
                await stopping.stop(*key(process.pid), mine, at_once=True)
            for _ in range(80):
                await asyncio.sleep(0.1)
                pids = [int(word) for word in _text(tmp_path / "pids").split()]
                if pids and not any(running(pid) for pid in pids):
                    break
            assert pids and not any(running(pid) for pid in pids)
            assert not running(process.pid)
        finally:
            await stopping.close()
            events.close()
            for pid in [int(word) for word in _text(tmp_path / "pids").split()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @pytest.mark.root
    @needs_root
    async def test_a_flood_of_forks_uses_up_no_descriptors(
        self, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("trap '' TERM HUP; for i in $(seq 300); do sleep 60 & done; echo; wait")
        members = [process.pid, *procfs.children(process.pid)]
        assert len(members) == 301
        stopping = Stopping()
        before = len(os.listdir("/proc/self/fd"))
        try:
            await stopping.stop(*key(process.pid), mine, at_once=False)
            assert len(os.listdir("/proc/self/fd")) - before <= 201
            await stopping.stop(*key(process.pid), mine, at_once=True)
            assert await self.gone(*members)
        finally:
            await stopping.close()

    async def test_a_fork_bomb_does_not_outrun_the_kill(
        self, stopping: Stopping, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("echo; while :; do sleep 30 & sleep 0.01; done")
        await asyncio.sleep(0.3)
        members = [process.pid, *procfs.children(process.pid)]
        assert len(members) > 5
        await stopping.stop(*key(process.pid), mine, at_once=True)
        assert await self.gone(*members)
        group = [int(n) for n in os.listdir("/proc") if n.isdigit() and _group(int(n)) == process.pid]
        assert await self.gone(*group)

    async def test_another_accounts_process_is_refused(
        self, stopping: Stopping, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("echo; sleep 60")
        with pytest.raises(HostError):
            await stopping.stop(*key(process.pid), lambda uid: False, at_once=True)
        with pytest.raises(HostError):
            await stopping.stop(*key(os.getpid()), mine, at_once=True)
        with pytest.raises(HostError):
            await stopping.stop(*key(1), lambda uid: True, at_once=True)
        assert running(process.pid)

    async def test_what_is_gone_is_success(self, stopping: Stopping) -> None:
        process = subprocess.Popen(["/bin/true"])
        started = key(process.pid)
        process.wait()
        await stopping.stop(*started, mine, at_once=False)

    @pytest.mark.root
    @needs_root
    async def test_a_member_that_is_another_accounts_is_spared(self, stopping: Stopping) -> None:
        script = f"import os, time; os.fork() or (os.setuid({NOBODY}), print(os.getpid(), flush=True)); time.sleep(60)"
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        other = int(process.stdout.readline())
        try:
            await stopping.stop(*key(process.pid), mine, at_once=True)
            assert await self.gone(process.pid)
            assert running(other)
        finally:
            os.kill(other, signal.SIGKILL)
            process.communicate()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
