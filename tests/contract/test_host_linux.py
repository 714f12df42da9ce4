"""The Linux host keeps the host's promises, on real processes under unused uids (nothing is added to this machine)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

if sys.platform != "linux":
    pytest.skip("the Linux host runs on Linux", allow_module_level=True)

import pwd

from agent.errors import HostError
from agent.platforms.base import Start
from agent.platforms.linux import procfs
from agent.platforms.linux.holding import Holder
from agent.platforms.linux.host import LinuxHost
from agent.platforms.linux.starts import StartEvents
from tests.contract.host_contract import HostContract, Key, Rig, until_gone, until_seen
from tests.contract.logind_double import LogindDouble, needs_bus, private_bus

R = TypeVar("R", bound="RealRig")
CHILD, STRANGER = 61234, 61235

# Run by a renamed copy of dash: $1 is how many offspring to start, $2 whether to ignore requests.  The first descendant
# lives in a session of its own; USR1 turns the process into the program in the file "next" beside it.
SCRIPT = """
if [ "$2" = stubborn ]; then trap '' TERM HUP INT; fi
trap 'read -r next < "$3"; exec "$next" -c "while :; do sleep 0.05; done"' USR1
n=$1
if [ "$n" -gt 0 ]; then
  n=$((n - 1))
  if [ "$n" -eq 0 ]; then setsid "$4" -c "$5" "$4" 0 "$2" "$3" "$4" "$5" & else "$4" -c "$5" "$4" "$n" "$2" "$3" "$4" "$5" & fi
fi
while :; do sleep 0.05; done
"""


class RealRig:
    """Programs are copies of dash in a folder of root's, run under a uid that nobody has."""

    def __init__(self, folder: Path, host: LinuxHost, names: dict[str, int]) -> None:
        self.host = host
        self.child, self.stranger = names
        self._uids = names
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    async def login(self, account: str) -> str:
        self._run(account, "desk", {"DISPLAY": ":61234"})
        return f"account:{account}"

    async def start(self, account: str, name: str, *, stubborn: bool = False, offspring: int = 0) -> tuple[Key, ...]:
        process = self._run(account, name, {}, stubborn=stubborn, offspring=offspring)
        pids: list[int] = []
        for _ in range(300):
            pids = [process.pid]
            for pid in pids:
                pids += [child for child in procfs.children(pid) if (procfs.exe(child) or "").endswith(f"/{name}")]
            # Each is ready (its traps set) once it sleeps.
            if process.poll() is not None or (len(pids) > offspring and all(self._sleeps(pid) for pid in pids)):
                break
            await asyncio.sleep(0.01)
        keys = []
        for pid in pids:
            stat = procfs.stat(pid)
            keys.append((pid, stat.started if stat else 0))
        return tuple(keys)

    async def become(self, key: Key, name: str) -> None:
        (self._folder / f"next-{key[0]}").write_text(f"{self._program(name)}\n")
        os.kill(key[0], signal.SIGUSR1)
        for _ in range(300):
            if not self.alive(key):
                return  # the host was quicker; whether it should have been is for the test to say
            if (procfs.exe(key[0]) or "").endswith(f"/{name}"):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the process did not become the other program")

    def _sleeps(self, pid: int) -> bool:
        return any("/sleep" in (procfs.exe(child) or "") for child in procfs.children(pid))

    def alive(self, key: Key) -> bool:
        for process in self._started:
            process.poll()
        stat = procfs.stat(key[0])
        return stat is not None and stat.started == key[1] and stat.state not in "ZX"

    def still(self, key: Key) -> bool:
        stat = procfs.stat(key[0])
        if stat is None or stat.started != key[1]:
            return False
        frozen = f"{Holder().root()}{procfs.unified(key[0])}/cgroup.freeze"
        return stat.state == "T" or procfs.read(frozen, 8).strip() == b"1"

    async def pass_time(self, millis: int) -> None:
        await asyncio.sleep(millis / 1000)

    def finish(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
        for name in os.listdir("/proc"):
            if name.isdigit() and procfs.owner(int(name)) in self._uids.values():
                with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                    os.kill(int(name), signal.SIGKILL)

    def _run(
        self, account: str, name: str, environment: dict[str, str], *, stubborn: bool = False, offspring: int = 0
    ) -> subprocess.Popen[bytes]:
        program = str(self._program(name))
        word = "stubborn" if stubborn else "willing"
        # The shell reads "next-PID" by its own pid.
        script = SCRIPT.replace('"$3"', f'"{self._folder}/next-$$"')
        process = subprocess.Popen(
            [program, "-c", script, program, str(offspring), word, "-", program, script],
            env={"PATH": "/usr/bin:/bin", **environment},
            user=self._uids[account],
            group=self._uids[account],
            extra_groups=[],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        self._started.append(process)
        return process

    def _program(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            shutil.copy("/bin/dash", path)
            path.chmod(0o755)
        return path


async def rigged(host: LinuxHost, kind: type[R]) -> AsyncIterator[R]:
    for uid in (CHILD, STRANGER):
        with pytest.raises(KeyError):
            pwd.getpwuid(uid)
    folder = Path(tempfile.mkdtemp(prefix="fairtime-contract-", dir="/var/lib"))
    folder.chmod(0o755)
    rig = kind(folder, host, {f"#{CHILD}": CHILD, f"#{STRANGER}": STRANGER})
    try:
        yield rig
    finally:
        await host.close()
        rig.finish()
        shutil.rmtree(folder)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="starts programs under other accounts, which needs root")


@pytest.mark.root
@needs_root
class TestLinuxHost(HostContract):
    """Without a bus: sessions are guessed, as in a bare container."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async for rig in rigged(LinuxHost(bus_address="unix:path=/nonexistent/bus"), RealRig):
            yield rig

    async def test_what_was_stopped_is_gone_though_its_parent_has_not_collected_it(self, opened: RealRig) -> None:
        """A dead process keeps its pid until its parent asks for it, which a parent may never do."""
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.host.stop(*key, at_once=True)
        async with asyncio.timeout(5):
            while (stat := procfs.stat(key[0])) is not None and stat.state != "Z":
                await asyncio.sleep(0)
        assert stat is not None
        assert key not in {process.key for process in (await opened.host.observe()).processes}


@pytest.mark.root
@needs_root
class TestLinuxHostByScan(HostContract):
    """Where the kernel reports no starts: everything is found by the scan alone."""

    @pytest.fixture
    async def rig(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
        async def refused(self: StartEvents) -> None:
            raise HostError("The kernel does not report program starts here", "Run it as a system service.")

        monkeypatch.setattr(StartEvents, "open", refused)
        async for rig in rigged(LinuxHost(bus_address="unix:path=/nonexistent/bus"), RealRig):
            yield rig
            assert not rig.host._watching.starts.open_now, "this class tests the scan alone"

    async def test_what_a_refused_program_has_started_before_it_was_seen_ends_with_it(self, opened: Rig) -> None:
        await opened.host.observe()
        keys = await opened.start(opened.child, "game", offspring=2)
        assert len(keys) == 3
        # What it started is nothing that anybody refuses: the shell's ``sleep``, say.
        opened.host.on_start(lambda process: Start.DENY if process.key == keys[0] else Start.ALLOW)
        await opened.host.observe()
        assert await until_gone(opened, keys, within=2_000)


class BusRig(RealRig):
    """Sessions are those of a logind double on a private bus; programs are real."""

    double: LogindDouble

    async def login(self, account: str) -> str:
        return self.double.add(f"c{len(self.double.sessions) + 1}", self._uids[account], account)


@pytest.mark.root
@needs_root
@needs_bus
class TestLinuxHostWithLogind(HostContract):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[Rig]:
        async with private_bus(tmp_path) as address:
            double = LogindDouble(address)
            await double.open()
            async for rig in rigged(LinuxHost(bus_address=address), BusRig):
                rig.double = double
                yield rig
                assert rig.host._presence.logind is None or rig.host._presence.logind.present, (
                    "the double was in use all along"
                )
            double.close()
