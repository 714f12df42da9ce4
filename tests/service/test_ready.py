"""When the service says that it is ready: at boot no session begins before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.platforms.base import Capability
from agent.platforms.fake import FakeHost
from agent.service import app
from agent.service.app import Service, Settings

NO_GATE = "The exec gate has not started yet."


class Systemd:
    """Hears what it is told."""

    interval = None

    def __init__(self) -> None:
        self.status = ""
        self.is_ready = asyncio.Event()
        self.signs = 0

    def ready(self, status: str = "") -> bool:
        self.is_ready.set()
        return self.alive(status)

    def alive(self, status: str = "") -> bool:
        self.signs += 1
        self.status = status or self.status
        return True

    def stopping(self) -> bool:
        return True


@asynccontextmanager
async def serving(state: Path, host: FakeHost) -> AsyncIterator[Systemd]:
    systemd = Systemd()
    service = Service(Settings(state, state / "s.sock"), host, systemd)
    task = asyncio.create_task(service.run())
    try:
        async with asyncio.timeout(30):
            yield systemd
    finally:
        service.stop()
        await task


async def signs(systemd: Systemd, number: int) -> None:
    """Until it has lived so much longer."""
    until = systemd.signs + number
    while systemd.signs < until:
        await asyncio.sleep(0.02)


async def test_where_nothing_has_to_begin_it_is_ready_after_its_first_tick(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeHost()) as systemd:
        await systemd.is_ready.wait()
        assert systemd.status == "watching"
        assert systemd.signs >= 2, "a tick came first"


async def test_it_waits_for_the_gate(tmp_path: Path) -> None:
    host = FakeHost(placing=asyncio.Event())
    async with serving(tmp_path, host) as systemd:
        await signs(systemd, 1)
        host._woken()
        await signs(systemd, 1)
        assert not systemd.is_ready.is_set(), "limits are in force, and programs would start unasked"
        assert host.placing is not None
        host.placing.set()
        await systemd.is_ready.wait()
        assert systemd.status == "watching"


async def test_a_gate_that_does_not_come_is_named_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PLACED_WITHIN", 0.3)
    host = FakeHost(placing=asyncio.Event())
    host.missing[Capability.EXEC_GATE] = NO_GATE
    async with serving(tmp_path, host) as systemd:
        await systemd.is_ready.wait()
        assert systemd.status == f"watching; {NO_GATE}"
        host.missing.clear()
        host._woken()
        while systemd.status != "watching":
            await asyncio.sleep(0.02)


async def test_a_service_that_is_stopped_meanwhile_ends(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeHost(placing=asyncio.Event())) as systemd:
        await signs(systemd, 1)
    assert not systemd.is_ready.is_set()
