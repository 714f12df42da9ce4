"""The computer in memory keeps the same promises as a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.model.program import ProgramId
from agent.model.site import SiteLane, SitePlan
from agent.platforms.base import Capability
from agent.platforms.fake import FakeHost
from tests.contract.host_contract import HostContract, Key, Rig


class FakeRig:
    """A hand in the memory of a ``FakeHost``."""

    child, stranger = "mia", "somebody"

    def __init__(self) -> None:
        self.host = FakeHost()
        self.host.add_account(self.child)
        self.host.add_account(self.stranger)
        self.host.add_account("ana", administrator=True)

    async def login(self, account: str) -> str:
        return self.host.login(account).id

    async def start(self, account: str, name: str, *, stubborn: bool = False, offspring: int = 0) -> tuple[Key, ...]:
        program = self.host.install(ProgramId(name=name, path=f"/opt/{name}", protected=True))
        first = self.host.start(account, program, ignores_term=stubborn)
        if first is None:
            return ((self.host.killed[-1].pid, self.host.killed[-1].started),)
        keys, parent = [first.key], first.pid
        for _ in range(offspring):
            process = self.host.start(account, program, parent=parent, ignores_term=stubborn)
            assert process is not None
            keys.append(process.key)
            parent = process.pid
        return tuple(keys)

    async def become(self, key: Key, name: str) -> None:
        program = self.host.install(ProgramId(name=name, path=f"/opt/{name}", protected=True))
        self.host.become(key[0], program)

    def alive(self, key: Key) -> bool:
        running = self.host.running.get(key[0])
        return running is not None and running.process.started == key[1]

    def still(self, key: Key) -> bool:
        return key[0] in self.host.held

    async def pass_time(self, millis: int) -> None:
        self.host.advance(millis)
        await asyncio.sleep(0)


class TestFakeHost(HostContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        yield FakeRig()


class TestFakeHostWithoutSites(HostContract):
    """A computer that lacks a packet filter keeps every other promise."""

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        rig = FakeRig()
        rig.host.missing[Capability.SITES_DNS] = "nftables is not installed"
        yield rig


async def test_lanes_end_with_the_host() -> None:
    host = FakeRig().host
    await host.open(lambda: None)
    lane = SiteLane(plan=SitePlan(child="mia"), accounts=("mia",), dns_port=1, page_port=2)
    await host.put_sites((lane,))
    assert host.sites == (lane,)
    await host.close()
    assert host.sites == ()
