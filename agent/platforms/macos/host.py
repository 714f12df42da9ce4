"""The host of a Mac: processes by looking once a second, sessions from the I/O Registry, endings through launchd."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection

import psutil

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos asks for POSIX processes")

from agent.clock import SECOND, Clock, Millis
from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Session, Snapshot
from agent.platforms.base import Ability, Account, Finding, Resolver, Start, let_in
from agent.platforms.macos import abilities, accounts, findings, machine
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.clock import clock
from agent.platforms.macos.commands import Run, run
from agent.platforms.macos.endings import Endings
from agent.platforms.macos.holding import Holding
from agent.platforms.macos.identity import SYSTEM, Identifier
from agent.platforms.macos.processes import GONE, ProcessTable
from agent.platforms.macos.profiles import SiteProfiles
from agent.platforms.macos.sessions import Sessions
from agent.platforms.macos.stopping import Key, Stopping
from agent.platforms.macos.trees import Tree
from agent.platforms.waking import Waking

log = logging.getLogger(__name__)

_PEOPLE_EVERY: Millis = 10 * SECOND


class MacHost:
    """The ``Host`` of a Mac.  ``ask`` runs the system's commands.  ``sites`` may write profiles; without it sites are not
    filtered.  ``may_watch_root`` is for trials on machines where everybody is root; a service never sets it."""

    def __init__(
        self,
        ask: Run = run,
        *,
        sites: SiteProfiles | None = None,
        endings: Endings | None = None,
        may_watch_root: bool = False,
    ) -> None:
        self.clock: Clock = clock(ask)
        self._ask = ask
        self._may_watch_root = may_watch_root
        self._names: tuple[str, ...] = ()
        self._owners: dict[int, Person] = {}
        self._identifier = Identifier(ask)
        self._table = ProcessTable(self._identifier.running)
        self._sessions = Sessions(ask)
        self._endings = endings or Endings(ask)
        self._sites = sites
        self._waking = Waking()
        self._stopping = Stopping()
        self._holding = Holding()
        self._decide: Callable[[Process], Start] | None = None
        self._baseline = True
        self._looked: Millis | None = None
        self._accounts: tuple[Account, ...] = ()
        self._people = 0

    # ---- life ----------------------------------------------------------------------------------------------------

    async def open(self, wake: Callable[[], None]) -> None:
        """Look once, so that what runs already is known."""
        self._waking.open(wake)
        await self._scan()

    async def close(self) -> None:
        """Let go of everything; may be called twice, and without ``open``."""
        self._waking.close()
        await self._holding.close()
        await self._stopping.close()

    # ---- seeing --------------------------------------------------------------------------------------------------

    def watch(self, accounts: Collection[str]) -> None:
        """Also takes ``#1234`` for a bare uid."""
        self._names = tuple(accounts)
        self._resolve()

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        self._decide = decide

    async def in_place(self) -> None:
        """At once: nothing is asked about before it runs."""

    def unsettle(self) -> None:
        """Nothing is remembered: each new program is asked about."""

    async def observe(self) -> Snapshot:
        now = self.clock.now().boot
        self._look_at_people(now)
        if self._sessions.due(now) and await asyncio.to_thread(self._sessions.look, now):
            self._waking.soon()
        if self._sites is not None and self._sites.due(now):
            await asyncio.to_thread(self._sites.look, now)
        await self._scan()
        sessions = self._sessions.of(self._owners)
        processes = self._table.processes
        return Snapshot(
            sessions=sessions,
            processes=processes,
            complete=not self._table.hidden,
            degraded=tuple(self._degraded()),
            people=self._people,
            leftovers=_leftovers(sessions, processes),
            held=self._holding.held,
        )

    def identify(self, path: str) -> Process | None:
        person = next(iter(self._owners.values()), Person("", 2**32 - 2, frozenset()))
        program = self._identifier.file(path, person)
        if program is None:
            return None
        return Process(pid=0, started=0, parent=0, account=person.name, program=program)

    def accounts(self) -> tuple[Account, ...]:
        return accounts.people()

    def abilities(self) -> tuple[Ability, ...]:
        sites = self._sites.browsers_why if self._sites is not None else "Sites are not filtered by this service."
        return abilities.of(
            sessions=self._sessions.why, idle=self._sessions.idle_why, locks=self._endings.locks, browsers=sites,
            hidden=self._table.hidden, supervised=machine.supervised(),
        )  # fmt: skip

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        return findings.findings(children, self.abilities(), self._ask)

    def machine_id(self) -> str:
        return machine.machine_id(self._ask)

    # ---- acting --------------------------------------------------------------------------------------------------

    async def hold(self, pid: int, started: int) -> None:
        tree = self._tree(pid, started)
        if tree is not None:
            self._holding.hold((pid, started), tree)

    async def release(self, pid: int, started: int) -> None:
        self._holding.release((pid, started))

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        self._stop(pid, started, at_once=at_once)

    async def end_session(self, session: str, ending: Ending) -> None:
        login = next((one for one in self._sessions.logins if one.id == session and one.uid in self._owners), None)
        account = next((one.account for one in self._sessions.of(self._owners) if one.id == session), None)
        if account is None:
            raise HostError(f"There is no session {session}", "It has probably ended already.")
        if ending == "freeze":
            raise HostError("This Mac cannot freeze a session", "Choose logout as the ending in the policy.")
        if ending == "lock":
            if login is None:
                raise HostError("A session from another computer cannot be locked", "It is logged out instead.")
            await asyncio.to_thread(self._endings.lock, login.uid)
        else:
            try:
                if login is not None:
                    await asyncio.to_thread(self._endings.log_out, login.uid)
            finally:
                await self._stop_all(account)
        self._sessions.forget()

    async def clear(self, account: str) -> None:
        if any(one.account == account for one in self._sessions.of(self._owners)):
            return
        uid = next((uid for uid, person in self._owners.items() if person.name == account), None)
        if uid is None:
            return
        try:
            await asyncio.to_thread(self._endings.clear, uid)
        finally:
            await self._stop_all(account)

    async def thaw(self, account: str) -> None:
        """Nothing is ever frozen here."""

    async def guard_logins(self, children: Collection[str]) -> None:
        if children:
            raise HostError(
                "A Mac's login window asks nobody whether a child may log in",
                "A login without time left is ended right after it began.",
            )

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        """Nothing: each new program is asked about when it is seen."""

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        if self._sites is not None:
            await asyncio.to_thread(self._sites.put, lanes)
        elif lanes:
            raise HostError("Sites are not filtered by this service", "The installed service writes profiles for them.")

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        return None

    def name_servers(self) -> tuple[str, ...]:
        return machine.name_servers(self._ask)

    # ---- inside --------------------------------------------------------------------------------------------------

    async def _scan(self) -> None:
        images = await asyncio.to_thread(self._table.scan, self.clock.now().boot)
        if self._baseline:
            # What ran before the watch began was not started under it: the tick's ladder deals with it.
            self._baseline = False
            return
        for process in images:
            answer = self._decide(process) if self._decide is not None else Start.ALLOW
            try:
                if answer is Start.DENY:
                    self._stop(process.pid, process.started, at_once=True)
                elif answer is Start.HOLD:
                    await self.hold(process.pid, process.started)
            except HostError as error:
                log.warning("%s", error)

    def _stop(self, pid: int, started: int, *, at_once: bool) -> None:
        tree = self._tree(pid, started)
        if tree is None:
            return
        key: Key = (pid, started)
        self._holding.forget(key)
        self._stopping.stop(key, tree, at_once=at_once)

    async def _stop_all(self, account: str) -> None:
        await self._scan()
        for process in self._table.processes:
            if process.account == account:
                self._stop(process.pid, process.started, at_once=False)

    def _tree(self, pid: int, started: int) -> Tree | None:
        """The tree of this very process; ``None`` when it is gone, ``HostError`` when it is nobody's of ours."""
        if self._table.started(pid) != started:
            return None
        try:
            handle = psutil.Process(pid)
            uid = handle.uids().real
            if handle.status() == psutil.STATUS_ZOMBIE:
                return None
        except GONE:
            return None
        if pid <= 1 or uid not in self._owners:
            raise HostError(
                f"Process {pid} does not belong to a watched account, so it is left alone",
                "Only programs of children's accounts are ever stopped.",
            )
        return Tree(handle, uid)

    def _look_at_people(self, now: Millis) -> None:
        if self._looked is not None and now - self._looked < _PEOPLE_EVERY:
            return
        self._looked = now
        found = accounts.people()
        if found != self._accounts:
            self._accounts = found
            self._people += 1
            self._resolve()

    def _resolve(self) -> None:
        found = accounts.owners(self._names, may_include_root=self._may_watch_root)
        if found != self._owners:
            self._owners = found
            self._table.watch(found)
            self._baseline = True

    def _degraded(self) -> list[str]:
        said = ["Program starts are found by a look once a second, not as they happen."]
        if self._table.hidden:
            said.append("Programs of other accounts cannot be looked at, because the service does not run as root.")
        if self._sessions.why:
            said.append(f"Sessions cannot be seen. {self._sessions.why}")
        return said


def _leftovers(sessions: Collection[Session], processes: Collection[Process]) -> tuple[str, ...]:
    """Accounts that run more than the system's own agents, though nobody of them sits here."""
    seated = {session.account for session in sessions}
    found = {one.account for one in processes if one.account not in seated and not one.program.path.startswith(SYSTEM)}
    return tuple(sorted(found))
