"""A whole computer in memory: accounts, sessions, processes, a clock.

It implements the real ``Host`` interface (the same contract tests run against it and against Linux), so that whole weeks
pass in a second in tests, in ``fairtime simulate`` and in what-if questions.  Nothing here knows of policies: scenario
code plays the people (``login``, ``start``, ``lock`` …), the service plays itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.clock import SECOND, FakeClock, Millis
from agent.core.floor import denies
from agent.errors import HostError
from agent.filter.control import Ask, Used
from agent.model.floor import ProgramFloor
from agent.model.policy import Ending
from agent.model.program import Process, ProgramId
from agent.model.site import SiteLane
from agent.model.snapshot import Mended, Session, SessionKind, Snapshot
from agent.platforms.base import Ability, Account, Capability, Finding, Resolver, Start, let_in
from agent.platforms.fakeresolver import FakeResolver

TERMINATE_AFTER = 2 * SECOND
KILL_AFTER = 5 * SECOND
UNLOCKABLE: tuple[SessionKind, ...] = ("tty", "remote", "unspecified")


@dataclass(slots=True)
class _Running:
    process: Process
    ignores_term: bool = False
    dying: Millis | None = None
    """Boot time at which a stop began."""
    ran: Millis = 0
    """How long it has run."""


@dataclass(slots=True)
class FakeHost:
    """The computer.  ``clock`` is steered by ``advance``; everything else by the people in the scenario."""

    clock: FakeClock = field(default_factory=FakeClock)
    missing: dict[Capability, str] = field(default_factory=dict)
    """Capabilities this computer lacks, with the reason."""
    people: dict[str, Account] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    running: dict[int, _Running] = field(default_factory=dict)
    installed: dict[str, ProgramId] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    ended: list[tuple[str, Ending]] = field(default_factory=list)
    """Every session ending that was carried out, for assertions."""
    killed: list[Process] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    """Pids that stand still until they are released."""
    lingering: set[str] = field(default_factory=set)
    """Accounts whose programs go on after a logout."""
    settled: set[tuple[str, ProgramId]] = field(default_factory=set)
    """Whose starts need not be asked about again."""
    guarded: frozenset[str] = frozenset()
    """Accounts whose logins the service is asked about."""
    sites: tuple[SiteLane, ...] = ()
    """The lanes in force."""
    floors: tuple[ProgramFloor, ...] = ()
    """What this computer denies by rules of its own."""
    servers: tuple[str, ...] = ("192.0.2.53",)
    """The name servers of this computer's network."""
    names: FakeResolver | None = None
    """The resolver, once the service has asked for one."""
    placing: asyncio.Event | None = None
    """Set once programs are asked about before they start; ``None``: there is nothing to wait for."""
    mended: list[Mended] = field(default_factory=list)
    """Own files to be reported by the next observation."""
    _watched: frozenset[str] = frozenset()
    _decide: Callable[[Process], Start] | None = None
    _wake: Callable[[], None] | None = None
    _serial: int = 1000
    _seen: tuple[Process, ...] = ()

    # ---- what people do ------------------------------------------------------------------------------------------

    def add_account(self, name: str, *, administrator: bool = False) -> Account:
        account = Account(name, str(1000 + len(self.people)), administrator, f"/home/{name}")
        self.people[name] = account
        return account

    def install(self, program: ProgramId) -> ProgramId:
        self.installed[program.path or program.name] = program
        return program

    def login(self, account: str, *, kind: SessionKind = "wayland") -> Session:
        self._serial += 1
        session = Session(id=f"s{self._serial}", account=account, kind=kind, playing=False, busy=False, input_idle=0)
        self.sessions[session.id] = session
        self._woken()
        return session

    def change(self, session: str, **changes: object) -> Session:
        """Set hints or evidence of a session, for instance ``locked_hint=True``."""
        self.sessions[session] = replace(self.sessions[session], **changes)
        self._woken()
        return self.sessions[session]

    def logout(self, session: str) -> None:
        gone = self.sessions.pop(session, None)
        if gone is not None and gone.account not in self.lingering and not self._has_session(gone.account):
            for pid in [p for p, r in self.running.items() if r.process.account == gone.account]:
                del self.running[pid]
        self._woken()

    def start(self, account: str, program: ProgramId, *, parent: int = 1, ignores_term: bool = False) -> Process | None:
        """Start a program; ``None`` when the service did not let it run."""
        self._serial += 1
        process = Process(
            pid=self._serial,
            started=self.clock.instant.boot + self._serial,
            parent=parent,
            account=account,
            program=program,
        )
        if not self._may_start(process):
            return None
        self.running[process.pid] = _Running(process, ignores_term)
        return process

    def become(self, pid: int, program: ProgramId) -> None:
        """A running program turns into another under its pid (``exec``)."""
        running = self.running[pid]
        running.process = replace(running.process, program=program)
        if not self._may_start(running.process):
            del self.running[pid]

    def quit(self, pid: int) -> None:
        self.running.pop(pid, None)

    def advance(self, millis: Millis, *, asleep: bool = False) -> None:
        """Let real time pass; programs that were asked to stop die when their time comes."""
        self.clock.advance(millis, asleep=asleep)
        now = self.clock.instant.boot
        for pid, running in list(self.running.items()):
            if pid not in self.held and not asleep and running.process.account not in self.frozen:
                running.ran += millis
            if running.dying is not None:
                patience = KILL_AFTER if running.ignores_term else 0
                if now - running.dying >= patience:
                    self.killed.append(running.process)
                    self.running.pop(pid, None)

    # ---- the Host interface --------------------------------------------------------------------------------------

    @property
    def opened(self) -> bool:
        """Between ``open`` and ``close``."""
        return self._wake is not None

    async def open(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    async def close(self) -> None:
        self._wake = None
        self.frozen.clear()
        self.sites = ()
        self._decide = None

    def watch(self, accounts: Collection[str]) -> None:
        self._watched = frozenset(accounts)

    async def observe(self) -> Snapshot:
        mended, self.mended = tuple(self.mended), []
        self.held &= self.running.keys()
        return Snapshot(
            mended=mended,
            people=hash(tuple(self.people.values())),
            sessions=tuple(
                replace(s, active=False, frozen=True) if s.account in self.frozen else s
                for s in self.sessions.values()
                if s.account in self._watched
            ),
            processes=self._processes(),
            degraded=tuple(self.missing.values()),
            leftovers=tuple(sorted(a for a in self._watched if self._runs(a) and not self._has_session(a))),
            held=frozenset(self.running[pid].process.key for pid in self.held),
        )

    def on_start(self, decide: Callable[[Process], Start], otherwise: Callable[[str], Start] = let_in) -> None:
        if Capability.START_EVENTS not in self.missing:
            self._decide = decide

    async def in_place(self) -> None:
        if self.placing is not None:
            await self.placing.wait()

    def unsettle(self) -> None:
        self.settled.clear()

    async def hold(self, pid: int, started: int) -> None:
        root = self.running.get(pid)
        if root is None or root.process.started != started:
            return
        if Capability.HOLD in self.missing:
            raise HostError(f"This PC cannot hold a program: {self.missing[Capability.HOLD]}", "It is stopped instead.")
        if root.process.account not in self._watched:
            raise HostError(f"Process {pid} does not belong to a watched account", "It is left alone.")
        self.held.update(self._tree(pid))

    async def release(self, pid: int, started: int) -> None:
        running = self.running.get(pid)
        if running is not None and running.process.started == started:
            self.held.difference_update(self._tree(pid))

    async def stop(self, pid: int, started: int, *, at_once: bool) -> None:
        root = self.running.get(pid)
        if root is None or root.process.started != started:
            return
        if root.process.account not in self._watched:
            raise HostError(f"Process {pid} does not belong to a watched account", "It is left alone.")
        for member in self._tree(pid):
            running = self.running[member]
            if at_once or not running.ignores_term:
                self.killed.append(running.process)
                del self.running[member]
                self.held.discard(member)
            elif running.dying is None:
                running.dying = self.clock.instant.boot

    async def end_session(self, session: str, ending: Ending) -> None:
        found = self.sessions.get(session)
        if found is None:
            raise HostError(f"There is no session {session}", "It has probably ended already.")
        capability = {"lock": Capability.LOCK, "logout": Capability.LOGOUT, "freeze": Capability.FREEZE}[ending]
        if capability in self.missing:
            raise HostError(
                f"This PC cannot {ending}: {self.missing[capability]}", "Choose another ending in the policy."
            )
        if ending == "lock" and found.kind in UNLOCKABLE:
            raise HostError(f"A session of kind {found.kind} cannot be locked", "It is logged out instead.")
        self.ended.append((session, ending))
        if ending == "lock" and found.locked_hint:
            self.change(session, active=False)
        elif ending == "lock":
            self.change(session, locked_hint=True)
        elif ending == "logout":
            self.logout(session)
            await self.clear(found.account)
        else:
            self.frozen.add(found.account)

    async def clear(self, account: str) -> None:
        if not self._has_session(account):
            for running in [r for r in self.running.values() if r.process.account == account]:
                await self.stop(running.process.pid, running.process.started, at_once=False)

    async def thaw(self, account: str) -> None:
        self.frozen.discard(account)

    async def guard_logins(self, children: Collection[str]) -> None:
        if Capability.LOGIN in self.missing:
            raise HostError(
                f"This PC cannot refuse a login: {self.missing[Capability.LOGIN]}", "Install the PAM lines."
            )
        self.guarded = frozenset(children)

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        if Capability.SITES_DNS in self.missing:
            return None
        self.names = FakeResolver(heard, changed)
        return self.names

    def name_servers(self) -> tuple[str, ...]:
        return self.servers

    async def put_programs(self, floors: tuple[ProgramFloor, ...]) -> None:
        if Capability.EXEC_GATE in self.missing and floors:
            raise HostError(f"This PC cannot deny programs: {self.missing[Capability.EXEC_GATE]}", "They are stopped.")
        self.floors = floors

    async def put_sites(self, lanes: tuple[SiteLane, ...]) -> None:
        self.sites = lanes
        missing = [self.missing[one] for one in (Capability.SITES_DNS, Capability.SITES_BROWSER) if one in self.missing]
        if lanes and missing:
            raise HostError(f"This PC cannot filter sites: {missing[0]}", "The rest is in force.")

    def accounts(self) -> tuple[Account, ...]:
        return tuple(self.people.values())

    def abilities(self) -> tuple[Ability, ...]:
        return tuple(Ability(c, c not in self.missing, self.missing.get(c, "")) for c in Capability)

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                "child-administrator",
                "open",
                f"{name} is an administrator of this PC",
                "Make it a standard account: an administrator can switch off any protection.",
                name,
            )
            for name in children
            if name in self.people and self.people[name].administrator
        )

    def identify(self, path: str) -> Process | None:
        program = self.installed.get(path)
        if program is None:
            return None
        account = min(self._watched, default="")
        return Process(pid=0, started=0, parent=0, account=account, program=program)

    def machine_id(self) -> str:
        return "fake-machine"

    # ---- inside --------------------------------------------------------------------------------------------------

    def _may_start(self, process: Process) -> bool:
        if any(process.account in one.accounts and denies(one, process.program) for one in self.floors):
            if self._decide is not None:
                self._decide(process)  # it is told what the system has denied, as it is told of a start
            self.killed.append(process)
            return False
        if process.account not in self._watched or self._decide is None:
            return True
        key = (process.account, process.program)
        answer = Start.SETTLED if key in self.settled else self._decide(process)
        if answer is Start.DENY:
            self.killed.append(process)
            return False
        if answer is Start.SETTLED:
            self.settled.add(key)
        elif answer is Start.HOLD:
            self.held.add(process.pid)
        return True

    def _processes(self) -> tuple[Process, ...]:
        """The same tuple as long as nothing started or ended, as ``Snapshot`` promises."""
        found = tuple(r.process for r in self.running.values() if r.process.account in self._watched)
        if found != self._seen:
            self._seen = found
        return self._seen

    def _has_session(self, account: str) -> bool:
        return any(s.account == account for s in self.sessions.values())

    def _runs(self, account: str) -> bool:
        return any(r.process.account == account for r in self.running.values())

    def _tree(self, pid: int) -> list[int]:
        tree = [pid]
        for member in tree:
            tree += [p for p, r in self.running.items() if r.process.parent == member and p not in tree]
        return tree

    def _woken(self) -> None:
        if self._wake is not None:
            self._wake()
