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
from msgspec.structs import replace

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.clock import FakeClock
from agent.errors import HostError
from agent.model.program import Process, ProgramId
from agent.platforms.base import Start
from agent.platforms.linux import processes, procfs, starts
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


def become_sleep(shell: subprocess.Popen[bytes]) -> None:
    """Let a shell that waits for a line go on to its ``exec sleep``, and wait until that is done."""
    assert shell.stdin is not None
    shell.stdin.close()
    for _ in range(1000):
        stat = procfs.stat(shell.pid)
        if stat is not None and stat.settled and (procfs.exe(shell.pid) or "").endswith("sleep"):
            return
        time.sleep(0.01)
    raise AssertionError("the shell did not become sleep")


@pytest.fixture
def shells() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts ``sh -c script`` and waits until it printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, start_new_session=True
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
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    table = ProcessTable(Identifier().running)
    table.watch(Owners.of([ME]))
    table.scan(0)
    yield table
    table.forget()


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
            forks = [pid for pid in procfs.children(process.pid) if procfs.children(pid)]  # not the one that sleeps
            if forks:
                break
            time.sleep(0.01)
        assert forks[0] not in {p.pid for p in table.scan(2000)}
        programs = {p.pid: p.program for p in table.processes}
        assert programs[forks[0]] == programs[process.pid]

    def test_an_exec_under_the_same_pid_is_seen_in_rotation(
        self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        shell = shells("echo; read x; exec sleep 60")
        pid = shell.pid
        table.scan(1000)
        become_sleep(shell)
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


class TestOneImage:
    """What is read of a process is of one image, though it changes while it is looked at."""

    def test_an_exec_in_the_midst_of_a_reading_begins_it_anew(
        self, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        shell = shells("echo; read x; exec sleep 60")
        seen: list[str] = []

        def identify(pid: int, person: Person, link: str | None) -> ProgramId | None:
            seen.append(link or "")
            if len(seen) == 1:
                become_sleep(shell)
            return ProgramId(name=f"reading {len(seen)}")

        table = ProcessTable(identify)
        table.watch(Owners.of([ME]))
        found = table.read(shell.pid, ME)
        assert found is not None and found.program.name == "reading 2"
        assert seen[1].endswith("sleep")
        assert table.read(shell.pid, ME) is None, "and it is known from then on"
        table.forget()

    def test_who_ends_while_it_is_read_is_nobody(self, shells: Callable[[str], subprocess.Popen[bytes]]) -> None:
        shell = shells("echo; read x; exec sleep 60")

        def identify(pid: int, person: Person, link: str | None) -> ProgramId | None:
            shell.kill()
            os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
            return ProgramId(name="half of the truth")

        table = ProcessTable(identify)
        assert table.read(shell.pid, ME) is None
        assert table.processes == ()

    def test_who_never_stays_the_same_is_judged_all_the_same(
        self, shells: Callable[[str], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell = shells("echo; read x; exec sleep 60")
        true, count = procfs.stat, iter(range(100))

        def restless(pid: int) -> procfs.Stat | None:
            found = true(pid)
            return None if found is None else replace(found, image=next(count) + 1)

        monkeypatch.setattr(procfs, "stat", restless)
        table = ProcessTable(lambda pid, person, link: ProgramId(name="restless"))
        found = table.read(shell.pid, ME)
        assert found is not None and found.program.name == "restless"
        table.forget()


class TestToldScan:
    """What the scan relies on while the kernel tells of new images: nothing is listed, and nothing is missed."""

    @pytest.fixture
    def told(self, table: ProcessTable, monkeypatch: pytest.MonkeyPatch) -> ProcessTable:
        table.scan(1)  # begins a round
        monkeypatch.setattr(processes, "MOST_NEW", 1 << 22)  # this machine may be busy
        monkeypatch.setattr(table, "_listed", lambda: pytest.fail("a told scan lists nothing"))
        return table

    def pids(self, table: ProcessTable) -> set[int]:
        return {process.pid for process in table.processes}

    def test_what_starts_and_what_forks_is_seen_at_the_next_scan(
        self, told: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("(while :; do sleep 5; done) & echo; wait")
        told.scan(1000, told=True)
        (fork,) = procfs.children(process.pid)
        assert {process.pid, fork} <= self.pids(told)

    def test_what_ended_is_gone_at_the_next_scan_collected_or_not(
        self, told: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        collected, left = shells("echo; read x < /dev/zero"), shells("echo; read x < /dev/zero")
        told.scan(1000, told=True)
        assert {collected.pid, left.pid} <= self.pids(told)
        for process in (collected, left):
            process.kill()
        collected.wait()
        os.waitid(os.P_PID, left.pid, os.WEXITED | os.WNOWAIT)
        told.scan(1001, told=True)
        assert not {collected.pid, left.pid} & self.pids(told)
        told.scan(1002, told=True)
        assert left.pid not in self.pids(told)

    def test_a_thread_is_no_process(self, told: ProcessTable) -> None:
        script = "import threading, time; threading.Thread(target=lambda: time.sleep(60)).start(); print(1, flush=True)"
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            threads = {int(name) for name in os.listdir(f"/proc/{process.pid}/task")} - {process.pid}
            assert threads
            told.scan(1000, told=True)
            assert process.pid in self.pids(told)
            assert not threads & self.pids(told)
        finally:
            process.kill()
            process.communicate()

    def test_a_late_exec_that_was_not_told_is_found_by_the_net(
        self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        shell = shells("echo; read x; exec sleep 60")
        pid = shell.pid
        table.scan(1000, told=True)
        become_sleep(shell)
        seen: list[Process] = []
        for now in range(2000, 2000 + 2 * processes.NET, 1000):
            seen += [p for p in table.scan(now, told=True) if p.pid == pid]
        assert [p.program.name for p in seen] == ["sleep"]

    def test_after_lost_events_a_late_exec_is_found_at_once(
        self, table: ProcessTable, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        shell = shells("echo; read x; exec sleep 60")
        pid = shell.pid
        table.scan(1000, told=True)
        become_sleep(shell)
        assert pid in {p.pid for p in table.scan(1001, everything=True)}

    def test_more_processes_than_can_be_held_are_looked_for_the_old_way(
        self,
        table: ProcessTable,
        shells: Callable[[str], subprocess.Popen[bytes]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(processes, "MOST_HELD", len(table._ends) + 3)
        many = [shells("echo; read x < /dev/zero") for _ in range(6)]
        table.scan(1000, told=True)
        assert len(table._ends) <= processes.MOST_HELD < len(table.processes)
        assert {process.pid for process in many} <= self.pids(table)
        many[-1].kill()
        many[-1].wait()
        table.scan(1001, told=True)
        assert self.pids(table) & {process.pid for process in many} == {process.pid for process in many[:-1]}

    def test_forgetting_lets_go_of_every_descriptor(self, table: ProcessTable) -> None:
        held = len(table._ends)
        assert held
        before = len(os.listdir("/proc/self/fd"))
        table.forget()
        assert len(os.listdir("/proc/self/fd")) == before - held - 1


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


class Slow:
    """Tells of no forks, and takes so long over it that a process has seen its child stopped, and stands still itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def follow(self, _: object) -> None:
        pass

    def drain(self) -> None:
        for _ in range(200):
            stat = procfs.stat(self.pid)
            if stat is None or stat.state == "T":
                return
            time.sleep(0.01)


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
        stopping.stop(*key(process.pid), mine, at_once=False)
        assert await self.gone(process.pid)
        assert (tmp_path / "saved").read_text() == "saved\n"

    @pytest.mark.root
    @needs_root
    async def test_who_switched_the_account_is_not_left_standing(self) -> None:
        """``su`` stops itself when its program is stopped, and goes on only when it is told to."""
        su = (
            "import os, signal, sys\n"
            f"pid = os.posix_spawn('/bin/setpriv', ['setpriv', '--reuid={NOBODY}', 'sh', '-c', 'trap : TERM HUP; echo; "
            "while :; do sleep 0.05; done'], os.environ)\n"
            "while os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]): os.kill(os.getpid(), signal.SIGSTOP)\n"
        )
        with subprocess.Popen([sys.executable, "-c", su], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                (pid,) = procfs.children(process.pid)
                stopping = Stopping(Slow(process.pid))
                stopping.stop(*key(pid), lambda uid: uid == NOBODY, at_once=True)
                assert await self.gone(process.pid)
                await stopping.close()
            finally:
                process.kill()

    @pytest.mark.root
    @needs_root
    @pytest.mark.parametrize("at_once", [False, True])
    async def test_what_detaches_while_it_is_asked_to_close_goes_too(
        self, shells: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path, at_once: bool
    ) -> None:
        """It forks twice, leaves the session and ignores requests, within a millisecond of being asked."""
        detach = f"setsid sh -c 'trap : TERM HUP; echo $$ >> {tmp_path}/pids; while :; do sleep 0.05; done' &"
        (tmp_path / "detach").write_text(f"({detach})\n")
        # Once and then gone, or again and again until it is killed; never before it is asked, for that is beyond the tree.
        then = "asked=1" if at_once else "exit"
        loop = f'while :; do [ -z "$asked" ] || sh {tmp_path}/detach; sleep 0.05; done'
        process = shells(f"trap 'sh {tmp_path}/detach; {then}' TERM; echo; {loop}")
        events = StartEvents(lambda pid: None, lambda: None)
        await events.open()
        stopping = Stopping(events)
        try:
            stopping.stop(*key(process.pid), mine, at_once=False)
            if at_once:
                await asyncio.sleep(0.25)
                stopping.stop(*key(process.pid), mine, at_once=True)
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
            stopping.stop(*key(process.pid), mine, at_once=False)
            assert len(os.listdir("/proc/self/fd")) - before <= 201
            stopping.stop(*key(process.pid), mine, at_once=True)
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
        stopping.stop(*key(process.pid), mine, at_once=True)
        assert await self.gone(*members)
        group = [int(n) for n in os.listdir("/proc") if n.isdigit() and _group(int(n)) == process.pid]
        assert await self.gone(*group)

    async def test_another_accounts_process_is_refused(
        self, stopping: Stopping, shells: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        process = shells("echo; sleep 60")
        with pytest.raises(HostError):
            stopping.stop(*key(process.pid), lambda uid: False, at_once=True)
        with pytest.raises(HostError):
            stopping.stop(*key(os.getpid()), mine, at_once=True)
        with pytest.raises(HostError):
            stopping.stop(*key(1), lambda uid: True, at_once=True)
        assert running(process.pid)

    async def test_what_is_gone_is_success(self, stopping: Stopping) -> None:
        process = subprocess.Popen(["/bin/true"])
        started = key(process.pid)
        process.wait()
        stopping.stop(*started, mine, at_once=False)

    @pytest.mark.root
    @needs_root
    async def test_a_member_that_is_another_accounts_is_spared(self, stopping: Stopping) -> None:
        script = f"import os, time; os.fork() or (os.setuid({NOBODY}), print(os.getpid(), flush=True)); time.sleep(60)"
        process = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        other = int(process.stdout.readline())
        try:
            stopping.stop(*key(process.pid), mine, at_once=True)
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
