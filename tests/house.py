"""A whole household in memory, for tests: the fake computer, the real engine, loop, ledger, audit and guardian's acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.clock import Millis
from agent.core.authorize import Who
from agent.core.rules import Rules
from agent.ipc.answers import Done
from agent.ipc.protocol import Answer, Body, Give, Release
from agent.model.grant import Grant, Lasting, Request
from agent.model.program import Process, ProgramId
from agent.model.verdict import Notify
from agent.platforms.fake import FakeHost
from agent.service.acts import Acts
from agent.service.audit import Audit
from agent.service.engine import Engine
from agent.service.guardian import Guardian
from agent.service.listacts import ListActs
from agent.service.lists import Lists
from agent.service.loop import ENGINE, Loop
from agent.service.policies import PolicyStore
from agent.service.store import Store
from agent.trust import grants as sealing
from agent.trust import root, signing
from agent.trust.seal import Check, Given, Seal
from tests.family import child, compiled, head
from tests.pc import computer

LIMITS = """
windows = {}
budget = { all = "12h" }
week = "70h"
unknown_programs = "ask"
programs = []
"""
GUARDIAN, DEVICE = signing.new_signer(), signing.new_signer()
ROOT = root.make([GUARDIAN.public_key], [GUARDIAN], devices=[DEVICE.public_key])
KEY = signing.pem(DEVICE, None)
MACHINE = "fake-machine"


def written(more: str = "", limits: str = LIMITS) -> str:
    """The file of a household with one child whose unknown programs must be asked for."""
    return head(guardian="Ana") + child(limits + more)


def family(more: str = "", limits: str = LIMITS) -> Rules:
    return compiled(written(more, limits))


class Seals:
    """Signs and checks as the job does, in this process."""

    async def seal(self, grant: Grant) -> bytes:
        return sealing.seal(Seal(root=ROOT, key=KEY, device=MACHINE, grant=grant))

    async def check(self, given: Sequence[Given]) -> Mapping[str, str]:
        return sealing.check(Check(root=ROOT, device=MACHINE, given=tuple(given)))


class Supervisor:
    interval: float | None = None

    def ready(self, status: str = "") -> bool:
        return False

    alive = stopping = ready


@dataclass
class _Peer:
    account: str
    uid: int = 1000


@dataclass
class Caller:
    """As much of a connection as an act looks at."""

    peer: _Peer
    who: Who
    via: str = "cli"
    proven_until: int = 0


@dataclass
class House:
    """``folder`` holds the ledger; ``host`` is the computer, which outlives the service."""

    folder: Path
    rules: Rules = field(default_factory=family)
    host: FakeHost = field(init=False)
    shown: list[Notify] = field(default_factory=list)
    store: Store = field(init=False)
    loop: Loop = field(init=False)
    acts: Acts = field(init=False)

    def __post_init__(self) -> None:
        self.host = computer(self.rules, "mia", "ana")
        self.open()

    def open(self) -> None:
        """The service begins."""
        self.store = Store.open(self.folder, machine_id=MACHINE)
        wall = self.host.clock.instant.wall
        engine = Engine(
            self.rules,
            self.store.usage,
            lambda child: self.store.grants(child, day=engine.today(child).isoformat(), at=self.wall),
            floor=wall,
        )
        engine.resume(self.store.state(ENGINE))
        self.loop = Loop(self.host, engine, self.store, Supervisor(), push=self.shown.append, changed=lambda: None)
        self.loop.watch(self.rules)
        self.host.on_start(self.loop.starts.permit)
        audit = Audit.open(self.folder, self.store, at=wall)
        policies = PolicyStore(self.folder, MACHINE, self.host.accounts)
        lists = ListActs(Lists(self.folder / "lists"), audit, lambda: self.wall, lambda: None)
        self.acts = Acts(
            self.loop, self.store, audit, Guardian(self.store), policies, Seals(), lambda: self.wall, _installed, lists
        )  # type: ignore[arg-type]  # Seals signs as the job does

    def kill(self) -> None:
        """The service dies: nothing more is saved, and it decides no start."""
        self.store._db.close()
        self.host._decide = None

    @property
    def wall(self) -> Millis:
        keeper = self.loop.engine.keeper
        return keeper.wall if keeper else self.host.clock.instant.wall

    async def tick(self, millis: Millis = 1000) -> None:
        """Time passes, then the service looks."""
        self.host.advance(millis)
        await self.loop.tick()

    async def hours(self, hours: float) -> None:
        for _ in range(int(hours * 60)):
            await self.tick(60_000)

    async def act(self, body: Body) -> Done:
        """Ana does something, from her own account and with her PIN."""
        done = await self.acts.act(Caller(_Peer("ana"), Who("ana", "guardian")), body)
        assert isinstance(done, Done)
        await self.loop.tick()
        return done

    async def answer(self, request: Request, lasting: Lasting | None, reply: str = "") -> Done:
        """Yes for so long, or (``None``) no."""
        return await self.act(Answer(request=request.id, granted=lasting is not None, lasting=lasting, reply=reply))

    async def give(self, subject: str, lasting: Lasting) -> Done:
        return await self.act(Give(child="mia", kind="program", subject=subject, lasting=lasting))

    async def withdraw(self, grant: str) -> Done:
        return await self.act(Release(grant=grant))

    def start(self, program: ProgramId) -> Process | None:
        return self.host.start("mia", program)

    def asked(self) -> tuple[Request, ...]:
        return self.store.requests("mia", open_only=True)

    def alive(self, process: Process | None) -> bool:
        return process is not None and process.pid in self.host.running

    def still(self, process: Process) -> bool:
        return process.pid in self.host.held

    def ran(self, process: Process) -> Millis:
        return self.host.running[process.pid].ran


def downloaded(name: str = "chess", mark: str = "a") -> ProgramId:
    """A program in a place that the child can write to."""
    return ProgramId(name=name, path=f"/home/mia/{name}", sha256=mark * 64, application=True)


def installed(name: str = "chess") -> ProgramId:
    """A program of a package."""
    return ProgramId(name=name, path=f"/usr/games/{name}", package=f"deb:{name}", protected=True, application=True)


async def _installed(_: object) -> None:
    """Nothing follows."""
