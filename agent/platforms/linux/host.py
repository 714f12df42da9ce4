"""Linux behind the ``Host`` interface: composes what the other modules of this package know.

Root gives it everything; without root it watches its own account only and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import socket
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from msgspec.structs import replace

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Clock, Millis, SystemClock
from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.site import SiteLane
from agent.model.snapshot import Session, Snapshot
from agent.platforms.base import Ability, Account, Finding, Resolver, Start, let_in
from agent.platforms.linux import abilities, accounts, findings, launchers, procfs
from agent.platforms.linux.endings import Endings
from agent.platforms.linux.evidence import Evidence
from agent.platforms.linux.freezing import Freezer
from agent.platforms.linux.gating import Gating
from agent.platforms.linux.guarding import Guard, Tending
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.logind import Login, Logind
from agent.platforms.linux.logins import Logins
from agent.platforms.linux.nameservers import NameServers
from agent.platforms.linux.sessions import LOCKS_WITHIN, Fallback, fallback_id, session_of, watched
from agent.platforms.linux.sitelanes import SiteLanes
from agent.platforms.linux.standing import Standing
from agent.platforms.linux.stopping import Stopping
from agent.platforms.linux.study import Study
from agent.platforms.linux.watching import Watching

log = logging.getLogger(__name__)

_ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/subuid")
_HOUSEKEEPING: Millis = 5 * SECOND
_FIRST_PERSON, _NOBODY = 1000, 65534
_SITES_ADVICE = "Install Fairtime as a service (installer/linux/install.sh)."
_WAKE_AFTER = 0.05
"""Seconds that starts are gathered into one ``wake``: a build starts hundreds of programs a second."""


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
        self._bus_address = bus_address
        self._names: tuple[str, ...] = ()
        self._owners = accounts.Owners()
        self._identifier = Identifier()
        self._logind: Logind | None = None
        self._fallback = Fallback()
        self._standing = Standing(lambda pid, _: self._watching.recheck(pid))
        self._watching = Watching(
            self.clock, self._identifier, self._standing,
            awake=self._wake_soon, end=lambda process: self._stop(process.pid, process.started, at_once=True),
            proved=lambda told: self._gating.told(told),
        )  # fmt: skip
        self._study = Study(self._identifier, self._better)
        self._stopping = Stopping(self._watching.starts)
        self._freezer = Freezer()
        self._endings = Endings(self._stopping, self._freezer)
        self._logins = Logins()
        self._tending = Tending(guard)
        self._sites = sites
        self._site_tending = Tending(sites)
        self._name_servers = NameServers()
        self._evidence = Evidence()
        self._gating = Gating(
            gate, self._identifier, hash_of=self._study.hash_of, look=self._watching.look_after,
            rescan=self._watching.rescan, changed=self._sessions_changed,
        )  # fmt: skip
        self._wake: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._kept: Millis | None = None
        self._account_files: tuple[int, ...] = ()
        self._session_ids: frozenset[str] = frozenset()
        self._people = 0
        self._logged_in: frozenset[str] = frozenset()

    # ---- life ----------------------------------------------------------------------------------------------------

    async def open(self, wake: Callable[[], None]) -> None:
        """Read the package and menu lists (a fraction of a second), then listen to the kernel and to logind."""
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._standing.holder.open()
        await self._study.open()
        self._logind = Logind(self._sessions_changed, address=self._bus_address)
        await self._watching.open()
        self._gating.open(self._owners)
        await self._logind.open()

    async def close(self) -> None:
        """Let go of everything; may be called twice, and without ``open``."""
        self._wake = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._tending.close()
        await self._site_tending.close()
        if self._sites is not None:
            await asyncio.to_thread(self._sites.close)
        await self._gating.close()
        await self._endings.close()
        self._standing.holder.close()
        await self._stopping.close()
        self._watching.close()
        if self._logind is not None:
            await self._logind.close()
        self._evidence.close()
        await self._study.close()
        self._loop = self._logind = None

    # ---- seeing --------------------------------------------------------------------------------------------------

    def watch(self, accounts: Collection[str]) -> None:
        """Also takes ``#1234`` for a bare uid."""
        self._names = tuple(accounts)
        self._resolve()

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        self._watching.decide = decide
        self._gating.ask(self._standing.before(decide), otherwise)

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
        sessions = self._sessions(now)
        ids = frozenset(session.id for session in sessions)
        if not ids <= self._session_ids:
            self._wake_soon()
        self._session_ids = ids
        self._standing.look(now, self._watching.table.processes, self._logind)
        blind, logind = self._blind(), self._logind
        return Snapshot(
            sessions=sessions,
            processes=self._watching.table.processes,
            complete=not blind,
            degraded=(*blind, *self._degraded(), *self._tending.troubles(), *self._site_tending.troubles()),
            mended=(*self._tending.take(), *self._site_tending.take()),
            people=self._people,
            leftovers=self._endings.leftovers(logind.logins.values()) if logind and logind.present else (),
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
        for login in self._logged():
            if login.name not in found:
                administrator = accounts.is_administrator(login.name)
                found[login.name] = Account(login.name, str(login.uid), administrator)
        return tuple(found.values())

    def abilities(self) -> tuple[Ability, ...]:
        logind = self._logind
        return abilities.of(
            exec_gate=self._gating.why,
            start_events="" if self._watching.starts.open_now else self._watching.why,
            logins=self._logins.why(),
            logind="" if logind is not None and logind.present else (logind.why if logind else "Fairtime is closed."),
            freeze=self._freezer.present,
            hold=self._standing.holder.root() is not None,
            input_present=self._evidence.input.present,
            sound_present=self._evidence.sound.present,
            guarded=self._tending.present,
            names="Sites are filtered by the service of its unit only."
            if self._sites is None
            else self._sites.firewall.why,
            browsers="Sites are filtered by the service of its unit only."
            if self._sites is None
            else self._sites.browsers.why,
        )

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        found = findings.findings(children, self.abilities(), self._identifier.packages)
        return (*found, *self._gating.findings(), *(self._sites.findings() if self._sites is not None else ()))

    def machine_id(self) -> str:
        """Derived from /etc/machine-id, which machine-id(5) asks not to show itself."""
        for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid"):
            found = procfs.read(path, 256).strip()
            if found and found != b"uninitialized":
                return hmac.new(found, b"fairtime machine", hashlib.sha256).hexdigest()[:32]
        return hmac.new(socket.gethostname().encode(), b"fairtime machine", hashlib.sha256).hexdigest()[:32]

    # ---- acting --------------------------------------------------------------------------------------------------

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        self._stop(pid, started, at_once=at_once)

    def _stop(self, pid: int, started: int, *, at_once: bool) -> None:
        uid = procfs.owner(pid)
        person = self._owners.by_uid(uid) if uid is not None else None
        self._stopping.stop(pid, started, person.owns if person else _owns_nothing, at_once=at_once)

    async def end_session(self, session: str, ending: Ending) -> None:
        """A lock that is asked for a second time, three seconds after the first and without effect, is a ``HostError``;
        ``wake`` is called when the three seconds are over."""
        logind = self._logind
        if logind is None or not logind.present:
            await self._end_account(session, ending, logind.why if logind else "")
            return
        found = next((one for one, _ in watched(logind.logins.values(), self._owners) if one.id == session), None)
        if found is not None:
            await self._endings.end(logind, found, ending, self.clock.now().boot, self._look_at_locks)
        elif not await self._endings.end_outside(logind, session, ending):
            raise _no_session(session)

    async def clear(self, account: str) -> None:
        logind, person = self._logind, self._owners.people.get(account)
        if person is None:
            return
        if logind is not None and logind.present:
            await self._endings.clear(logind, person)
        else:
            await self._stop_all(account)

    async def thaw(self, account: str) -> None:
        person = self._owners.people.get(account) or accounts.person(account)
        if person is not None:
            self._freezer.thaw(person.uid)

    async def guard_logins(self, children: Collection[str]) -> None:
        await asyncio.to_thread(self._logins.keep, tuple(children))

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        if self._sites is not None:
            await asyncio.to_thread(self._sites.put, lanes)
        elif lanes:
            raise HostError("Sites cannot be filtered here: this is not the service of a PC", _SITES_ADVICE)

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        if self._sites is None:
            return None
        # here: only the one service of a PC has a resolver
        from agent.platforms.linux import resolving

        return resolving.Resolver(heard, changed)

    def name_servers(self) -> tuple[str, ...]:
        return self._name_servers()

    async def _end_account(self, session: str, ending: Ending, why: str) -> None:
        """Without logind: log out by stopping what the account runs."""
        name = next((name for name in self._owners.people if fallback_id(name) == session), None)
        if name is None or session not in self._session_ids:
            raise _no_session(session)
        if ending == "freeze" and self._freezer.present:
            self._freezer.freeze(self._owners.people[name].uid)
            return
        if ending != "logout":
            raise HostError(
                f"This PC cannot {ending} a session: {why or 'logind is not there'}",
                "Choose logout as the ending in the policy, or use a system with systemd-logind.",
            )
        await self._stop_all(name)

    async def _stop_all(self, account: str) -> None:
        self._watching.scan(self._stopping.touched())
        for process in self._watching.table.processes:
            if process.account == account:
                await self.stop(process.pid, process.started, at_once=False)

    # ---- keeping up ----------------------------------------------------------------------------------------------

    def _better(self) -> None:
        """Packages and hashes are part of who a program is."""
        self._gating.unsettle()
        self._watching.renew()

    def _housekeeping(self, now: Millis) -> None:
        if self._kept is not None and now - self._kept < _HOUSEKEEPING:
            return
        self._kept = now
        self._evidence.sound.look(now)
        files = tuple(_mtime(path) for path in _ACCOUNT_FILES)
        if files != self._account_files:
            self._account_files = files
            self._people += 1
            self._resolve()
            self._study.aside(self._repair_logins)
            if self._sites is not None:
                self._study.aside(self._sites.refresh)
        logged_in = frozenset(login.name for login in self._logged())
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
            self._endings.watch(owners)

    # ---- sessions ------------------------------------------------------------------------------------------------

    def _sessions(self, now: Millis) -> tuple[Session, ...]:
        logind = self._logind
        if logind is not None and logind.present:
            self._endings.look(self._watching.table.processes, logind.logins.values())
            frozen = self._endings.frozen()
            self._endings.keep(logind, frozen, now)
            mine = watched(logind.logins.values(), self._owners)
            seen = [
                self._evidence.of(session_of(login, name, frozen), login.uid, seated=bool(login.seat), now=now)
                for login, name in mine
            ]
            return (*seen, *self._endings.outside(frozen))
        people, still = self._owners.people, self._endings.frozen()
        found = self._fallback.sessions(
            self._owners, self._watching.table.processes, self._watching.table.on_terminal, still
        )
        return tuple(self._evidence.of(one, people[one.account].uid, seated=True, now=now) for one in found)

    def _look_at_locks(self) -> None:
        if self._loop is not None:
            self._timers["locks"] = self._loop.call_later((LOCKS_WITHIN + 100) / 1000, self._sessions_changed)

    def _logged(self) -> tuple[Login, ...]:
        """Sessions of people, not of the system's own accounts."""
        logins = () if self._logind is None else tuple(self._logind.logins.values())
        return tuple(
            login for login in logins if login.is_person and login.uid >= _FIRST_PERSON and login.uid != _NOBODY
        )

    def _sessions_changed(self) -> None:
        if self._wake is not None:
            self._wake()

    def _wake_soon(self) -> None:
        if "wake" not in self._timers and self._loop is not None:
            self._timers["wake"] = self._loop.call_later(_WAKE_AFTER, self._awaken)

    def _awaken(self) -> None:
        self._timers.pop("wake", None)
        self._sessions_changed()

    def _blind(self) -> tuple[str, ...]:
        own = os.geteuid()
        if own == 0 or all(person.uid == own for person in self._owners.people.values()):
            return ()
        return ("Programs of other accounts cannot be looked at, because the service does not run as root.",)

    def _degraded(self) -> tuple[str, ...]:
        said = list(self._gating.degraded())
        if not self._watching.told and self._gating.why:
            said.append("Program starts are found by a scan once a second, not as they happen.")
        if self._logind is None or not self._logind.present:
            said.append("Sessions are guessed from running programs, because systemd-logind cannot be reached.")
        said += (finding.title for finding in findings.of_packages(self._identifier.packages))
        return tuple(said)


def _owns_nothing(_: int) -> bool:
    return False


def _no_session(session: str) -> HostError:
    return HostError(f"There is no session {session} of a watched account", "It has probably ended already.")


def _mtime(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
