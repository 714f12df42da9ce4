"""What the tests of the tray and of the uninstaller talk to in the service's place, and pictures of the display."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

if sys.platform != "win32":
    raise ImportError("tests.windows.standin is for Windows")

from PIL import Image

from agent.core.authorize import Who
from agent.errors import Refused
from agent.ipc.answers import ChildState, Done, Event, ProgramUse, Result, Status
from agent.ipc.protocol import Body, Prove, Subscribe
from agent.ipc.server import Connection, Server
from agent.model.verdict import Constraint, Notify, Verdict
from agent.platforms.windows.pipenames import SERVICE

PIN = "471100"
QUARTER = Notify(
    child="mia",
    kind="time",
    title="15 minutes left",
    text="Today's screen time ends at 17:15.",
    left=900_000,
)


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait for it; ``AssertionError`` when it takes longer."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.2)


def status(left: int) -> Status:
    """Mia's, who has this many minutes of ninety left."""
    because = "Today's screen time is 1 h 30 min."
    limit = Constraint(kind="day", rule="mia/day", left=left * 60_000, sentence=because)
    verdict = Verdict(
        child="mia", day="2026-03-02", remaining=left * 60_000, binding=limit, used_today=(90 - left) * 60_000
    )
    programs = (
        ProgramUse(program="minetest", title="Minetest", seconds=31 * 60, left=14 * 60),
        ProgramUse(program="tuxpaint", title="Tux Paint", seconds=12 * 60),
    )
    child = ChildState(
        child="mia",
        verdict=verdict,
        seconds_left=left * 60,
        sentence=because,
        budget_today=90 * 60,
        programs=programs,
        allowed=("GCompris, Tux Paint and other school programs, at any hour",),
    )
    return Status(role="child", protection="protected", policy="in force", children=(child,))


class Ear:
    """Answers on the service's own pipe, and takes this account for mia's."""

    def __init__(self) -> None:
        self.pins: list[str] = []
        self._begun = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._server = Server(Path(SERVICE), self._answer, lambda _: Who("mia", "child", "mia"), lambda: 0)
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._begun.wait(60)

    def tell(self, notice: Notify) -> None:
        self._loop.call_soon_threadsafe(self._server.push, lambda _: Event(notice=notice))

    @property
    def heard(self) -> bool:
        return bool(self._server.subscribers)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._loop.close()

    async def _serve(self) -> None:
        await self._server.start()
        self._begun.set()
        await self._stop.wait()
        await self._server.close()

    async def _answer(self, connection: Connection, body: Body) -> Result:
        if isinstance(body, Subscribe):
            connection.subscribed = True
        if isinstance(body, Prove):
            self.pins.append(body.pin)
            if body.pin != PIN:
                raise Refused("The PIN is wrong", "Try again.")
            return Done(sentence="Proven.")
        return status(42)


def picture(path: Path) -> Image.Image:
    """Of the whole display, by a Linux program that ``start`` does not wait for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    linux = path.as_posix().removeprefix(path.drive)
    taken = ["start", "/unix", "/usr/bin/import", "-window", "root", linux]
    subprocess.run(taken, check=True, stdin=subprocess.DEVNULL)
    found: list[Image.Image] = []

    def loaded() -> bool:
        with contextlib.suppress(OSError, SyntaxError), Image.open(path) as image:  # it is still being written
            found.append(image.convert("RGB"))
        return bool(found)

    until(loaded)
    return found[0]
