"""A held program stands still whatever its own account does: real processes under an unused uid, in real frozen cgroups."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("holding by cgroup is Linux's", allow_module_level=True)

from agent.errors import HostError
from agent.model.program import Process, ProgramId
from agent.platforms.base import Start
from agent.platforms.linux import cells, holding, procfs
from agent.platforms.linux.cells import Cell
from agent.platforms.linux.holding import Holder
from agent.platforms.linux.standing import Standing

UID = 61236
ROOT = Holder().root()
PYTHON = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.exists(path)), "")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it holds processes of another account"),
    pytest.mark.skipif(not PYTHON, reason="needs a Python that other accounts may run"),
]
frozen = pytest.mark.skipif(ROOT is None, reason="cgroup v2 is not mounted here, or may not be written to")

# Counts in a file as fast as it can, whatever signals it gets.
COUNT = """
import mmap, signal, struct, sys
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
with open(sys.argv[1], "r+b") as file:
    page = mmap.mmap(file.fileno(), 8)
at = 0
while True:
    at += 1
    page[:8] = struct.pack("<Q", at)
"""


class Counter:
    """A program of the account that counts."""

    def __init__(self, *, terminal: bool = False) -> None:
        descriptor, self.file = tempfile.mkstemp()
        os.write(descriptor, bytes(8))
        os.close(descriptor)
        os.chown(self.file, UID, UID)
        self.master, slave = os.openpty() if terminal else (-1, -1)
        self.process = subprocess.Popen(
            [PYTHON, "-S", "-c", COUNT, self.file],
            user=UID, group=UID, extra_groups=[], start_new_session=terminal,
            stdin=slave if terminal else subprocess.DEVNULL,
        )  # fmt: skip
        if slave >= 0:
            os.close(slave)

    @property
    def key(self) -> tuple[int, int]:
        stat = procfs.stat(self.process.pid)
        assert stat is not None
        return (self.process.pid, stat.started)

    def count(self) -> int:
        return int.from_bytes(Path(self.file).read_bytes(), "little")

    async def runs(self) -> bool:
        before = self.count()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if self.count() != before:
                return True
        return False

    async def stands(self, seconds: float = 0.3) -> bool:
        before = self.count()
        await asyncio.sleep(seconds)
        return self.count() == before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.unlink(self.file)
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.close()


@pytest.fixture
async def holder() -> AsyncIterator[Holder]:
    made = Holder()
    made.open()
    yield made
    made.close()
    for _ in range(100):  # what was killed leaves its cgroup a moment later
        made.sweep()
        if not list((ROOT or Path("/nowhere")).glob("fairtime-held-*")):
            break
        await asyncio.sleep(0.02)


def as_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as the held program's own account."""
    return subprocess.run(
        [PYTHON, "-S", "-c", code, *arguments],
        user=UID, group=UID, extra_groups=[], capture_output=True, text=True, timeout=30,
    )  # fmt: skip


@frozen
async def test_its_own_account_cannot_let_it_go_on(holder: Holder, counter: Counter) -> None:
    assert await counter.runs()
    holder.hold(*counter.key, UID)
    assert await counter.stands()
    pid = str(counter.process.pid)
    done = as_child(
        "import os, signal, sys\n"
        "for _ in range(2000): os.kill(int(sys.argv[1]), signal.SIGCONT)\n"
        "for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT): n is signal.SIGUSR1 or os.kill(int(sys.argv[1]), n)\n"
        "os.setpriority(os.PRIO_PROCESS, int(sys.argv[1]), 19)\n",
        pid,
    )
    assert done.returncode == 0, done.stderr
    assert await counter.stands()
    cell = next(iter(holder._held.values())).cell
    assert cell is not None
    place = cell.place
    for act in (
        f"open('{place}/cgroup.freeze', 'w').write('0')",
        f"open('{ROOT}/cgroup.procs', 'w').write('{pid}')",
        f"import os; os.mkdir('{place}/mine')",
        f"import os; os.removexattr('{place}', '{cells.ORIGIN}')",
    ):
        assert "PermissionError" in as_child(act).stderr, act
    assert await counter.stands()
    assert holder.held == {counter.key}
    holder.release(*counter.key)
    assert await counter.runs()


@frozen
async def test_a_tracer_cannot_make_it_run(holder: Holder, counter: Counter) -> None:
    """PTRACE_ATTACH, CONT and SINGLESTEP by its own account bring it back to the freezer before its next instruction."""
    assert await counter.runs()
    holder.hold(*counter.key, UID)
    before = counter.count()
    code = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
attach = libc.ptrace(16, pid, None, None)
time.sleep(0.1)
for request in (7, 9, 24):
    libc.ptrace(request, pid, None, None)
    time.sleep(0.1)
libc.ptrace(17, pid, None, None)
"""
    assert as_child(code, str(counter.process.pid)).returncode == 0
    assert await counter.stands()
    assert counter.count() == before
    assert ctypes.sizeof(ctypes.c_long) == 8  # the numbers above are those of 64-bit Linux


@frozen
async def test_a_program_with_a_terminal_is_never_stopped_by_a_signal(holder: Holder) -> None:
    """Its shell would take it for a stopped job."""
    counter = Counter(terminal=True)
    try:
        assert await counter.runs()
        stat = procfs.stat(counter.process.pid)
        assert stat is not None
        if not stat.tty:
            os.close(os.open(os.ttyname(counter.master), os.O_RDWR))
        holder.hold(*counter.key, UID)
        assert await counter.stands()
        stat = procfs.stat(counter.process.pid)
        assert stat is not None
        assert stat.state not in "T"
    finally:
        counter.close()


@frozen
async def test_it_goes_back_to_where_it_came_from(holder: Holder, counter: Counter) -> None:
    assert ROOT is not None
    home = ROOT / "fairtime-test-home"
    home.mkdir(exist_ok=True)
    try:
        (home / "cgroup.procs").write_text(str(counter.process.pid))
        holder.hold(*counter.key, UID)
        assert await counter.stands()
        holder.release(*counter.key)
        assert procfs.unified(counter.process.pid) == "/fairtime-test-home"
        assert await counter.runs()
        counter.process.kill()
        counter.process.wait()
    finally:
        home.rmdir()


@frozen
async def test_it_goes_on_in_place_when_where_it_came_from_is_gone(holder: Holder, counter: Counter) -> None:
    assert ROOT is not None
    home = ROOT / "fairtime-test-home"
    home.mkdir(exist_ok=True)
    (home / "cgroup.procs").write_text(str(counter.process.pid))
    holder.hold(*counter.key, UID)
    home.rmdir()
    holder.release(*counter.key)
    assert await counter.runs()
    counter.process.kill()
    counter.process.wait()
    for _ in range(100):
        holder.sweep()
        if not holder._released:
            break
        await asyncio.sleep(0.02)
    assert not list(ROOT.glob("fairtime-held-*"))


@frozen
async def test_what_is_moved_out_alive_is_killed(counter: Counter) -> None:
    """As systemd does for a process's owner: AttachProcessesToUnit."""
    assert ROOT is not None
    told: list[tuple[int, int]] = []
    holder = Holder(broke_out=lambda pid, started: told.append((pid, started)))
    holder.open()
    try:
        key = counter.key
        holder.hold(*key, UID)
        (ROOT / "cgroup.procs").write_text(str(counter.process.pid))
        for _ in range(200):
            if told:
                break
            await asyncio.sleep(0.005)
        assert told == [key]
        assert counter.process.wait(5) == -signal.SIGKILL
        assert not holder.held
    finally:
        holder.close()


@frozen
async def test_a_holder_that_was_killed_leaves_it_held_and_the_next_takes_it_up(counter: Counter) -> None:
    first = Holder()
    first.open()
    key = counter.key
    first.hold(*key, UID)
    # Killed: nothing is undone, only its descriptors are closed.
    assert first._loop is not None
    assert first._poll is not None
    first._loop.remove_reader(first._poll.fileno())
    first._poll.close()
    assert await counter.stands()
    second = Holder()
    second.open()
    assert second.held == {key}
    assert await counter.stands()
    second.release(*key)
    assert await counter.runs()
    assert not second.held
    second.close()


@frozen
async def test_a_second_holder_leaves_what_another_holds(holder: Holder, counter: Counter) -> None:
    key = counter.key
    holder.hold(*key, UID)
    cell = holder._held[key].cell
    assert cell is not None
    place = cell.place
    init = procfs.stat(1)
    assert init is not None
    os.setxattr(place, cells.HOLDER, f"1 {init.started}".encode())
    second = Holder()
    second.open()
    assert not second.held
    second.close()
    assert await counter.stands()
    os.setxattr(place, cells.HOLDER, b"1 99")
    one = holder._held.pop(key)  # it went without a word; alive, it would kill what leaves its cgroup
    holder._forget_events(one)
    os.close(one.pidfd)
    third = Holder()
    third.open()
    assert third.held == {key}, "who held it is gone"
    third.release(*key)
    third.close()
    assert await counter.runs()


@frozen
async def test_a_holder_that_ends_leaves_nothing_frozen(counter: Counter) -> None:
    holder = Holder()
    holder.open()
    holder.hold(*counter.key, UID)
    root = holder.root()
    holder.close()
    assert root is None or not Cell.of(root, *counter.key, UID).place.exists()
    assert counter.process.wait(5) == -signal.SIGKILL
    with pytest.raises(HostError):
        holder.hold(os.getpid(), 0, UID)


async def test_without_cgroups_a_signal_holds_it_and_what_lets_it_go_on_gets_it_killed(counter: Counter) -> None:
    told: list[tuple[int, int]] = []
    holder = Holder(broke_out=lambda pid, started: told.append((pid, started)), roots=())
    holder.open()
    try:
        assert await counter.runs()
        key = counter.key
        holder.hold(*key, UID)
        assert await counter.stands()
        as_child("import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGCONT)", str(key[0]))
        await asyncio.sleep(4 * holding.LOOK)
        assert await counter.stands(), "it is stopped again"
        holder.release(*key)
        assert await counter.runs()
        holder.hold(*key, UID)
        for _ in range(holding.BREAKS):
            as_child("import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGCONT)", str(key[0]))
            await asyncio.sleep(3 * holding.LOOK)
        assert told == [key]
        assert counter.process.wait(5) == -signal.SIGKILL
    finally:
        holder.close()


@frozen
async def test_what_leaves_its_children_behind_is_killed_too(counter: Counter) -> None:
    """Its cgroup does not empty then, so that only a look tells."""
    assert ROOT is not None
    told: list[tuple[int, int]] = []
    holder = Holder(broke_out=lambda pid, started: told.append((pid, started)))
    holder.open()
    other = Counter()
    try:
        key = counter.key
        holder.hold(*key, UID)
        cell = holder._held[key].cell
        assert cell is not None
        (cell.place / "cgroup.procs").write_text(str(other.process.pid))
        (ROOT / "cgroup.procs").write_text(str(counter.process.pid))
        await asyncio.sleep(0.05)
        holder.sweep()
        assert told == [key]
        assert counter.process.wait(5) == -signal.SIGKILL
        assert other.process.wait(5) == -signal.SIGKILL
    finally:
        holder.close()
        other.close()


def test_the_image_before_is_not_let_go_on() -> None:
    """The gate stops a process inside of ``exec``; a scan that still sees the old image must not undo that."""
    standing = Standing(lambda pid, started: None)
    old = Process(pid=1, started=2, parent=0, account="mia", program=ProgramId(name="sh", path="/bin/sh"))
    new = Process(pid=1, started=2, parent=0, account="mia", program=ProgramId(name="game", path="/home/mia/game"))
    before = standing.before(lambda _: Start.HOLD)
    assert before(new) is Start.HOLD
    assert standing.obey(old, Start.ALLOW) is None
    assert standing.obey(new, Start.ALLOW) is signal.SIGCONT
    assert standing.obey(new, Start.ALLOW) is None
    before(new)
    assert standing.obey(old, Start.DENY) is signal.SIGKILL
