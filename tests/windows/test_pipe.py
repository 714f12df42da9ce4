"""The pipe itself: asked and answered, named callers, a squatted name, and nobody believed who is not the service."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

import pywintypes
import win32file
import win32pipe
import win32security

from agent.core.authorize import Who
from agent.errors import ConnectionFailed, Refused
from agent.ipc import client as faces
from agent.ipc.answers import Event, Result, Status
from agent.ipc.client import Client
from agent.ipc.peer import Peer
from agent.ipc.protocol import Body, GetStatus, Subscribe
from agent.ipc.server import Connection, Server
from agent.model.verdict import Notify
from agent.platforms.windows import descriptors, tokens
from agent.platforms.windows.pipe import Pipes, who_serves
from agent.platforms.windows.pipeear import SPARE
from agent.platforms.windows.pipenames import SERVICE, NameTaken, pipe_name

STATUS = Status(role="child", protection="protected", policy="in force")
MIA = Who("mia", "child", "mia")
SQUATTER = """
import sys, win32pipe
pipe = win32pipe.CreateNamedPipe(sys.argv[1], win32pipe.PIPE_ACCESS_DUPLEX, 0, 10, 4096, 4096, 0, None)
print("there", flush=True)
sys.stdin.read()
"""


class Ear:
    def __init__(self, name: str) -> None:
        self.name = name
        self.role = MIA
        self.peers: list[Peer] = []
        self.now = STATUS
        self.hold: threading.Event | None = None
        self.server = Server(Path(name), self.answer, self.who, lambda: 0)

    def who(self, peer: Peer) -> Who:
        self.peers.append(peer)
        return self.role

    async def answer(self, connection: Connection, body: Body) -> Result:
        if isinstance(body, Subscribe):
            connection.subscribed = True
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, 30)
        return self.now


@pytest.fixture
def name() -> str:
    return rf"\\.\pipe\fairtime-test-{uuid.uuid4().hex}"


@pytest.fixture
async def ear(name: str) -> AsyncIterator[Ear]:
    made = Ear(name)
    await made.server.start()
    yield made
    await made.server.close()


async def ask(client: Client, body: Body) -> Result:
    return await asyncio.to_thread(client.call, body)


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_caller_is_who_it_is_and_is_answered(ear: Ear) -> None:
    client = Client(ear.name)
    assert await ask(client, GetStatus()) == STATUS
    me = tokens.own()
    assert set(ear.peers) == {Peer(me.sid, os.getpid(), me.account, privileged=me.privileged)}
    assert me.sid.startswith("S-1-5-")
    assert me.account.strip("#")
    await asyncio.to_thread(client.close)


async def test_an_account_without_rights_is_refused(ear: Ear) -> None:
    ear.role = Who("guest", "nobody")
    client = Client(ear.name)
    with pytest.raises(Refused, match="neither"):
        await ask(client, GetStatus())
    await asyncio.to_thread(client.close)


async def test_the_usual_name_with_its_prefix_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAIRTIME_SOCKET", raising=False)
    made = Ear(SERVICE)
    await made.server.start()
    client = Client()
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)
    await made.server.close()


async def test_an_answer_longer_than_the_pipes_room_arrives_whole(ear: Ear) -> None:
    ear.now = Status(role="child", protection="protected", policy="in force", notes=("x" * 3 * 1024 * 1024,))
    client = Client(ear.name)
    assert await ask(client, GetStatus()) == ear.now
    await asyncio.to_thread(client.close)


async def test_many_callers_at_once_are_all_heard(ear: Ear) -> None:
    clients = [Client(ear.name) for _ in range(3 * SPARE)]
    answers = await asyncio.gather(*(ask(client, GetStatus()) for client in clients))
    assert answers == [STATUS] * len(clients)
    for client in clients:
        await asyncio.to_thread(client.close)


async def test_callers_that_come_and_go_leave_the_ear_as_it_was(ear: Ear) -> None:
    for _ in range(20):
        await asyncio.to_thread(lambda: Pipes().call(ear.name).close())
    client = Client(ear.name)
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)
    await until(lambda: not ear.server._connections and not ear.server._tasks)


async def test_an_answer_that_does_not_come_is_named_and_the_next_one_is_right(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "ANSWER_WITHIN", 0.5)
    client, go_on = Client(ear.name), threading.Event()
    ear.hold = go_on
    with pytest.raises(ConnectionFailed, match="in time"):
        await ask(client, GetStatus())
    ear.hold = None
    go_on.set()
    monkeypatch.setattr(faces, "ANSWER_WITHIN", 30)
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)


async def test_the_watch_hears_notices_and_comes_back_after_a_restart(name: str) -> None:
    first = Ear(name)
    await first.server.start()
    client, seen = Client(name, via="tray"), list[object]()
    client.watch(lambda _: None, lambda notice: seen.append(notice.title), lambda up: seen.append(up))
    await until(lambda: seen == [True])
    first.server.push(lambda _: Event(notice=Notify(child="mia", kind="state", title="hello", text="")))
    await until(lambda: seen == [True, "hello"])
    await first.server.close()
    await until(lambda: seen == [True, "hello", False])
    second = Ear(name)
    await second.server.start()
    await until(lambda: seen[-1] is True)
    await asyncio.to_thread(client.close)
    await second.server.close()


async def test_the_name_is_free_after_the_end_and_never_before(ear: Ear) -> None:
    held = [await asyncio.to_thread(Pipes().call, ear.name) for _ in range(SPARE + 2)]
    assert who_serves(ear.name) == f"process {os.getpid()} of {tokens.own().account}"
    with pytest.raises(NameTaken):
        await Ear(ear.name).server.start()
    for channel in held:
        channel.close()
    await ear.server.close()
    await until(lambda: who_serves(ear.name) is None)
    again = Ear(ear.name)
    await again.server.start()
    await again.server.close()


async def test_a_squatted_name_is_noticed_and_its_holder_named(name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SQUATTER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as squatter:
        assert squatter.stdout is not None
        await asyncio.to_thread(squatter.stdout.readline)
        late = Ear(name)
        with pytest.raises(NameTaken) as caught:
            await late.server.start()
        assert f"process {squatter.pid} of " in caught.value.title
        await late.server.close()
        squatter.kill()
    await until(lambda: who_serves(name) is None)
    await late.server.start()
    client = Client(name)
    assert await ask(client, GetStatus()) == STATUS
    await asyncio.to_thread(client.close)
    await late.server.close()


def test_a_pipe_of_somebody_elses_is_not_believed_and_hears_nothing(name: str) -> None:
    """Not even a hello: what an account types must not reach whoever took the service's place."""
    rights = pywintypes.SECURITY_ATTRIBUTES()
    rights.SECURITY_DESCRIPTOR = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
        "O:BGD:(A;;GA;;;WD)", win32security.SDDL_REVISION_1
    )
    pipe = win32pipe.CreateNamedPipe(name, win32pipe.PIPE_ACCESS_DUPLEX, 0, 10, 4096, 4096, 0, rights)
    client = Client(name)
    with pytest.raises(ConnectionFailed, match="Somebody else"):
        client.call(GetStatus())
    with pytest.raises(pywintypes.error):
        win32file.ReadFile(pipe, 1)
    client.close()
    pipe.Close()


def test_without_a_service_the_client_says_what_to_do(name: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        Client(name).call(GetStatus())
    assert "try again" in caught.value.advice


async def test_the_rights_of_the_pipe_are_read_back(ear: Ear) -> None:
    handle = win32file.CreateFile(ear.name, descriptors.CLIENT_ACCESS, 0, None, win32file.OPEN_EXISTING, 0, None)
    found = win32security.GetSecurityInfo(handle, 6, win32security.DACL_SECURITY_INFORMATION)
    text = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(found, 1, 4)
    assert "(A;;0x12019b;;;IU)" in text
    assert "WD" not in text
    handle.Close()


@pytest.mark.parametrize(
    "sddl", [descriptors.PIPE, descriptors.STATE, descriptors.PROGRAM, descriptors.SERVICE, descriptors.own_pipe("SY")]
)
def test_windows_reads_every_descriptor(sddl: str) -> None:
    assert win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(sddl, win32security.SDDL_REVISION_1)


def test_a_folders_pipe_is_its_own() -> None:
    assert pipe_name(r"C:\Eigene Dateien\Jürgen\service.sock") != pipe_name(r"C:\Eigene Dateien\Jurgen\service.sock")
