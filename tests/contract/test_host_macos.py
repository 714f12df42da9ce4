"""The Mac's host keeps the host's promises: real processes, through psutil, and recorded answers for the Mac's commands.

No Mac is here: what is shown is that the host does right by what a Mac is documented to say.
"""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

if sys.platform != "linux":
    pytest.skip("the contract's programs are started under other accounts by Linux's tools", allow_module_level=True)

from agent.errors import HostError
from agent.model.site import SiteLane, SitePlan
from agent.platforms.base import Capability
from agent.platforms.macos.commands import Told
from agent.platforms.macos.endings import Endings
from agent.platforms.macos.host import MacHost
from agent.platforms.macos.profiles import SHOW, SiteProfiles
from tests.contract.host_contract import HostContract, Key, Rig, session_of, until_gone, until_seen
from tests.contract.mac_double import MacDouble
from tests.contract.test_host_linux import RealRig, rigged


class MacRig(RealRig):
    """Programs are real; a process's start is what psutil tells."""

    double: MacDouble

    async def login(self, account: str) -> str:
        return self.double.login(self._uids[account], account)

    async def start(self, account: str, name: str, *, stubborn: bool = False, offspring: int = 0) -> tuple[Key, ...]:
        keys = await super().start(account, name, stubborn=stubborn, offspring=offspring)
        return tuple((pid, _started(pid)) for pid, _ in keys)

    def alive(self, key: Key) -> bool:
        for process in self._started:
            process.poll()
        return _started(key[0]) == key[1] and psutil.Process(key[0]).status() != psutil.STATUS_ZOMBIE

    def still(self, key: Key) -> bool:
        return self.alive(key) and psutil.Process(key[0]).status() == psutil.STATUS_STOPPED


def _started(pid: int) -> int:
    try:
        return round(psutil.Process(pid).create_time() * 1000)
    except psutil.NoSuchProcess:
        return 0


async def mac(folder: Path, *, locks: bool) -> AsyncIterator[MacRig]:
    double = MacDouble()
    double.said[SHOW] = Told(0, plistlib.dumps({"_computerlevel": []}))
    host = MacHost(
        double, sites=SiteProfiles(double, folder / "profiles"), endings=Endings(double, there=lambda _: locks)
    )
    async for rig in rigged(host, MacRig):
        rig.double = double
        yield rig


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="starts programs under other accounts, which needs root")


@pytest.mark.root
@needs_root
class TestMacHost(HostContract):
    """A Mac of today, which cannot lock."""

    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[Rig]:
        async for rig in mac(tmp_path, locks=False):
            yield rig

    async def test_what_no_mac_does_is_named(self, opened: Rig) -> None:
        absent = {one.capability for one in opened.host.abilities() if not one.present}
        assert absent >= {Capability.EXEC_GATE, Capability.START_EVENTS, Capability.LOGIN, Capability.FREEZE}
        assert Capability.LOCK in absent and Capability.LOGOUT not in absent
        assert (await opened.host.observe()).degraded

    async def test_a_logout_ends_what_the_account_runs(self, opened: MacRig) -> None:
        session = await opened.login(opened.child)
        await session_of(opened, session)
        keys = await opened.start(opened.child, "game", stubborn=True, offspring=1)
        await until_seen(opened, keys[0])
        await opened.host.end_session(session, "logout")
        assert ("/bin/launchctl", "bootout", f"gui/{opened._uids[opened.child]}") in opened.double.asked
        assert await until_gone(opened, keys, within=8_000)

    async def test_what_an_account_left_behind_is_told_and_cleared(self, opened: MacRig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        assert (await opened.host.observe()).leftovers == (opened.child,)
        await opened.host.clear(opened.child)
        assert ("/bin/launchctl", "bootout", f"user/{opened._uids[opened.child]}") in opened.double.asked
        assert await until_gone(opened, (key,), within=8_000)

    async def test_what_lets_itself_go_on_is_stopped_again(self, opened: MacRig) -> None:
        (key,) = await opened.start(opened.child, "game")
        await until_seen(opened, key)
        await opened.host.hold(*key)
        assert opened.still(key)
        psutil.Process(key[0]).resume()
        for _ in range(50):
            await opened.pass_time(100)
            if opened.still(key):
                return
        raise AssertionError("it went on")

    async def test_what_is_held_ends_with_the_host(self, opened: MacRig) -> None:
        (key,) = await opened.start(opened.child, "game")
        await until_seen(opened, key)
        await opened.host.hold(*key)
        await opened.host.close()
        assert await until_gone(opened, (key,), within=2_000)

    async def test_the_profile_is_written_and_waited_for(self, opened: MacRig, tmp_path: Path) -> None:
        lane = SiteLane(plan=SitePlan(child="mia"), accounts=("mia",), dns_port=0, page_port=0)
        with pytest.raises(HostError) as caught:
            await opened.host.put_sites((lane,))
        assert "not installed for mia" in caught.value.advice
        assert (tmp_path / "profiles" / "mia.mobileconfig").stat().st_mode & 0o777 == 0o644


@pytest.mark.root
@needs_root
class TestOldMacHost(HostContract):
    """A Mac that still has CGSession."""

    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[Rig]:
        async for rig in mac(tmp_path, locks=True):
            yield rig
