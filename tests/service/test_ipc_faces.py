"""The ear and its callers over a real socket: what arrives, what is kept newest, and what is never said twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.core.authorize import Who
from agent.ipc.client import Client
from agent.ipc.protocol import Body, ChildState, Event, GetStatus, ProgramUse, Result, Status, Subscribe
from agent.ipc.server import Connection, Server
from agent.model.verdict import Verdict

MIA = Who("mia", "child", "mia")
VERDICT = Verdict(child="mia", day="2026-01-14", remaining=None, binding=None)


def status(note: str = "", programs: tuple[ProgramUse, ...] = ()) -> Status:
    child = ChildState(child="mia", verdict=VERDICT, seconds_left=None, sentence="", programs=programs)
    return Status(role="child", protection="protected", policy="in force", notes=(note,), children=(child,))


def with_awful_names() -> Status:
    """Forty programs named as a file may be: 255 bytes that JSON writes as six characters each."""
    names = ["\x01" * 253 + f"{n:02}" for n in range(40)]
    return status(programs=tuple(ProgramUse(program=name, title=name, seconds=1) for name in names))


class Ear:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Body] = []
        self.who: Callable[[], Who] = lambda: MIA
        self.now = status("at the beginning")
        self.before_answer: Callable[[Connection], None] = lambda _: None
        self.server = Server(path, self.answer, lambda _: self.who(), lambda: 0)

    async def answer(self, connection: Connection, body: Body) -> Result:
        self.asked.append(body)
        if isinstance(body, Subscribe):
            connection.subscribed = True
        self.before_answer(connection)
        return self.now


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncIterator[Ear]:
    made = Ear(tmp_path / "fairtime.sock")
    await made.server.start()
    yield made
    await made.server.close()


@pytest.fixture
async def client(ear: Ear) -> AsyncIterator[Client]:
    made = Client(str(ear.path), via="tray")
    yield made
    await asyncio.to_thread(made.close)


async def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        await asyncio.sleep(0.01)


async def test_the_watch_begins_with_the_state_as_it_is(ear: Ear, client: Client) -> None:
    """Otherwise a tray says “not connected” until something changes."""
    seen: list[Status] = []
    client.watch(seen.append, lambda _: None, lambda _: None)
    await until(lambda: seen == [ear.now])


async def test_names_that_a_child_gives_its_programs_never_stop_the_service(ear: Ear, client: Client) -> None:
    """A state longer than a frame: pushed from the tick, an error would end the tick."""
    seen: list[Status] = []
    client.watch(seen.append, lambda _: None, lambda _: None)
    await until(lambda: bool(seen))
    ear.server.push(lambda _: Event(status=with_awful_names()))
    await until(lambda: len(seen) == 2)
    assert seen[1] == with_awful_names()
    ear.now = with_awful_names()
    assert await asyncio.to_thread(client.call, GetStatus()) == with_awful_names()
