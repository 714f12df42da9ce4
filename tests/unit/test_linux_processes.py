"""The scan, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.model.program import Process, ProgramId
from agent.platforms.linux import processes, procfs
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.processes import ROTATION, ProcessTable
from tests.unit.real_processes import ME, NOBODY, become_sleep, needs_root


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
