"""A host that shows and touches nothing but the programs of one folder: for ``fairtime trial``.

Everything passes through to the real host, except: processes from elsewhere do not exist, one session is always in use,
and no session is ever ended.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec.structs import replace

from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Session, Snapshot
from agent.platforms.base import Ability, Account, Capability, Finding, Host, Resolver, Start, let_in

log = logging.getLogger(__name__)

_LEFT_OUT = "A trial leaves your session alone."


class ConfinedHost:
    """``host``, seen through the keyhole of ``folder``, for ``account``."""

    def __init__(self, host: Host, folder: Path, account: str) -> None:
        self.clock = host.clock
        self._host = host
        self._inside = os.path.normcase(folder.resolve() / "x")[:-1]
        self._account = account
        self._mine: set[tuple[int, int]] = set()

    async def open(self, wake: Callable[[], None]) -> None:
        """As the host."""
        await self._host.open(wake)

    async def close(self) -> None:
        """As the host."""
        await self._host.close()

    def watch(self, accounts: Collection[str]) -> None:
        """The one account, whatever is asked."""
        self._host.watch((self._account,))

    async def observe(self) -> Snapshot:
        """The folder's processes, and one session in use."""
        seen = await self._host.observe()
        inside = tuple(p for p in seen.processes if self._is_mine(p))
        self._mine = {p.key for p in inside}
        session = Session(id="trial", account=self._account, input_idle=0, playing=False, busy=True)
        return replace(seen, sessions=(session,), processes=inside)

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        """Decide on the folder's programs only."""
        self._host.on_start(lambda process: decide(process) if self._is_mine(process) else Start.SETTLED)

    async def in_place(self) -> None:
        """As the host."""
        await self._host.in_place()

    def unsettle(self) -> None:
        """As the host."""
        self._host.unsettle()

    async def hold(self, pid: int, started: int) -> None:
        """Hold a program of the folder."""
        if (pid, started) not in self._mine:
            raise HostError("A trial holds only programs that it started itself")
        await self._host.hold(pid, started)

    async def release(self, pid: int, started: int) -> None:
        """As the host."""
        await self._host.release(pid, started)

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        """Stop a program of the folder."""
        if (pid, started) not in self._mine:
            raise HostError("A trial stops only programs that it started itself")
        await self._host.stop(pid, started, at_once=at_once)

    async def end_session(self, session: str, ending: Ending) -> None:
        """Left out."""
        log.info("a real %s would follow now; %s", ending, _LEFT_OUT)

    async def clear(self, account: str) -> None:
        """Left out."""

    async def thaw(self, account: str) -> None:
        """Left out."""

    async def guard_logins(self, children: Collection[str]) -> None:
        """Left out."""

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        """Left out."""

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        """Left out."""

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        """Left out."""
        return None

    def name_servers(self) -> tuple[str, ...]:
        """As the host."""
        return self._host.name_servers()

    def accounts(self) -> tuple[Account, ...]:
        """As the host."""
        return self._host.accounts()

    def abilities(self) -> tuple[Ability, ...]:
        """The host's, without those that a trial leaves out."""
        out = (Capability.LOGIN, Capability.LOCK, Capability.LOGOUT, Capability.FREEZE)
        return tuple(
            Ability(a.capability, False, _LEFT_OUT) if a.capability in out else a for a in self._host.abilities()
        )

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        """That this is a trial."""
        return (Finding("trial", "note", "This is a trial", "Install Fairtime to protect this PC."),)

    def identify(self, path: str) -> Process | None:
        """As the host."""
        return self._host.identify(path)

    def machine_id(self) -> str:
        """As the host."""
        return self._host.machine_id()

    def _is_mine(self, process: Process) -> bool:
        return os.path.normcase(process.program.path).startswith(self._inside)
