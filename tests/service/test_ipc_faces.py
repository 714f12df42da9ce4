"""The ear and its callers over a real socket: what arrives, what is kept newest, and what is never said twice."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.core.authorize import Who
from agent.errors import ConnectionFailed, Refused, StoreError
from agent.ipc import frames
from agent.ipc import server as module
from agent.ipc.answers import ChildState, Event, ProgramUse, Result, Status
from agent.ipc.client import Client
from agent.ipc.protocol import Body, Call, GetStatus, Give, Hello, Subscribe
from agent.ipc.server import BURST, RATE, STRANGERS, Connection, Server
from agent.model.verdict import Notify, Verdict

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


async def test_an_answer_of_a_mebibyte_reaches_a_caller_that_reads(ear: Ear, client: Client) -> None:
    ear.now = status("x" * 3 * 1024 * 1024)
    assert await asyncio.to_thread(client.call, GetStatus()) == ear.now


# ---- slow, stalled and strange callers -------------------------------------------------------------------------------


class Raw:
    """A caller without our client's manners."""

    def __init__(self, path: Path, *bodies: Body) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(str(path))
        self.socket.settimeout(5)
        self.taken = bytearray()
        for serial, body in enumerate((Hello(), *bodies)):
            self.socket.sendall(frames.pack(Call(id=serial, body=body)))

    def read_all(self) -> list[bytes]:
        """Everything until the service hangs up or says nothing for a while, as bodies."""
        self.socket.settimeout(0.5)
        try:
            while data := self.socket.recv(65536):
                self.taken += data
        except (TimeoutError, ConnectionResetError):
            pass
        found, at, body = [], 0, b""
        while at + 4 <= len(self.taken):
            size, goes_on = frames.length(bytes(self.taken[at : at + 4]))
            body += self.taken[at + 4 : at + 4 + size]
            at += 4 + size
            if not goes_on:
                found.append(body)
                body = b""
        return found


async def test_a_slow_subscriber_gets_the_newest_state_and_every_notice(ear: Ear) -> None:
    slow = Raw(ear.path, Subscribe())
    await until(lambda: bool(tuple(ear.server.subscribers)))
    for number in range(400):
        ear.server.push(lambda _, n=number: Event(status=status(f"state {n} " + "x" * 20_000)))
    ear.server.push(lambda _: Event(notice=Notify(child="mia", kind="time", title="5 minutes", text="")))
    bodies = await asyncio.to_thread(slow.read_all)
    events = [m for m in map(frames.message_of, bodies) if isinstance(m, Event)]
    states = [m.status.notes[0].split(" x")[0] for m in events if m.status is not None]
    assert states[-1] == "state 399"
    assert len(states) < 40, "what the system's own buffer holds, then the newest"
    assert [m.notice.title for m in events if m.notice is not None] == ["5 minutes"]
    slow.socket.close()


async def test_a_subscriber_that_has_stalled_is_let_go_and_leaves_nothing(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    before = len(os.listdir("/proc/self/fd"))
    stalled = [Raw(ear.path, Subscribe()) for _ in range(5)]
    await until(lambda: len(tuple(ear.server.subscribers)) == 5)
    for _ in range(60):
        ear.server.push(lambda _: Event(status=status("x" * 60_000)))
    assert len(tuple(ear.server.subscribers)) == 5
    await until(lambda: not ear.server._connections)
    for one in stalled:
        one.socket.close()
    await until(lambda: len(os.listdir("/proc/self/fd")) == before and not ear.server._tasks)


async def test_a_caller_that_takes_no_answers_and_then_talks_junk_leaves_nothing(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor would stay open for good: closing waits for bytes that nobody takes."""
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    before = len(os.listdir("/proc/self/fd"))
    for bodies in ((GetStatus(),), (Subscribe(),)) * 4:
        ear.now = status("x" * (1_000_000 if bodies == (GetStatus(),) else 1))
        one = Raw(ear.path, *bodies)
        with one.socket:
            await until(lambda: any(c.greeted for c in ear.server._connections))
            await asyncio.sleep(0.05)
            ear.server.push(lambda _: Event(notice=Notify(child="mia", kind="state", title="", text="x" * 1_000_000)))
            one.socket.sendall(b"\xff" * 100)
            # The other end is kept open, and never read; other tests' leftovers may be closed meanwhile.
            await until(lambda: not ear.server._connections and not ear.server._tasks)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)


async def test_strangers_share_few_places_and_leave_the_familys_free(ear: Ear) -> None:
    """A child's subordinate uids are thousands of accounts without a name."""
    ear.server._own = -2
    ear.who = lambda: Who("#100042", "nobody")
    strangers = [Raw(ear.path) for _ in range(STRANGERS + 10)]
    bodies = [await asyncio.to_thread(one.read_all) for one in strangers]
    assert sum(b"too many" in b"".join(body) for body in bodies) == 10
    ear.who = lambda: MIA
    mia = Raw(ear.path)
    assert b"welcome" in b"".join(await asyncio.to_thread(mia.read_all))
    for one in (*strangers, mia):
        one.socket.close()


async def test_calling_again_on_new_connections_begins_no_new_burst(ear: Ear) -> None:
    ear.server._own = -2
    floods = [Raw(ear.path, *[GetStatus()] * (BURST // 2)) for _ in range(6)]
    await asyncio.sleep(1)
    assert len(ear.asked) <= BURST + 2 * RATE
    for one in floods:
        one.socket.close()


async def test_a_call_whose_answer_is_lost_is_not_made_again(ear: Ear, client: Client) -> None:
    """Thirty minutes more must not become sixty because the service was started again."""
    give = Give(child="mia", kind="time", seconds=1800)
    ear.who = lambda: Who("root", "administrator")

    def rights(connection: Connection) -> None:
        connection.proven_until = 1

    def vanish(connection: Connection) -> None:
        connection.writer.transport.abort()

    ear.before_answer = rights
    await asyncio.to_thread(client.call, GetStatus())
    ear.before_answer = vanish
    with pytest.raises(ConnectionFailed, match="lost"):
        await asyncio.to_thread(client.call, give)
    assert ear.asked.count(give) == 1
    ear.before_answer = lambda _: None
    assert await asyncio.to_thread(client.call, GetStatus()) == ear.now


async def test_a_service_that_was_started_again_is_called_anew(ear: Ear, client: Client) -> None:
    await asyncio.to_thread(client.call, GetStatus())
    await ear.server.close()
    again = Ear(ear.path)
    await again.server.start()
    assert await asyncio.to_thread(client.call, GetStatus()) == again.now
    await again.server.close()


async def test_an_answer_that_does_not_come_is_named(ear: Ear, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.ipc import client as faces

    monkeypatch.setattr(faces, "ANSWER_WITHIN", 0.3)
    ear.before_answer = lambda _: time.sleep(0.8)
    with pytest.raises(ConnectionFailed, match="in time"):
        await asyncio.to_thread(client.call, GetStatus())
    ear.before_answer = lambda _: None
    assert await asyncio.to_thread(client.call, GetStatus()) == ear.now


# ---- who one is now --------------------------------------------------------------------------------------------------


async def test_a_subscriber_is_told_by_who_it_is_now(ear: Ear) -> None:
    """An account that a new policy makes a child's must not go on hearing of all."""
    ear.who = lambda: Who("leo", "guardian")
    one = Raw(ear.path, Subscribe())
    await until(lambda: bool(tuple(ear.server.subscribers)))
    roles: list[str] = []
    ear.who = lambda: Who("leo", "child", "leo")
    ear.server.push(lambda connection: roles.append(connection.who.role))
    ear.who = lambda: Who("leo", "nobody")
    ear.server.push(lambda connection: roles.append(connection.who.role))
    assert roles == ["child"]
    one.socket.close()


async def test_nobody_is_greeted_and_told_nothing_more(ear: Ear, client: Client) -> None:
    ear.who = lambda: Who("guest", "nobody")
    with pytest.raises(Refused):
        await asyncio.to_thread(client.call, GetStatus())
    with pytest.raises(Refused):
        await asyncio.to_thread(client.call, Subscribe())
    assert ear.asked == []


# ---- the socket's place ----------------------------------------------------------------------------------------------


async def test_what_lies_in_the_sockets_place_is_never_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "photo.jpg"
    precious.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(precious)
    for path in (precious, link, tmp_path):
        with pytest.raises(StoreError):
            await Ear(path).server.start()
    assert precious.read_bytes() == b"precious"
    assert link.is_symlink()


async def test_the_family_reaches_the_socket_whatever_the_services_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = Ear(tmp_path / "run" / "fairtime.sock")
        await made.server.start()
    finally:
        os.umask(before)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
    assert made.path.stat().st_mode & 0o777 == 0o666
    await made.server.close()
    assert not made.path.exists()


async def test_a_folder_that_others_write_to_is_believed_by_neither_side(ear: Ear, client: Client) -> None:
    ear.path.parent.chmod(0o777)
    with pytest.raises(ConnectionFailed, match="written to by others"):
        await asyncio.to_thread(client.call, GetStatus())
    with pytest.raises(StoreError, match="written to by others"):
        await Ear(ear.path.parent / "second.sock").server.start()
    ear.path.parent.chmod(0o700)
    assert await asyncio.to_thread(client.call, GetStatus()) == ear.now


async def test_a_service_that_ends_leaves_its_successors_socket_alone(ear: Ear) -> None:
    ear.path.rename(ear.path.with_name("old"))
    second = Ear(ear.path)
    await second.server.start()
    await ear.server.close()
    assert second.path.exists()
    await second.server.close()
