"""The host contract on Windows: real processes, and what stands for accounts and sessions that a test may not make.

Accounts: a program belongs to the account whose folder it was started from, and else to whom Windows says.  (Wine has one account
only, and no test adds accounts to somebody's PC.)
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("the Windows host runs on Windows, or in a Windows Python under Wine", allow_module_level=True)

import win32security

from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.windows import tokens
from agent.platforms.windows.accounts import Person
from agent.platforms.windows.handles import SYNCHRONIZE, Handle, opened
from agent.platforms.windows.host import WindowsHost
from agent.platforms.windows.rights import ANYBODY
from agent.platforms.windows.sessions import Login, Sessions
from agent.platforms.windows.systemlist import tree
from agent.platforms.windows.systemquery import SystemList
from tests.contract.host_contract import HostContract, Key, Rig, until_gone, until_seen

SIDS = {
    "mia": "S-1-5-21-1111111111-2222222222-3333333333-1001",
    "leo": "S-1-5-21-1111111111-2222222222-3333333333-1002",
}

# Run by a renamed copy of pythonw.exe: how many offspring to start, whether to ignore requests to close, the folder for notes.
# It has a window, and a thread that counts in a file while it is let run.
SCRIPT = """
import ctypes, os, subprocess, sys, threading, time
from ctypes import wintypes
count, stubborn, folder, me = int(sys.argv[1]), sys.argv[2] == "stubborn", sys.argv[3], sys.argv[4]
if count:
    subprocess.Popen([me, "-S", "-c", sys.argv[5], str(count - 1), *sys.argv[2:]], executable=me)
def later():
    while not os.path.exists(f"{folder}/start-{os.getpid()}"):
        time.sleep(0.02)
    subprocess.Popen([me, "-S", "-c", sys.argv[5], "0", *sys.argv[2:]], executable=me)
if me.endswith("waiter"):
    threading.Thread(target=later, daemon=True).start()
def beat():
    with open(f"{folder}/beat-{os.getpid()}", "wb", buffering=0) as file:
        while True:
            file.write(b".")
            time.sleep(0.02)
threading.Thread(target=beat, daemon=True).start()
user = ctypes.WinDLL("user32")
user.CreateWindowExW.restype = wintypes.HWND
user.CreateWindowExW(0, "STATIC", "a window", wintypes.DWORD(0x90000000), 0, 0, 9, 9, None, None, None, None)
open(f"{folder}/ready-{os.getpid()}", "wb").close()
message = wintypes.MSG()
while user.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
    if message.message == 0x10:
        if not stubborn:
            os._exit(0)
    else:
        user.DispatchMessageW(ctypes.byref(message))
"""


def close_to_others(folder: Path) -> None:
    """Only this account, administrators and the system may write there."""
    rights = f"D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{tokens.own().sid})(A;OICI;0x1200a9;;;WD)"
    wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(rights, 1)
    win32security.SetFileSecurity(str(folder), win32security.DACL_SECURITY_INFORMATION, wanted)


class WindowsRig:
    """Programs are copies of pythonw.exe in a folder of the PC's own."""

    def __init__(self, folder: Path, system: Sessions | None = None) -> None:
        self.child, self.stranger = SIDS
        self._folder = folder
        self._notes = folder / "notes"
        self._notes.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        self.host = WindowsHost(sid_of=self._sid, person_of=person, system=system)

    async def login(self, account: str) -> str:
        await self.start(account, "desk")
        return f"account:{account}"

    async def start(self, account: str, name: str, *, stubborn: bool = False, offspring: int = 0) -> tuple[Key, ...]:
        program = self._program(account, name)
        words = [
            "-S",
            "-c",
            SCRIPT,
            str(offspring),
            "stubborn" if stubborn else "willing",
            str(self._notes),
            program,
            SCRIPT,
        ]
        process = subprocess.Popen(
            [program, *words],
            executable=program,
            env=os.environ | {"PYTHONHOME": sys.base_prefix},
            stdin=subprocess.DEVNULL,
        )
        self._started.append(process)
        keys: tuple[Key, ...] = ()
        for _ in range(600):
            entries = SystemList().read()
            root = {entry.key for entry in entries if entry.pid == process.pid}
            keys = tuple(sorted(tree(entries, root), key=lambda key: key[1])) or keys
            ready = all((self._notes / f"ready-{pid}").exists() for pid, _ in keys)
            if process.poll() is not None or (len(keys) > offspring and ready):
                break
            await asyncio.sleep(0.02)
        return keys

    async def become(self, key: Key, name: str) -> None:
        raise NotImplementedError("Windows has no exec")

    def let_start(self, key: Key) -> None:
        """Let a program that is called waiter start another."""
        (self._notes / f"start-{key[0]}").touch()

    def alive(self, key: Key) -> bool:
        handle = opened(*key, SYNCHRONIZE)
        if handle is None:
            return False
        with handle:
            return not handle.ended()

    def still(self, key: Key) -> bool:
        beats = self._notes / f"beat-{key[0]}"
        for _ in range(3):  # it counts fifty times a second, and this machine may be busy with others
            before = beats.stat().st_size
            time.sleep(0.3)
            if beats.stat().st_size != before:
                return False
        return True

    async def pass_time(self, millis: int) -> None:
        await asyncio.sleep(millis / 1000)

    def finish(self) -> None:
        entries = SystemList().read()
        mine = {entry.key for entry in entries if any(entry.pid == process.pid for process in self._started)}
        for key in tree(entries, mine):
            handle = opened(*key, 0x1 | SYNCHRONIZE)
            if handle is not None:
                with handle:
                    handle.terminate()
        for process in self._started:
            process.wait(30)

    def _sid(self, handle: Handle) -> str:
        path = Path(handle.path())
        if not path.name:
            raise OSError("it has no image yet")
        return SIDS[path.parent.name] if path.parent.parent == self._folder else handle.sid()

    def _program(self, account: str, name: str) -> str:
        folder = self._folder / account
        if not folder.exists():
            folder.mkdir()
            for library in (*Path(sys.base_prefix).glob("python3*.dll"), *Path(sys.base_prefix).glob("vcruntime*.dll")):
                shutil.copy(library, folder)
            close_to_others(folder)
        if not (folder / name).exists():
            shutil.copy(Path(sys.base_prefix) / "pythonw.exe", folder / name)
        return str(folder / name)


def person(name: str) -> Person | None:
    sid = SIDS.get(name)
    return None if sid is None else Person(name, sid, frozenset({sid, *ANYBODY}))


async def rigged(system: Sessions | None = None, kind: type[WindowsRig] = WindowsRig) -> AsyncIterator[WindowsRig]:
    folder = Path(tempfile.mkdtemp(prefix="fairtime-contract-", dir=os.environ["PROGRAMDATA"])).resolve()
    close_to_others(folder)
    rig = kind(folder, system)
    try:
        yield rig
    finally:
        await rig.host.close()
        rig.finish()
        for _ in range(100):  # a file of a program that has ended may be held for a moment
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            await asyncio.sleep(0.05)


class OnWindows(HostContract):
    async def test_observe_sees_a_late_exec_within_5_s(self, opened: Rig) -> None:
        pytest.skip("on Windows no process ever becomes another program: there is no exec")

    async def test_program_refused_after_a_late_exec_is_killed(self, opened: Rig) -> None:
        pytest.skip("on Windows no process ever becomes another program: there is no exec")


class TestWindowsHost(OnWindows):
    """Sessions are guessed, as where Windows does not list them (Wine), or there is none of these accounts."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async for rig in rigged(Unlisted()):
            yield rig

    async def test_what_a_known_program_starts_is_seen_and_refused_without_a_scan(self, opened: WindowsRig) -> None:
        """By the message of the job that the known one was put into."""
        asked: list[Process] = []

        def refuse_others(process: Process) -> Start:
            asked.append(process)
            return Start.ALLOW if process.key == key else Start.DENY

        (key,) = await opened.start(opened.child, "waiter")
        await until_seen(opened, key)
        opened.host.on_start(refuse_others)
        opened.let_start(key)
        async with asyncio.timeout(30):
            while not asked:
                await asyncio.sleep(0.05)
        assert [process.parent for process in asked] == [key[0]]
        assert await until_gone(opened, (asked[0].key,), within=5_000)
        assert opened.alive(key)


class TestWindowsHostWithSessions(OnWindows):
    """Sessions are those of a double; programs are real."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async for rig in rigged(Listed(), ListedRig):
            yield rig


class Unlisted:
    """As Wine: no list."""

    def open(self, loop: AbstractEventLoop, changed: Callable[[], None]) -> None: ...

    def close(self) -> None: ...

    def logins(self) -> tuple[Login, ...] | None:
        return None

    def disconnect(self, session: int) -> None:
        raise AssertionError("there is none")

    def logoff(self, session: int) -> None:
        raise AssertionError("there is none")


class Listed:
    """Windows' sessions in memory."""

    def __init__(self) -> None:
        self.there: dict[int, Login] = {}
        self._changed: Callable[[], None] = lambda: None

    def add(self, sid: str) -> int:
        number = len(self.there) + 1
        self.there[number] = Login(number, sid, connected=True, locked=False)
        self._changed()
        return number

    def open(self, loop: AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._changed = changed

    def close(self) -> None:
        self._changed = lambda: None

    def logins(self) -> tuple[Login, ...] | None:
        return tuple(self.there.values())

    def disconnect(self, session: int) -> None:
        old = self.there[session]
        self.there[session] = Login(old.id, old.sid, connected=False, locked=False)
        self._changed()

    def logoff(self, session: int) -> None:
        del self.there[session]
        self._changed()


class ListedRig(WindowsRig):
    def __init__(self, folder: Path, system: Sessions | None) -> None:
        assert isinstance(system, Listed)
        self._system = system
        super().__init__(folder, system)

    async def login(self, account: str) -> str:
        return str(self._system.add(SIDS[account]))
