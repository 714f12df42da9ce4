"""The service, put together: the only place where every part is known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.core.authorize import Who, who
from agent.core.rules import Rules
from agent.core.schedule import policy_day
from agent.errors import FairtimeError, HostError
from agent.ipc.peer import Peer
from agent.ipc.server import Server
from agent.model.grant import Grant
from agent.model.policy import Family, Policy
from agent.model.record import LedgerEvent
from agent.model.snapshot import Snapshot
from agent.model.verdict import Notify
from agent.platforms.base import Finding, Host, Supervisor
from agent.service.acts import Acts
from agent.service.api import Api
from agent.service.audit import Audit
from agent.service.calendar import When
from agent.service.chores import Chores
from agent.service.doctor import Doctor
from agent.service.engine import Engine
from agent.service.floors import Floors
from agent.service.guardian import Guardian
from agent.service.listacts import ListActs
from agent.service.lists import Lists
from agent.service.lookout import Lookout, rules_for
from agent.service.loop import ENGINE, Loop
from agent.service.policies import InForce, PolicyStore
from agent.service.seals import Seals
from agent.service.sites import Sites
from agent.service.siteuse import SiteUses
from agent.service.statelock import StateLock
from agent.service.store import Store
from agent.service.upkeep import TrustedClock, deeds
from agent.trust.payload import at

log = logging.getLogger(__name__)

PLACED_WITHIN = 5.0
"""Seconds that a boot waits for the exec gate, which takes about one."""
LOOK_EVERY = 60.0
"""Seconds between two looks at the state of protection and at the end of the policy."""
LISTS = "lists"
UNSET = Policy(
    policy_id="none",
    version=1,
    issued="2026-01-01T00:00:00Z",
    family=Family(format=1, zone="UTC", guardians=[], children=[]),
)
"""Before setup: nobody is limited, and every face says so."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the service keeps its state and listens."""

    state: Path = Path("/var/lib/fairtime")
    socket: Path = Path("/run/fairtime/fairtime.sock")
    guard_logins: bool = False
    """Let the system ask this service before a child begins a session: only the one service of a PC may."""


class Service:
    """One running service.  ``run`` serves until it is told to end."""

    def __init__(self, settings: Settings, host: Host, supervisor: Supervisor) -> None:
        self._settings = settings
        self._host = host
        self._supervisor = supervisor
        self._stopping = asyncio.Event()
        self._next = False

    def stop(self) -> None:
        """End soon, and orderly."""
        self._stopping.set()

    def make_room(self) -> None:
        """End soon and keep what holds in force, for the next service that starts within seconds: an upgrade.  The gate, the
        firewall's table and frozen sessions stay, as after a crash; the record is complete, as after a stop."""
        self._next = True
        self._stopping.set()

    async def run(self) -> None:
        """Serve.  Raises what keeps it from starting, with advice."""
        with StateLock(self._settings.state):
            store = Store.open(self._settings.state, machine_id=self._host.machine_id())
            try:
                await self._with(store)
            finally:
                store.close()

    async def _with(self, store: Store) -> None:
        host, settings = self._host, self._settings
        now = host.clock.now()
        audit = Audit.open(settings.state, store, at=now.wall)
        policies = PolicyStore(settings.state, host.machine_id(), host.accounts)
        in_force = await policies.load(now.wall)
        policy = in_force.policy or UNSET
        rules, unknown = await rules_for(host, policy)
        engine = Engine(
            rules,
            store.usage,
            lambda child: store.grants(child, day=engine.today(child).isoformat(), at=_wall(engine, now.wall)),
            floor=at(rules.policy.issued),
        )
        self._resume(engine, store)
        seals = Seals(settings.state, host.machine_id())
        refused, trouble = await self._believed(store, audit, seals, engine)
        loop_of: list[Loop] = []
        host.watch(tuple(rules.accounts))
        await host.open(lambda: loop_of[0].wake() if loop_of else None)
        try:
            loop = Loop(host, engine, store, self._supervisor, push=_nothing, changed=_silence)
            loop_of.append(loop)
            if store.condition in ("restored", "lost"):
                loop.troubles["ledger-" + store.condition] = store.advice
            for number, text in enumerate((refused, trouble)):
                if text:
                    loop.troubles[("grants-refused", "grants")[number]] = text
            await self._serve(loop, store, audit, policies, unknown, seals)
        except BaseException:
            await host.close()
            raise
        if not self._next:
            await host.close()

    async def _serve(
        self,
        loop: Loop,
        store: Store,
        audit: Audit,
        policies: PolicyStore,
        unknown: tuple[str, ...],
        seals: Seals,
    ) -> None:
        host, settings = self._host, self._settings

        async def adopt(rules: Rules) -> None:
            loop.adopt(rules)
            await self._guard(loop)
            await doctor.look()

        lookout = Lookout(
            host=host,
            loop=loop,
            store=store,
            audit=audit,
            wall=lambda: api.wall,
            adopt=adopt,
            looked=lambda: doctor.look(),
            policy=policies.now.policy or UNSET,
            strangers=unknown,
        )
        lists = Lists(settings.state / LISTS)
        uses = SiteUses(loop, lambda child, day: _hosts(store, child, day))
        sites = Sites(host, loop, store, uses, lists)
        floors = Floors(host, loop)

        def findings() -> tuple[Finding, ...]:
            return (*lookout.findings(), *sites.findings(), *lists.findings())

        doctor = Doctor(host, loop, lambda: policies.now.notes, findings)
        guardian = Guardian(store)

        async def installed(found: InForce) -> None:
            await lookout.take(found.policy or UNSET)

        def rights(peer: Peer) -> Who:
            known: Rules = loop.engine.rules
            return who(peer.account, known.accounts, known.guardians, privileged=peer.privileged)

        def meant(name: str) -> str:
            return loop.engine.rules.meant(name)

        list_acts = ListActs(lists, audit, lambda: api.wall, lambda: loop.changed())
        acts = Acts(loop, store, audit, guardian, policies, seals, lambda: api.wall, installed, list_acts)
        api = Api(loop, store, audit, policies, doctor, acts.act, sites, lists, _goals(store))
        server = Server(settings.socket, api.answer, rights, lambda: host.clock.now().boot, meant=meant)

        def push(notice: Notify) -> None:
            server.push(lambda connection: api.event(connection, notice))

        def changed() -> None:
            if loop.ready.is_set():
                server.push(lambda connection: api.event(connection, None))

        def heed(snapshot: Snapshot) -> None:
            lookout.heed(snapshot)
            sites.look(host.clock.now())
            floors.look()

        loop.push, loop.changed, loop.heed = push, changed, heed

        def learned(child: str) -> None:
            audit.append("service", "service", "learn-over", child, at=api.wall)

        loop.learned = learned
        chores = Chores(
            store,
            loop.engine.rules.policy.family.zone,
            TrustedClock(loop.engine, host.clock),
            deeds(loop, store, doctor, settings.state),
            {"summary": When(**msgspec.structs.asdict(loop.engine.rules.policy.family.summary))},
        )
        await self._guard(loop)
        await doctor.look()
        await server.start()
        audit.append("service", "service", "started", at=api.wall)
        lookout.begin(settings.state)
        sites.begin()
        tasks = [
            asyncio.create_task(loop.run(), name="fairtime-loop"),
            asyncio.create_task(self._look(loop, doctor, policies, api), name="fairtime-look"),
        ]
        stopping = asyncio.create_task(self._stopping.wait(), name="fairtime-stop")
        try:
            begun = asyncio.create_task(self._begun(loop), name="fairtime-begun")
            await asyncio.wait([*tasks, stopping, begun], return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                chores.start()
                self._supervisor.ready(loop.line)
                await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            else:
                begun.cancel()
        finally:
            self._supervisor.stopping()
            await chores.stop()
            lookout.end(settings.state)
            await list_acts.close()
            await lookout.close()
            for task in (*tasks, stopping):
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await server.close()
            await sites.close()
            await floors.close()
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error

    async def _begun(self, loop: Loop) -> None:
        """Limits are in force, and programs are asked about before they start: a session may begin."""
        await loop.ready.wait()
        try:
            async with asyncio.timeout(PLACED_WITHIN):
                await self._host.in_place()
        except TimeoutError:
            # The degraded state has its name already: it is an ability that is not there.
            log.warning("ready, but not everything is in place after %.0f s", PLACED_WITHIN)

    async def _look(self, loop: Loop, doctor: Doctor, policies: PolicyStore, api: Api) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            before = policies.now.state
            await doctor.look()
            if policies.recheck(api.wall).state != before:
                loop.changed()

    async def _guard(self, loop: Loop) -> None:
        if not self._settings.guard_logins:
            return
        try:
            await self._host.guard_logins(tuple(loop.engine.rules.accounts))
        except HostError as error:
            log.warning("%s", error)  # the ability LOGIN says it to everyone

    async def _believed(self, store: Store, audit: Audit, seals: Seals, engine: Engine) -> tuple[str, str]:
        """Check every grant's signature; what does not hold is no grant.  Returns what to tell about it.

        When nothing can be checked, nothing that was given counts until the next start; what takes away still does.
        """
        given = store.sealed()
        wall = _wall(engine, self._host.clock.now().wall)
        try:
            refused = await seals.check(given)
        except FairtimeError as error:
            store.disbelieve((g.grant.id for g in given if _loosens(g.grant)), forget=False)
            return "", f"What guardians gave cannot be checked, so it does not count now: {error.title}. {error.advice}"
        if not refused:
            return "", ""
        day = policy_day(wall, engine.rules.zone, engine.rules.reset).isoformat()
        for one in given:
            why = refused.get(one.grant.id)
            if why is None:
                continue
            grant = one.grant
            what = f"A {grant.kind} in the ledger was not given by a guardian: {why}."
            log.error("%s (%s)", what, grant.id)
            audit.append("service", "service", "grant-refused", grant.child, f"{what} {grant!r}", at=wall)
            store.add_event(
                LedgerEvent(at=wall, day=day, child=grant.child, kind="tamper", subject=grant.kind, text=what)
            )
        store.disbelieve(refused, forget=True)
        return f"Somebody wrote {len(refused)} grants into the ledger that no guardian gave. They do not count.", ""

    def _resume(self, engine: Engine, store: Store) -> None:
        """Take up the last run's state; a damaged one is named, and what it would have told is forgone."""
        saved = store.state(ENGINE)
        try:
            engine.resume(saved)
        except msgspec.DecodeError as error:
            log.error("the saved state is damaged: %s", error)  # its trace says no more
            wall = self._host.clock.now().wall
            day = policy_day(wall, engine.rules.zone, engine.rules.reset).isoformat()
            store.add_event(LedgerEvent(at=wall, day=day, kind="tamper", text="The saved state was damaged."))


def serve(settings: Settings, host: Host, supervisor: Supervisor) -> int:
    """Run the service in this process until SIGTERM or SIGINT, or SIGHUP to make room; 0 after an orderly end."""
    # Jobs, audit and ledger files are nobody else's, whatever the caller's mask was.
    if sys.platform != "win32":
        import os

        os.umask(0o077)

    async def main() -> None:
        service = Service(settings, host, supervisor)
        if sys.platform != "win32":
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, service.stop)
            # What the packages' scripts send at an upgrade (installer/linux/settings.sh).
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.make_room)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended by itself
                loop.call_soon_threadsafe(service.stop)

        supervisor.on_stop(stop)
        await service.run()

    asyncio.run(main())
    return 0


def _hosts(store: Store, child: str, day: str) -> set[str]:
    """The hosts that the ledger has of a child's day."""
    return {row.key for row in store.rows(child, day, day) if row.kind == "site"}


def _goals(store: Store) -> dict[str, int]:
    data = store.state("goals")
    if data is None:
        return {}
    with contextlib.suppress(msgspec.DecodeError):  # a child's own wish: losing it takes nothing from anybody
        return msgspec.json.decode(data, type=dict[str, int])
    return {}


def _loosens(grant: Grant) -> bool:
    """Whether a grant gives rather than takes."""
    return grant.kind not in ("lock", "refusal", "site-refusal") and not (grant.kind == "time" and grant.seconds < 0)


def _wall(engine: Engine, fallback: int) -> int:
    return engine.keeper.wall if engine.keeper is not None else fallback


def _nothing(_: Notify) -> None:
    """Nobody listens yet."""


def _silence() -> None:
    """Nobody listens yet."""
