"""Figures of the end of the time: how soon a login without any is ended where PAM did not refuse it, and what asking costs.

The real loop, engine, ledger and Linux host on a private bus with a double of logind; the way from a real logind's session to
its last process is measured by the system tests, in a container.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from agent.core.authorize import Who
from agent.core.rules import Rules
from agent.ipc.answers import Entrance, Result
from agent.ipc.protocol import Body
from agent.ipc.server import Connection, Server
from agent.model.grant import Grant
from agent.platforms.linux import logincheck
from agent.platforms.linux.host import LinuxHost
from agent.platforms.unsupervised import Unsupervised
from agent.service.loop import Loop
from agent.service.store import Store
from tests.bench.rows import Row, row
from tests.contract.logind_double import LogindDouble, private_bus
from tests.family import child, compiled, head
from tests.pc import engine

ACCOUNT = "games"
"""An account of every Debian that nobody uses."""
LOGINS = 10
CHECKS = 15
TIMEKPR_THEN = 17.0
"""Seconds that Timekpr-nExT 0.5.9 let such a login go on at best, with a double of logind as well."""


def rows() -> list[Row]:
    found = []
    if shutil.which("dbus-daemon") and os.geteuid() == 0:
        ended = asyncio.run(_logins())
        name = "login with no time left, until it is told to end"
        found.append(row(name, max(ended), "s", 2, "timekpr-next 0.5.9 then", TIMEKPR_THEN))
    if os.geteuid() == 0 and os.path.exists("/usr/bin/python3"):
        asked = asyncio.run(_checks())
        found.append(row("login check, asked and answered", statistics.median(asked), "ms", 50))
    return found


def _rules() -> Rules:
    return compiled(head(zone="UTC", reset=None) + child('ending = "logout"\n', accounts=[ACCOUNT]))


async def _logins() -> list[float]:
    """Seconds from a new session to the call that ends it, at any moment between two ticks."""
    uid, lock = pwd.getpwnam(ACCOUNT).pw_uid, Grant(id="l", child="mia", kind="lock", given=0, by="ana")
    ended = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), machine_id="bench")
        async with private_bus(Path(folder)) as address:
            double = LogindDouble(address)
            await double.open()
            host = LinuxHost(bus_address=address)
            locked = engine(_rules(), lambda: (lock,))
            loops: list[Loop] = []
            host.watch([ACCOUNT])
            await host.open(lambda: loops[0].wake() if loops else None)
            loops.append(Loop(host, locked, store, Unsupervised(), push=lambda _: None, changed=lambda: None))
            running = asyncio.create_task(loops[0].run())
            await loops[0].ready.wait()
            for number in range(LOGINS):
                await asyncio.sleep(0.6 + number * 0.13)
                begun = time.perf_counter()
                double.add(f"b{number}", uid, ACCOUNT)
                while double.calls.count((f"b{number}", "Terminate")) == 0:
                    await asyncio.sleep(0.002)
                ended.append(time.perf_counter() - begun)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await host.close()
            double.close()
        store.close()
    return ended


async def _checks() -> list[float]:
    """Milliseconds of the whole process that PAM waits for."""

    async def answer(_: Connection, __: Body) -> Result:
        return Entrance(allowed=True)

    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "s.sock"
        text = Path(logincheck.__file__).read_text(encoding="utf-8").replace(logincheck.SOCKET, str(socket))
        script = Path(folder) / "login-check"
        script.write_text(text, encoding="utf-8")
        server = Server(socket, answer, lambda peer: Who(peer.account, "administrator"), lambda: 0)
        await server.start()
        taken = []
        for _ in range(CHECKS):
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                "/usr/bin/python3", "-IS", str(script), env={"PAM_USER": "mia"}, stdout=subprocess.DEVNULL
            )
            assert await process.wait() == 0
            taken.append((time.perf_counter() - begun) * 1000)
        await server.close()
    return taken
