"""The service's ear under stress: junk, floods, silence; nobody is obeyed who may not be, and nobody else waits."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.core.authorize import Who
from agent.errors import ConnectionFailed, FairtimeError, NotFound, Refused, StoreError
from agent.ipc import frames
from agent.ipc.answers import Done, Event, Result, Rights, Status
from agent.ipc.client import Client
from agent.ipc.protocol import MAX_CONNECTIONS, MAX_FRAME, Body, Call, GetStatus, GetWhy, Give, Hello, Prove, Subscribe
from agent.ipc.server import PER_ACCOUNT, Connection, Server
from agent.model.verdict import Notify

STATUS = Status(role="child", protection="protected", policy="in force")


class Ear:
    """A server whose answers note what was asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fairtime.sock"
        self.asked: list[Body] = []
        self.role = Who("mia", "child", "mia")
        self.boot = 0
        self.server = Server(self.path, self.answer, lambda _: self.role, lambda: self.boot)

    async def answer(self, connection: Connection, body: Body) -> Result:
        self.asked.append(body)
        match body:
            case Prove():
                connection.proven_until = self.boot + 120_000
                return Rights(seconds=120)
            case Subscribe():
                connection.subscribed = True
                return STATUS
            case GetWhy(subject="bug"):
                raise ZeroDivisionError
            case GetWhy():
                raise NotFound("No such program", "Look again.")
            case Give():
                return Done(sentence="given")
        return STATUS


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncIterator[Ear]:
    made = Ear(tmp_path)
    await made.server.start()
    yield made
    await made.server.close()


async def ask(client: Client, body: Body) -> Result:
    return await asyncio.to_thread(client.call, body)


async def raw(ear: Ear) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(ear.path)


async def test_asks_and_is_answered(ear: Ear) -> None:
    client = Client(str(ear.path))
    assert await ask(client, GetStatus()) == STATUS
    with pytest.raises(NotFound) as caught:
        await ask(client, GetWhy(subject="x"))
    assert caught.value.advice == "Look again."
    await asyncio.to_thread(client.close)


async def test_a_bug_in_one_answer_ends_nothing(ear: Ear) -> None:
    client = Client(str(ear.path))
    with pytest.raises(FairtimeError, match="mistake"):
        await ask(client, GetWhy(subject="bug"))
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)


async def test_rights_end_with_two_minutes_and_belong_to_one_connection(ear: Ear) -> None:
    one, other = Client(str(ear.path)), Client(str(ear.path))
    give = Give(child="mia", kind="time", seconds=60)
    with pytest.raises(Refused):
        await ask(one, give)
    await ask(one, Prove(pin="4711"))
    assert isinstance(await ask(one, give), Done)
    with pytest.raises(Refused):
        await ask(other, give)
    ear.boot += 120_000
    with pytest.raises(Refused):
        await ask(one, give)
    assert sum(isinstance(body, Give) for body in ear.asked) == 1
    for client in (one, other):
        await asyncio.to_thread(client.close)


async def test_a_child_is_not_told_of_another(ear: Ear) -> None:
    client = Client(str(ear.path))
    with pytest.raises(Refused):
        await ask(client, GetStatus(child="leo"))
    assert ear.asked == []
    await asyncio.to_thread(client.close)


async def test_ten_thousand_broken_frames(ear: Ear) -> None:
    """Junk, truncations, mutations of real calls: none is obeyed, none ends the service."""
    dice = random.Random(11)
    hello = frames.pack(Call(id=0, body=Hello()))
    give = msgspec.json.encode(Call(id=7, body=Give(child="mia", kind="time", seconds=3600)))
    sent = 0
    while sent < 10_000:
        reader, writer = await raw(ear)
        writer.write(hello)
        for _ in range(dice.choice((1, 5, 20))):
            kind = dice.randrange(8)
            body = bytearray(give)
            if kind == 0:
                body = bytearray(dice.randbytes(dice.randint(0, 200)))
            elif kind == 1:
                for _ in range(dice.randint(1, 4)):
                    body[dice.randrange(len(body))] = dice.randrange(256)
            elif kind == 2:
                del body[dice.randrange(len(body)) :]
            elif kind == 3:
                body = bytearray(b"[" * dice.randint(1, 5000))
            elif kind == 4:
                body = bytearray(give.replace(b"3600", dice.choice((b"NaN", b"1e999", b"-1", b'"x"', b"null"))))
            elif kind == 5:
                body = bytearray(give.replace(b'"give"', dice.choice((b'"gvie"', b"1", b'"hello"', b'"__init__"'))))
            elif kind == 6:
                body = bytearray(give[:-2] + b',"more":true}}')
            size = dice.choice((len(body), len(body), len(body), 0, MAX_FRAME + 1, 2**32 - 1))
            writer.write(struct.pack(">I", size) + bytes(body))
            sent += 1
        writer.write_eof()
        try:
            async with asyncio.timeout(20):
                while await reader.read(65536):
                    pass
        except ConnectionError:
            pass
        writer.close()
    assert not [body for body in ear.asked if isinstance(body, Give)]
    client = Client(str(ear.path))
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)


async def test_the_first_call_must_be_hello(ear: Ear) -> None:
    reader, writer = await raw(ear)
    writer.write(frames.pack(Call(id=1, body=GetStatus())))
    body = await frames.read(reader)
    assert body is not None
    assert b"hello" in body
    assert ear.asked == []
    writer.close()


async def test_an_account_cannot_take_every_place(ear: Ear) -> None:
    ear.server._own = -2  # as if the callers were somebody else than the service
    held = []
    for _ in range(MAX_CONNECTIONS + 10):
        _, writer = await raw(ear)
        writer.write(frames.pack(Call(id=0, body=Hello())))
        held.append(writer)
    await asyncio.sleep(0.3)
    assert len(ear.server._connections) == PER_ACCOUNT
    for writer in held:
        writer.close()


async def test_somebody_who_stalls_holds_up_nobody(ear: Ear) -> None:
    stalled = []
    for _ in range(5):
        _, writer = await raw(ear)
        writer.write(frames.pack(Call(id=0, body=Hello())) + b"\x00\x00")
        stalled.append(writer)
    client = Client(str(ear.path))
    async with asyncio.timeout(5):
        assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)
    for writer in stalled:
        writer.close()


async def test_a_subscriber_who_does_not_read_is_let_go(ear: Ear) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(str(ear.path))
    sock.sendall(frames.pack(Call(id=0, body=Hello())) + frames.pack(Call(id=1, body=Subscribe())))
    while not list(ear.server.subscribers):
        await asyncio.sleep(0.01)
    notice = Event(notice=Notify(child="mia", kind="state", title="x", text="y" * 30_000))
    for _ in range(200):
        ear.server.push(lambda _: notice)
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert not list(ear.server.subscribers)
    sock.close()


async def test_a_flood_of_calls_is_slowed_not_obeyed_faster(ear: Ear) -> None:
    _, writer = await raw(ear)
    writer.write(frames.pack(Call(id=0, body=Hello())))
    for number in range(500):
        writer.write(frames.pack(Call(id=number, body=GetStatus())))
    await asyncio.sleep(1)
    assert 30 < len(ear.asked) < 70
    client = Client(str(ear.path))
    async with asyncio.timeout(5):
        assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)
    writer.close()


async def test_a_second_service_is_refused_and_a_dead_ones_socket_replaced(ear: Ear, tmp_path: Path) -> None:
    second = Server(ear.path, ear.answer, lambda _: ear.role, lambda: 0)
    with pytest.raises(StoreError, match="already"):
        await second.start()
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(dead))
    third = Server(dead, ear.answer, lambda _: ear.role, lambda: 0)
    await third.start()
    await third.close()
    assert not dead.exists()


async def test_without_a_service_the_client_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await ask(Client(str(tmp_path / "nothing.sock")), GetStatus())
    assert "try again" in caught.value.advice


async def test_the_watch_comes_back_after_a_restart(tmp_path: Path) -> None:
    first = Ear(tmp_path)
    await first.server.start()
    client, seen = Client(str(first.path), via="tray"), []
    client.watch(lambda _: None, lambda notice: seen.append(notice.title), lambda up: seen.append(up))
    while seen != [True]:
        await asyncio.sleep(0.02)
    await first.server.close()
    while seen != [True, False]:
        await asyncio.sleep(0.02)
    second = Ear(tmp_path)
    await second.server.start()
    async with asyncio.timeout(10):
        while seen != [True, False, True]:
            await asyncio.sleep(0.02)
    second.server.push(lambda _: Event(notice=Notify(child="mia", kind="state", title="hello", text="")))
    async with asyncio.timeout(5):
        while seen[-1] != "hello":
            await asyncio.sleep(0.02)
    await asyncio.to_thread(client.close)
    await second.server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to answer as somebody else")
async def test_somebody_elses_service_is_not_believed(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.ipc import unix as module
    from agent.ipc.peer import Peer

    monkeypatch.setattr(module, "peer_of", lambda _: Peer(65534, 1, "nobody"))
    with pytest.raises(ConnectionFailed, match="Somebody else"):
        await ask(Client(str(ear.path)), GetStatus())
