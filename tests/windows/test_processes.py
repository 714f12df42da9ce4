"""What Windows tells of processes: whose they are, what they run, whom they start, and that they stand still."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.clock import between
from agent.model.program import ProgramId
from agent.platforms.windows import accounts, handles, tokens
from agent.platforms.windows.accounts import Owners, Person
from agent.platforms.windows.clock import WindowsClock
from agent.platforms.windows.handles import Handle
from agent.platforms.windows.holding import Holder
from agent.platforms.windows.identity import Identifier
from agent.platforms.windows.permissions import Permissions
from agent.platforms.windows.processes import ProcessTable
from agent.platforms.windows.starts import StartEvents
from agent.platforms.windows.systemquery import SystemList

SLEEP = "import time; time.sleep(60)"
COUNT = "import sys, time, os\nwhile True:\n    open(sys.argv[1], 'a').write('.')\n    time.sleep(0.02)"


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for one in found:
        one.kill()
        one.wait()


def start(running: list[subprocess.Popen[bytes]], *words: str) -> tuple[int, int]:
    process = subprocess.Popen([sys.executable, "-S", "-E", "-c", *words], stdin=subprocess.DEVNULL)
    running.append(process)
    for entry in SystemList().read():
        if entry.pid == process.pid:
            return entry.key
    raise AssertionError("the process is not in the list")


def test_clocks_run_and_nobody_slept() -> None:
    clock = WindowsClock()
    before = clock.now()
    time.sleep(0.2)
    passed = between(before, clock.now())
    assert passed.elapsed >= 100 and not passed.slept and not passed.rebooted
    assert WindowsClock().boot_id == clock.boot_id


def test_this_account_is_one_of_the_pcs_people() -> None:
    me = tokens.own()
    found = {one.name: one for one in accounts.people()}
    assert found[me.account].uid == me.sid
    assert found[me.account].administrator is me.privileged
    person = accounts.person(me.account)
    assert person is not None and me.sid in person.sids and "S-1-1-0" in person.sids
    assert accounts.person("no-such-account-here") is None


def test_a_process_is_held_by_its_start_time(running: list[subprocess.Popen[bytes]]) -> None:
    pid, created = start(running, SLEEP)
    handle = handles.opened(pid, created, handles.TERMINATE | handles.SYNCHRONIZE)
    assert handle is not None
    with handle:
        assert handle.created() == created and handle.sid() == tokens.own().sid
        assert handle.path().casefold() == sys.executable.casefold()
        assert not handle.ended()
        assert handles.opened(pid, created + 1) is None
        handle.terminate()
        running[0].wait(10)
        assert handle.ended()
        handle.terminate()
    assert all(entry.key != (pid, created) for entry in SystemList().read())


def test_the_table_has_watched_accounts_only(running: list[subprocess.Popen[bytes]]) -> None:
    key, other = start(running, SLEEP), start(running, SLEEP)
    child = Person("mia", "S-1-5-21-1-2-3-1001", frozenset({"S-1-5-21-1-2-3-1001"}))

    def sid_of(handle: Handle) -> str:
        return child.sid if handle.pid == key[0] else tokens.own().sid

    table = ProcessTable(lambda handle, _: ProgramId(name=handle.path()), sid_of)
    table.watch(Owners.of([child]))
    (found,) = table.scan()
    assert found.key == key and found.account == "mia" and found.program.name
    assert not table.scan() and table.processes == (found,)
    assert table.look(other[0]) == (None, False)
    running[0].kill()
    running[0].wait()
    assert not table.scan() and not table.processes


async def test_windows_tells_whom_a_program_starts(running: list[subprocess.Popen[bytes]]) -> None:
    told: list[int] = []
    ended: list[bool] = []
    events = StartEvents(told.append, lambda: ended.append(True))
    events.open(asyncio.get_running_loop())
    try:
        words = "import subprocess, sys\nsys.stdin.readline()\nsubprocess.run([sys.executable, '-S', '-E', '-c', ''])"
        process = subprocess.Popen([sys.executable, "-S", "-E", "-c", words], stdin=subprocess.PIPE)
        running.append(process)
        key = next(entry.key for entry in SystemList().read() if entry.pid == process.pid)
        assert events.follow("mia", *key) and events.follow("mia", *key)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        async with asyncio.timeout(30):
            while len(set(told) - {process.pid}) < 1 or not ended:
                await asyncio.sleep(0.05)
    finally:
        events.close()
    assert events.why


async def test_what_is_held_stands_still_and_goes_on(running: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    file = tmp_path / "counted"
    key = start(running, COUNT, str(file))
    table = ProcessTable(lambda _, __: None)
    holder = Holder(table.descends, lambda _: True)

    async def grows() -> bool:
        before = file.stat().st_size if file.exists() else 0
        await asyncio.sleep(0.5)
        return file.exists() and file.stat().st_size > before

    async with asyncio.timeout(30):
        while not await grows():
            pass
    holder.hold(key)
    holder.hold(key)
    await asyncio.sleep(0.2)
    assert holder.held == {key} and not await grows()
    holder.release(key)
    assert not holder.held
    async with asyncio.timeout(30):
        while not await grows():
            pass
    holder.hold(key)
    holder.close()
    async with asyncio.timeout(30):
        while not await grows():
            pass


def test_what_an_account_may_change_is_not_protected() -> None:
    child = Person("mia", "S-1-5-21-1-2-3-1001", frozenset({"S-1-5-21-1-2-3-1001", "S-1-1-0"}))
    closed, open_ = "O:SYD:P(A;;FA;;;SY)(A;;0x1200a9;;;WD)", "O:SYD:P(A;;FA;;;SY)(A;;FA;;;WD)"
    places = {"C:\\": closed, "C:\\Games": closed, "C:\\Games\\chess.exe": closed}
    assert Permissions(places.get).protected("C:\\Games\\chess.exe", child)
    for place in places:
        assert not Permissions((places | {place: open_}).get).protected("C:\\Games\\chess.exe", child)
        assert not Permissions((places | {place: f"O:{child.sid}{closed[4:]}"}).get).protected(
            "C:\\Games\\chess.exe", child
        )
    assert not Permissions(lambda _: closed).protected("\\\\server\\share\\chess.exe", child)


def test_a_script_is_judged_in_its_interpreters_place(running: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    script = tmp_path / "game.py"
    script.write_text(SLEEP)
    process = subprocess.Popen([sys.executable, "-S", "-E", str(script)], stdin=subprocess.DEVNULL)
    running.append(process)
    person = accounts.person(tokens.own().account)
    handle = handles.opened(process.pid, None)
    assert person is not None and handle is not None
    with handle:
        found = Identifier().running(handle, person)
    assert found is not None
    assert found.name == "game.py" and found.interpreter.casefold() == sys.executable.casefold()
    assert len(found.sha256) == 64 and not found.protected
