"""Linux behind the ``Host`` interface: composes what the other modules of this package know.

Root gives it everything; without root it watches its own account only and says so.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Clock, Millis, SystemClock
from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Snapshot
from agent.platforms.base import Ability, Account, Finding, Resolver, Start, let_in
from agent.platforms.linux import abilities, accounts, findings, launchers, machine, procfs
from agent.platforms.linux.freezing import Freezer
from agent.platforms.linux.gating import Gating
from agent.platforms.linux.guarding import Guard
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.logins import Logins
from agent.platforms.linux.nameservers import NameServers
from agent.platforms.linux.presence import Presence
from agent.platforms.linux.sitelanes import SiteLanes, Unfiltered
from agent.platforms.linux.standing import Standing
from agent.platforms.linux.stopping import Stopping
from agent.platforms.linux.study import Study
from agent.platforms.linux.watching import Watching
from agent.platforms.tending import Tending
from agent.platforms.waking import Waking

log = logging.getLogger(__name__)

_HOUSEKEEPING: Millis = 5 * SECOND


class LinuxHost:
    """The ``Host`` of a Linux PC.

    ``may_watch_root`` is for trials on machines where everybody is root; a service never sets it.
    ``bus_address`` names another bus than the system's, for tests.  ``guard`` keeps Fairtime's own files as they were
    installed; only the one service of a PC has one.
    ``gate`` asks for the exec gate: empty for the whole PC,
    else for what is mounted at or below these folders only; without it no program of this machine is ever made to wait.
    ``sites`` may change this PC's firewall and its browsers' rules; without it sites are not filtered.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        bus_address: str | None = None,
        may_watch_root: bool = False,
        guard: Guard | None = None,
        gate: Sequence[str] | None = None,
        sites: SiteLanes | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._may_watch_root = may_watch_root
        self._names: tuple[str, ...] = ()
        self._owners = accounts.Owners()
        self._identifier = Identifier()
        self._waking = Waking()
        self._standing = Standing(lambda pid, _: self._watching.recheck(pid))
        self._watching = Watching(
            self.clock, self._identifier, self._standing,
            awake=self._waking.soon, end=lambda process: self._stop(process.pid, process.started, at_once=True),
            proved=lambda told: self._gating.told(told),
        )  # fmt: skip
        self._study = Study(self._identifier, self._better)
        self._stopping = Stopping(self._watching.starts)
        self._freezer = Freezer()
        self._presence = Presence(
            self._watching.table, self._stopping, self._freezer, self._waking,
            stop_all=self._stop_all, address=bus_address,
        )  # fmt: skip
        self._logins = Logins()
        self._tending = Tending(guard)
        self._sites: SiteLanes | Unfiltered = sites or Unfiltered()
        self._site_tending = Tending(self._sites)
        self._name_servers = NameServers()
        self._gating = Gating(
            gate, self._identifier, hash_of=self._study.hash_of, look=self._watching.look_after,
            rescan=self._watching.rescan, changed=self._waking.now,
        )  # fmt: skip
        self._kept: Millis | None = None
        self._account_files = machine.AccountFiles()
        self._people = 0
        self._logged_in: frozenset[str] = frozenset()

    # ---- life ----------------------------------------------------------------------------------------------------

    async def open(self, wake: Callable[[], None]) -> None:
        """Read the package and menu lists (a fraction of a second), then listen to the kernel and to logind."""
        self._waking.open(wake)
        self._standing.holder.open()
        await self._study.open()
        await self._watching.open()
        self._gating.open(self._owners)
        await self._presence.open()

    async def close(self) -> None:
        """Let go of everything; may be called twice, and without ``open``."""
        self._waking.close()
        await self._tending.close()
        await self._site_tending.close()
        await asyncio.to_thread(self._sites.close)
        await self._gating.close()
        await self._presence.close()
        self._standing.holder.close()
        await self._stopping.close()
        self._watching.close()
        await self._study.close()

    # ---- seeing --------------------------------------------------------------------------------------------------

    def watch(self, accounts: Collection[str]) -> None:
        """Also takes ``#1234`` for a bare uid."""
        self._names = tuple(accounts)
        self._resolve()

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        self._watching.decide = decide
        self._gating.ask(self._standing.before(decide), otherwise)

    async def in_place(self) -> None:
        """The exec gate, where one is asked for."""
        await self._gating.in_place()

    def unsettle(self) -> None:
        """Only the exec gate remembers answers; events are asked about each time."""
        self._gating.unsettle()

    async def hold(self, pid: int, started: int) -> None:
        self._standing.hold(pid, started)

    async def release(self, pid: int, started: int) -> None:
        self._standing.release(pid, started)

    async def observe(self) -> Snapshot:
        now = self.clock.now().boot
        self._tending.tend(now)
        self._site_tending.tend(now)
        self._housekeeping(now)
        self._watching.scan(self._stopping.touched())
        sessions = self._presence.sessions(now)
        self._standing.look(now, self._watching.table.processes, self._presence.logind)
        blind = machine.blind(self._owners.people.values())
        return Snapshot(
            sessions=sessions,
            processes=self._watching.table.processes,
            complete=not blind,
            degraded=(*blind, *self._degraded(), *self._tending.troubles(), *self._site_tending.troubles()),
            mended=(*self._tending.take(), *self._site_tending.take()),
            people=self._people,
            leftovers=self._presence.leftovers(),
            held=self._standing.held,
        )

    def identify(self, path: str) -> Process | None:
        """``path`` may also be a command name; the result carries the file's SHA-256."""
        found = launchers.which(path) or (path if path.startswith("/") else "")
        person = next(iter(self._owners.people.values()), None) or accounts.Person("", 65534, frozenset({65534}))
        if not self._identifier.packages.ready:
            self._study.build()
        program = self._identifier.file(found, person) if found else None
        if program is None:
            return None
        program = replace(program, sha256=self._identifier.hashes.of(program.path))
        return Process(pid=0, started=0, parent=0, account=person.name, program=program)

    def accounts(self) -> tuple[Account, ...]:
        """Also whoever is logged in and stands in no list that can be read through: accounts of a network, say."""
        found = {account.name: account for account in accounts.people()}
        for login in self._presence.logged():
            if login.name not in found:
                administrator = accounts.is_administrator(login.name)
                found[login.name] = Account(login.name, str(login.uid), administrator)
        return tuple(found.values())

    def abilities(self) -> tuple[Ability, ...]:
        return abilities.of(
            exec_gate=self._gating.why,
            start_events="" if self._watching.starts.open_now else self._watching.why,
            logins=self._logins.why(),
            logind=self._presence.why,
            freeze=self._freezer.present,
            hold=self._standing.holder.root() is not None,
            input_present=self._presence.evidence.input.present,
            sound_present=self._presence.evidence.sound.present,
            guarded=self._tending.present,
            names=self._sites.names_why,
            browsers=self._sites.browsers_why,
        )

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        found = findings.findings(children, self.abilities(), self._identifier.packages)
        return (*found, *self._gating.findings(), *self._sites.findings())

    def machine_id(self) -> str:
        return machine.machine_id()

    # ---- acting --------------------------------------------------------------------------------------------------

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        self._stop(pid, started, at_once=at_once)

    def _stop(self, pid: int, started: int, *, at_once: bool) -> None:
        uid = procfs.owner(pid)
        person = self._owners.by_uid(uid) if uid is not None else None
        self._stopping.stop(pid, started, person.owns if person else _owns_nothing, at_once=at_once)

    async def end_session(self, session: str, ending: Ending) -> None:
        await self._presence.end(session, ending, self.clock.now().boot)

    async def clear(self, account: str) -> None:
        await self._presence.clear(account)

    async def thaw(self, account: str) -> None:
        person = self._owners.people.get(account) or accounts.person(account)
        if person is not None:
            self._freezer.thaw(person.uid)

    async def guard_logins(self, children: Collection[str]) -> None:
        await asyncio.to_thread(self._logins.keep, tuple(children))

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        """Nothing: the exec gate and the kernel's events ask about each program."""

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        await asyncio.to_thread(self._sites.put, lanes)

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        return self._sites.resolver(heard, changed)

    def name_servers(self) -> tuple[str, ...]:
        return self._name_servers()

    def _stop_all(self, account: str) -> None:
        self._watching.scan(self._stopping.touched())
        for process in self._watching.table.processes:
            if process.account == account:
                self._stop(process.pid, process.started, at_once=False)

    # ---- keeping up ----------------------------------------------------------------------------------------------

    def _better(self) -> None:
        """Packages and hashes are part of who a program is."""
        self._gating.unsettle()
        self._watching.renew()

    def _housekeeping(self, now: Millis) -> None:
        if self._kept is not None and now - self._kept < _HOUSEKEEPING:
            return
        self._kept = now
        self._presence.evidence.sound.look(now)
        if self._account_files.changed():
            self._people += 1
            self._resolve()
            self._study.aside(self._repair_logins)
            self._study.aside(self._sites.refresh)
        logged_in = frozenset(login.name for login in self._presence.logged())
        if logged_in != self._logged_in:
            self._logged_in = logged_in
            self._people += 1
        self._study.refresh()

    def _repair_logins(self) -> None:
        try:
            self._logins.repair()
        except HostError as error:
            log.warning("%s", error)

    def _resolve(self) -> None:
        owners = accounts.owners(self._names, may_include_root=self._may_watch_root)
        if owners != self._owners:
            self._owners = owners
            self._watching.watch(owners)
            self._standing.owners = owners
            self._gating.watch(owners)
            self._presence.watch(owners)

    def _degraded(self) -> tuple[str, ...]:
        said = list(self._gating.degraded())
        if not self._watching.told and self._gating.why:
            said.append("Program starts are found by a scan once a second, not as they happen.")
        if self._presence.why:
            said.append("Sessions are guessed from running programs, because systemd-logind cannot be reached.")
        said += (finding.title for finding in findings.of_packages(self._identifier.packages))
        return tuple(said)


def _owns_nothing(_: int) -> bool:
    return False
