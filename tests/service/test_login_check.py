"""What PAM runs before a child begins a session, as a process of its own, against a service that answers, lies or is silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("PAM is asked on Linux", allow_module_level=True)

from agent.core.authorize import Who
from agent.ipc.answers import Entrance, Result
from agent.ipc.peer import Peer
from agent.ipc.protocol import MAX_FRAME, VERSION, Body, GetLogin
from agent.ipc.server import Connection, Server
from agent.platforms.linux import logincheck
from agent.service.policies import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the check believes a service of root's only")
PYTHON = "/usr/bin/python3"


@dataclass
class Door:
    """A copy of the check that looks in this folder, and the service there."""

    folder: Path
    answer: Entrance = field(default_factory=lambda: Entrance(allowed=True))
    patient: bool = False
    asked: list[Body] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = Path(logincheck.__file__).read_text(encoding="utf-8")
        for fixed in (logincheck.SOCKET, logincheck.FOUNDED):
            assert text.count(fixed) == 1
            text = text.replace(fixed, str(self.folder / Path(fixed).name))
        if not self.patient:
            text = text.replace(f"PATIENCE = {logincheck.PATIENCE}", "PATIENCE = 0.5")
        self.script = self.folder / "login-check"
        self.script.write_text(text, encoding="utf-8")
        self.script.chmod(0o755)
        (self.folder / ROOT).touch()

    async def _answer(self, connection: Connection, body: Body) -> Result:
        self.asked.append(body)
        return self.answer

    @contextlib.asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        def who(peer: Peer) -> Who:
            return Who(peer.account, "administrator")

        server = Server(self.folder / "fairtime.sock", self._answer, who, lambda: 0)
        await server.start()
        try:
            yield
        finally:
            await server.close()

    async def knock(self, user: str = "mia", service: str = "login", ruser: str = "") -> tuple[int, str]:
        """Exit status and words, as PAM would get them: with nothing but PAM's variables."""
        process = await asyncio.create_subprocess_exec(
            PYTHON, "-IS", str(self.script), env={"PAM_USER": user, "PAM_SERVICE": service, "PAM_RUSER": ruser},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode is not None
        return process.returncode, out.decode().strip()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def test_a_child_with_time_left_comes_in(door: Door) -> None:
    async with door.service():
        assert await door.knock() == (0, "")
    assert door.asked == [GetLogin(account="mia")]


async def test_a_child_without_is_told_why(door: Door) -> None:
    door.answer = Entrance(allowed=False, sentence="You have used today’s 1 h. There is more tomorrow.")
    async with door.service():
        assert await door.knock() == (1, "You have used today’s 1 h. There is more tomorrow.")


async def test_root_is_never_asked_about(door: Door) -> None:
    assert await door.knock("root") == (0, "")
    assert await door.knock("") == (0, "")


async def test_root_may_become_a_child_and_others_are_asked_about(door: Door) -> None:
    door.answer = Entrance(allowed=False, sentence="No time.")
    async with door.service():
        assert await door.knock(service="su-l", ruser="root") == (0, "")
        assert await door.knock(service="su", ruser="leo") == (1, "No time.")
        assert await door.knock(service="sshd", ruser="root") == (1, "No time.")


async def test_a_service_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    door = Door(tmp_path, patient=True)
    knocking = asyncio.create_task(door.knock())
    await asyncio.sleep(1)
    async with door.service():
        assert await knocking == (0, "")


async def test_a_service_that_does_not_is_told_with_advice_for_a_guardian(tmp_path: Path) -> None:
    door = Door(tmp_path, patient=True)
    begun = time.monotonic()
    status, words = await door.knock()
    assert status == 1
    assert "systemctl restart fairtime" in words
    assert time.monotonic() - begun > 2, "it gives a service that restarts time to come back"


async def test_without_a_household_everybody_comes_in(door: Door) -> None:
    (door.folder / ROOT).unlink()
    assert await door.knock() == (0, "")


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\0\0", b"\xff\xff\xff\xffx", b"\0\0\0\2{}", b"\0\0\0\4junk", b"\0\0\0\4null",
        b"\0\0\0\x2c" + b'{"type":"reply","id":1,"result":{"type":1}}  '[:44],
    ],
)  # fmt: skip
async def test_nonsense_lets_no_child_in(door: Door, reply: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(MAX_FRAME)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, door.folder / "fairtime.sock")
    status, words = await door.knock()
    server.close()
    await server.wait_closed()
    assert status == 1
    assert words == logincheck.NO_ANSWER


async def test_somebody_elses_service_is_not_believed(door: Door) -> None:
    """Whoever sits at the socket's place and is not root."""
    liar = (
        "import os,socket,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1],0o666)\n"
        "os.setgid(61377); os.setuid(61377); s.listen(9); print('ready',flush=True)\n"
        "while True: s.accept()\n"
    )
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", liar, str(door.folder / "fairtime.sock"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        assert (await door.knock())[0] == 1
    finally:
        process.kill()
        await process.wait()


def test_it_speaks_the_versions_language_and_looks_where_a_household_begins() -> None:
    assert logincheck.VERSION == VERSION
    assert logincheck.MAX_FRAME == MAX_FRAME
    assert Path(logincheck.FOUNDED).name == ROOT


def test_it_imports_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [PYTHON, "-IS", "-X", "importtime", logincheck.__file__],
        env={"PAM_USER": "root"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    named = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert named - {"imported package"} <= sys.stdlib_module_names
