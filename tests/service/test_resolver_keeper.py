"""The service's side of the resolver: it is started, told, heard, ended when it stands still, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.cli import main
from agent.errors import FairtimeError
from agent.filter import command as commands
from agent.filter.command import command
from agent.filter.control import Ask, Used
from agent.platforms.linux import resolving
from agent.platforms.linux.resolving import Resolver
from tests.resolving import LONG, lane, plan

NOWHERE = Path("/nonexistent/resolver.sock")


class Kept:
    """A resolver that is kept, and what it said."""

    def __init__(self, at: Path) -> None:
        self.heard: list[Used | Ask] = []
        self._news = asyncio.Event()
        self.resolver = Resolver(self._hear, self._news.set, at=at)

    def _hear(self, message: Used | Ask) -> None:
        self.heard.append(message)
        self._news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(LONG):
            while not holds():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def kept(at: Path = NOWHERE) -> AsyncIterator[Kept]:
    one = Kept(at)
    one.resolver.open()
    one.resolver.lists(None)
    one.resolver.serve([lane(plan("mia"))], [])
    try:
        await one.until(lambda: one.resolver.served)
        yield one
    finally:
        await one.resolver.close()
    assert one.resolver.pid is None
    assert one.resolver.served == ()
    assert one.resolver.why


async def test_it_serves_and_tells_what_is_wrong() -> None:
    async with kept() as one:
        await one.until(lambda: one.resolver.troubles)
        assert one.resolver.why == ""
        assert [trouble.kind for trouble in one.resolver.troubles] == ["no-upstream"]
        before = one.resolver.served
        one.resolver.serve([lane(plan("mia")), lane(plan("tom"))], ["127.0.0.1:1"])
        await one.until(lambda: len(one.resolver.served) == 2)
        assert one.resolver.served[0] == before[0], "the firewall's port has moved without need"
        await one.until(lambda: one.resolver.troubles == ())


async def test_the_next_one_comes_by_itself_to_the_same_ports() -> None:
    async with kept() as one:
        before = one.resolver.served
        for _ in range(2):
            pid = one.resolver.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await one.until(lambda: one.resolver.why)
            assert "No page opens" in one.resolver.why
            assert one.resolver.served == ()
            await one.until(lambda: one.resolver.served)
            assert one.resolver.pid not in (None, pid)
            assert one.resolver.served == before


async def test_one_that_stands_still_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "BEAT", 0.3)
    async with kept() as one:
        pid = one.resolver.pid
        assert pid is not None
        await one.until(lambda: one.resolver._lives)
        os.kill(pid, signal.SIGSTOP)
        await one.until(lambda: one.resolver.why)
        assert "did not answer" in one.resolver.why
        await one.until(lambda: one.resolver.served)


async def test_one_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "command", lambda _: ["/nonexistent/program"])
    one = Kept(NOWHERE)
    one.resolver.open()
    try:
        await one.until(lambda: "could not be started" in one.resolver.why)
    finally:
        await one.resolver.close()


async def test_lists_that_cannot_be_opened_are_said(tmp_path: Path) -> None:
    async with kept() as one:
        for path in (tmp_path / "none", tmp_path / "junk"):
            (tmp_path / "junk").write_bytes(os.urandom(100))
            one.resolver.lists(path)
            await one.until(
                lambda path=path: any(t.kind == "lists" and t.about == path.name for t in one.resolver.troubles)
            )  # type: ignore[misc]  # mypy infers no lambda with a default
        one.resolver.lists(None)
        await one.until(lambda: not any(trouble.kind == "lists" for trouble in one.resolver.troubles))


async def test_where_systemd_starts_it_the_service_connects(tmp_path: Path) -> None:
    """With a socket that accepts as ``Accept=yes`` does: the connection is the new process's descriptor."""
    started: list[subprocess.Popen[bytes]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(tmp_path / "door"))
        door.listen()
        door.setblocking(False)

        def accept() -> None:
            end, _ = door.accept()
            with end:
                started.append(subprocess.Popen(command(end.fileno()), pass_fds=[end.fileno()]))

        asyncio.get_running_loop().add_reader(door, accept)
        async with kept(tmp_path / "door") as one:
            assert one.resolver.pid is None
            started[0].kill()
            await one.until(lambda: one.resolver.why)
            await one.until(lambda: one.resolver.served)
            assert len(started) == 2
        asyncio.get_running_loop().remove_reader(door)
    assert [await asyncio.to_thread(one.wait, LONG) for one in started] == [-signal.SIGKILL, 0]


def test_the_command_becomes_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(path: str, words: list[str]) -> None:
        ran.append(words)
        raise FairtimeError(path)

    monkeypatch.setattr(os, "execv", run)
    assert main(["resolver", "3"]) == 1
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert main(["resolver", "3"]) == 1
    assert ran == [[*ran[0][:-1], "3"], [str(Path(sys.executable).with_name("fairtime-resolver")), "3"]]
    assert ran[0][0] == sys.executable
    assert ran[0][-2] == str(Path(commands.__file__).parents[2])
