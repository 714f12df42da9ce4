"""Windows behind the ``Host`` interface: composes what the other modules of this package know."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection
from functools import partial

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.host is for Windows")

from msgspec.structs import replace

from agent.clock import SECOND, Clock, Millis
from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Snapshot
from agent.platforms.base import Ability, Account, Finding, Resolver, Start, let_in
from agent.platforms.tending import Tending
from agent.platforms.waking import Waking
from agent.platforms.windows import (
    abilities,
    accounts,
    evidence,
    handles,
    health,
    lanes,
    machine,
    nrpt,
    privileges,
    tokens,
)
from agent.platforms.windows.accounts import Owners, Person
from agent.platforms.windows.appevents import Denied
from agent.platforms.windows.appwatch import AppWatch
from agent.platforms.windows.clock import WindowsClock
from agent.platforms.windows.evidence import Evidence
from agent.platforms.windows.handles import Handle
from agent.platforms.windows.holding import Holder
from agent.platforms.windows.identity import Identifier
from agent.platforms.windows.presence import Presence
from agent.platforms.windows.processes import ProcessTable, SidOf
from agent.platforms.windows.rights import ANYBODY
from agent.platforms.windows.sessions import Sessions
from agent.platforms.windows.stopping import Stopping
from agent.platforms.windows.watching import Watching

log = logging.getLogger(__name__)

_HOUSEKEEPING: Millis = 5 * SECOND
_ACCOUNTS: Millis = 60 * SECOND
_NOT_THE_SERVICE = "This is not the PC's one Fairtime service, so it changes no setting of Windows."


class WindowsHost:
    """The ``Host`` of a Windows PC.

    ``guarded``: it may change the PC's settings (browsers, firewall, AppLocker); for the one service of a PC.  ``sid_of``, ``person_of``
    and ``system`` stand for Windows' word on processes, accounts and sessions, for tests.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        guarded: bool = False,
        sid_of: SidOf = Handle.sid,
        person_of: Callable[[str], Person | None] = accounts.person,
        system: Sessions | None = None,
    ) -> None:
        self.clock: Clock = clock or WindowsClock()
        self._sid_of = sid_of
        self._person_of = person_of
        self._names: tuple[str, ...] = ()
        self._owners = Owners()
        self._identifier = Identifier()
        self._identifier.later = self._study
        self._studying: dict[str, asyncio.Future[Evidence]] = {}
        self._waking = Waking()
        self._table = ProcessTable(self._identifier.running, sid_of)
        self._watching = Watching(
            self._table, awake=self._waking.soon,
            end=lambda process: self._stop(process.pid, process.started, at_once=True),
            hold=lambda process: self._holder.hold(process.key),
        )  # fmt: skip
        self._holder = Holder(self._table.descends, self._is_ours)
        self._stopping = Stopping(self._table.line)
        self._presence = Presence(self._table, self._waking, self._stop_all, system)
        self._sites = lanes.sites(self._account_sid) if guarded else None
        self._programs = (
            lanes.programs(self._account_sid, self._path_of, self._identifier.publishers) if guarded else None
        )
        self._tending = Tending(self._programs)
        self._site_tending = Tending(self._sites)
        self._denials = AppWatch(self._denied)
        self._stale = False
        """More is known of programs or accounts than when the lanes were put in force."""
        self._refreshing: asyncio.Future[None] | None = None
        self._kept: Millis | None = None
        self._resolved: Millis | None = None
        self._people = 0
        self._privileged = tokens.own().privileged
        self._logged_in: frozenset[str] = frozenset()
        self._seen_hashes: dict[str, str] = {}

    # ---- life ----------------------------------------------------------------------------------------------------

    async def open(self, wake: Callable[[], None]) -> None:
        """Listen to Windows, then look."""
        try:
            privileges.enable(privileges.DEBUG)
        except OSError as error:
            log.warning("programs may forbid this service to open them: %s", error.strerror)
        self._waking.open(wake)
        self._watching.open()
        self._presence.open()
        if self._programs is not None:
            self._denials.open(asyncio.get_running_loop())

    async def close(self) -> None:
        """Let go of everything; may be called twice, and without ``open``."""
        self._waking.close()
        self._denials.close()
        await self._tending.close()
        await self._site_tending.close()
        if self._sites is not None:
            self._sites.close()
        self._holder.close()
        await self._stopping.close()
        await asyncio.to_thread(self._presence.close)
        self._watching.close()
        pending, self._studying = self._studying, {}
        await asyncio.gather(*pending.values(), *([self._refreshing] if self._refreshing is not None else []))

    # ---- seeing --------------------------------------------------------------------------------------------------

    def watch(self, accounts: Collection[str]) -> None:
        self._names = tuple(accounts)
        self._resolve()

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        self._watching.decide = decide

    async def in_place(self) -> None:
        """At once: there is no gate to wait for."""

    def unsettle(self) -> None:
        """Nothing is remembered: each start is asked about."""

    async def hold(self, pid: int, started: int) -> None:
        if self._may_touch(pid, started):
            self._holder.hold((pid, started))

    async def release(self, pid: int, started: int) -> None:
        self._holder.release((pid, started))

    async def observe(self) -> Snapshot:
        now = self.clock.now().boot
        self._tending.tend(now)
        self._site_tending.tend(now)
        self._housekeeping(now)
        self._watching.scan()
        blind = self._blind()
        return Snapshot(
            sessions=self._presence.sessions(now),
            processes=self._table.processes,
            complete=not blind,
            degraded=(*blind, *self._degraded(), *self._tending.troubles(), *self._site_tending.troubles()),
            mended=(*self._tending.take(), *self._site_tending.take()),
            people=self._people,
            leftovers=self._presence.leftovers(),
            held=self._holder.held,
        )

    def identify(self, path: str) -> Process | None:
        person = next(iter(self._owners.people.values()), None) or Person("", "S-1-1-0", frozenset(ANYBODY))
        program = self._identifier.file(path, person)
        if program is None:
            return None
        self._seen_hashes[program.sha256] = program.path
        return Process(pid=0, started=0, parent=0, account=person.name, program=program)

    def accounts(self) -> tuple[Account, ...]:
        """Also whoever is logged in and is no account of this PC's own: one of a school's domain, say."""
        found = {account.uid: account for account in accounts.people()}
        for sid in self._presence.sids() - found.keys():
            account = accounts.of_sid(sid)
            if account is not None:
                found[sid] = account
        return tuple(found.values())

    def abilities(self) -> tuple[Ability, ...]:
        sites = self._sites
        return abilities.of(
            start_events=self._watching.starts.why,
            sessions=self._presence.why,
            programs=_NOT_THE_SERVICE if self._programs is None else self._programs.why,
            names=_NOT_THE_SERVICE if sites is None else nrpt.NOT_FILTERED,
            browsers=_NOT_THE_SERVICE if sites is None else sites.browsers.why,
        )

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        sids = {child: sid for child in children if (sid := self._account_sid(child)) is not None}
        administrators = [child for child in sids if accounts.is_administrator(child)]
        known = lanes.facts(sids, administrators, [child for child in children if child not in sids])
        found = list(health.findings(children, known))
        if self._sites is not None:
            found += self._sites.findings()
        if self._programs is not None:
            found += self._programs.findings()
        return tuple(found)

    def machine_id(self) -> str:
        return machine.machine_id()

    # ---- acting --------------------------------------------------------------------------------------------------

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        self._stop(pid, started, at_once=at_once)

    def _stop(self, pid: int, started: int, *, at_once: bool) -> None:
        self._stopping.stop(pid, started, self._owns, at_once=at_once)

    async def end_session(self, session: str, ending: Ending) -> None:
        self._presence.end(session, ending)

    async def clear(self, account: str) -> None:
        if account in self._owners.people:
            self._stop_all(account)

    async def thaw(self, account: str) -> None:
        """Nothing: no session is ever frozen."""

    async def guard_logins(self, children: Collection[str]) -> None:
        """``HostError``: Windows asks nobody of ours before a login."""
        if children:
            raise HostError(
                "Windows does not ask Fairtime before a login",
                "A login without time left is ended within seconds; nothing has to be done.",
            )

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        if self._programs is not None:
            await asyncio.to_thread(self._programs.put, floors)

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        if self._sites is not None:
            await asyncio.to_thread(self._sites.put, lanes)
        elif lanes:
            raise HostError("Sites are not filtered here", _NOT_THE_SERVICE)

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        return None if self._sites is None else self._sites.resolver(changed)

    def name_servers(self) -> tuple[str, ...]:
        return () if self._sites is None else self._sites.name_servers()

    # ---- whose it is ---------------------------------------------------------------------------------------------

    def _owns(self, handle: Handle) -> bool:
        try:
            return self._sid_of(handle) in self._owners.by_sid
        except OSError:
            return False

    def _is_ours(self, key: tuple[int, int]) -> bool:
        with handles.handled(*key) as handle:
            return handle is not None and self._owns(handle)

    def _may_touch(self, pid: int, started: int) -> bool:
        """Whether this process of a watched account runs; ``HostError`` for another's."""
        handle = handles.opened(pid, started, handles.SYNCHRONIZE)
        if handle is None:
            return False
        with handle:
            if handle.ended():
                return False
            if not self._owns(handle):
                raise HostError(f"Process {pid} does not belong to a watched account", "It is left alone.")
        return True

    def _stop_all(self, account: str) -> None:
        self._watching.scan()
        for process in self._table.processes:
            if process.account == account:
                self._stop(process.pid, process.started, at_once=False)

    def _account_sid(self, name: str) -> str | None:
        person = self._owners.people.get(name) or self._person_of(name)
        return None if person is None else person.sid

    # ---- keeping up ----------------------------------------------------------------------------------------------

    def _housekeeping(self, now: Millis) -> None:
        if self._kept is not None and now - self._kept < _HOUSEKEEPING:
            return
        self._kept = now
        self._refresh()
        self._identifier.keep(frozenset(process.program.path for process in self._table.processes))
        sids = self._presence.sids()
        if sids != self._logged_in or self._resolved is None or now - self._resolved >= _ACCOUNTS:
            if sids != self._logged_in:
                self._people += 1
            self._logged_in, self._resolved = sids, now
            self._resolve()

    def _resolve(self) -> None:
        owners = Owners.of([person for name in self._names if (person := self._person_of(name)) is not None])
        if owners != self._owners:
            self._owners = owners
            self._people += 1
            self._watching.watch(owners)
            self._presence.watch(owners)
            self._stale = True

    def _refresh(self) -> None:
        """Put the lanes in force anew, in a thread, where they may be written better than before."""
        if self._refreshing is not None:
            if not self._refreshing.done():
                return
            job, self._refreshing = self._refreshing, None
            job.result()
        if self._stale and (self._sites is not None or self._programs is not None):
            self._stale = False
            self._refreshing = asyncio.get_running_loop().run_in_executor(None, self._put_again)

    def _put_again(self) -> None:
        for lane in (self._sites, self._programs):
            if lane is not None:
                lane.refresh()

    def _study(self, path: str, digest: bool) -> None:
        if path in self._studying:
            return
        job = asyncio.get_running_loop().run_in_executor(None, partial(evidence.of_file, path, digest=digest))
        self._studying[path] = job
        job.add_done_callback(partial(self._studied, path, digest))

    def _studied(self, path: str, digest: bool, job: asyncio.Future[Evidence]) -> None:
        if self._studying.pop(path, None) is not None and not job.cancelled():
            self._identifier.learn(path, job.result(), digest)
            self._stale = True
            self._watching.renew(path)

    def _path_of(self, digest: str) -> str | None:
        """Where a file with this hash was seen."""
        for process in self._table.processes:
            if process.program.sha256 == digest:
                return process.program.path
        return self._seen_hashes.get(digest)

    def _denied(self, denied: Denied) -> None:
        """Windows did not let a program start: the service is asked why, so that the child is told."""
        person = self._owners.by_sid.get(denied.sid)
        program = self._identifier.file(denied.path, person) if person is not None else None
        if person is not None and program is not None and self._watching.decide is not None:
            program = replace(program, sha256="" if program.protected else program.sha256)
            self._watching.decide(Process(pid=denied.pid, started=0, parent=0, account=person.name, program=program))

    def _blind(self) -> tuple[str, ...]:
        if not self._table.refused or self._privileged:
            return ()
        return ("Programs of other accounts cannot be looked at, because the service does not run as the system.",)

    def _degraded(self) -> tuple[str, ...]:
        said = []
        if self._watching.starts.why:
            said.append("Program starts are found by a scan once a second, not as they happen.")
        if self._presence.why:
            said.append("Sessions are guessed from running programs, because Windows does not list them.")
        return tuple(said)
