"""The stops, on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.errors import HostError
from agent.platforms.linux import procfs
from agent.platforms.linux.starts import StartEvents
from agent.platforms.linux.stopping import Stopping
from tests.unit.real_processes import NOBODY, key, mine, needs_root, running


class Slow:
    """Tells of no forks, and takes so long over it that a process would see its child stopped, and stand still itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def follow(self, _: object) -> None:
        pass

    def drain(self) -> None:
        for _ in range(30):
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
