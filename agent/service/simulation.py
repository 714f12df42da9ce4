"""Weeks of a family on the computer in memory: the real loop, engine and ledger; only the people are made up.

Everything follows from the seed.  Time moves in steps that end where something is due, so that notices and endings come to
the second.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from agent.clock import MINUTE, SECOND, FakeClock, Instant, Millis
from agent.core.rules import Rules
from agent.core.schedule import wall_of
from agent.model.grant import Grant, Request
from agent.model.program import ProgramId
from agent.model.verdict import Notify
from agent.platforms.fake import FakeHost
from agent.platforms.unsupervised import Unsupervised
from agent.service.engine import Engine
from agent.service.loop import Loop
from agent.service.store import Store

LONGEST_STEP = 60 * SECOND
SAVE_EVERY = 10 * MINUTE


@dataclass(slots=True)
class Simulation:
    """A family's weeks from ``start`` on."""

    rules: Rules
    store: Store
    start: dt.date
    days: int
    seed: int
    totals: dict[str, dict[str, int]] = field(default_factory=dict)
    _agenda: list[tuple[Millis, int, Callable[[], None]]] = field(default_factory=list)
    _host: FakeHost = field(init=False)
    _loop: Loop = field(init=False)
    _dice: random.Random = field(init=False)
    _sessions: dict[str, str] = field(default_factory=dict)
    _asked: set[tuple[str, str]] = field(default_factory=set)
    _serial: int = 0

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # a story, not a secret
        begin = wall_of(self.start, 6 * 60, self.rules.zone)
        clock = FakeClock(Instant(wall=begin, boot=60_000, awake=60_000, boot_id="simulated-1"))
        self._host = FakeHost(clock=clock)
        for account in (*self.rules.accounts, *self.rules.guardians):
            self._host.add_account(account)
        engine = Engine(
            self.rules,
            self.store.usage,
            lambda child: self.store.grants(
                child, day=engine.today(child).isoformat(), at=engine.keeper.wall if engine.keeper else begin
            ),
            floor=begin,
        )
        self._loop = Loop(
            self._host, engine, self.store, Unsupervised(), push=self._told, changed=_silence, save_every=SAVE_EVERY
        )
        self.totals = {
            name: dict.fromkeys(("total", "extra", "free", "notices", "blocked"), 0) for name in self.rules.children
        }

    async def run(self) -> None:
        """Let the weeks pass."""
        await self._host.open(_silence)
        self._loop.watch(self.rules)
        self._host.on_start(self._loop.starts.permit, self._loop.starts.otherwise)
        for day in range(self.days):
            date = self.start + dt.timedelta(days=day)
            for name in self.rules.children:
                self._plan_day(name, date)
        end = wall_of(self.start + dt.timedelta(days=self.days), 2 * 60, self.rules.zone)
        self._agenda.sort(key=lambda item: (item[0], item[1]), reverse=True)
        while self._now < end:
            await self._pass_until(min(end, self._agenda[-1][0] if self._agenda else end))
            while self._agenda and self._agenda[-1][0] <= self._now:
                self._agenda.pop()[2]()
            await self._tick()
        self._loop.save()

    # ---- time ----------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> Millis:
        return self._host.clock.instant.wall

    async def _pass_until(self, until: Millis) -> None:
        while self._now < until:
            gap = until - self._now
            if not self._sessions:
                # Nobody is there: the PC sleeps, unless somebody comes within minutes.
                self._host.advance(gap, asleep=gap > 30 * MINUTE)
            else:
                self._host.advance(min(gap, self._step()))
                await self._tick()

    def _step(self) -> Millis:
        """Until something is due for one of the children who are here."""
        found = LONGEST_STEP
        for child in self._loop.engine.children.values():
            decision = child.decision
            if decision is None or child.rules.name not in self._sessions or decision.verdict.remaining is None:
                continue
            left = decision.verdict.remaining
            if left <= 0:
                return 5 * SECOND
            plan = child.moment.plan if child.moment else None
            marks = [0, *(plan.notices if plan else ())]
            found = min(found, min(left - mark for mark in marks if mark < left))
        return max(SECOND, found)

    async def _tick(self) -> None:
        await self._observed()
        gone = False
        for name, session in list(self._sessions.items()):
            found = self._host.sessions.get(session)
            if found is not None and found.locked_hint:
                # The screen locked: the child gets up.
                self._host.logout(session)
                found = None
            if found is None:
                del self._sessions[name]
                gone = True
        if gone:
            # As on a real PC, where the end of a session wakes the loop: what was seen last must not hold on.
            await self._observed()

    async def _observed(self) -> None:
        step = await self._loop.tick()
        for charge in step.charges:
            if charge.kind in ("total", "extra", "free"):
                self.totals[charge.child][charge.kind] += charge.millis

    # ---- people --------------------------------------------------------------------------------------------------

    def _plan_day(self, name: str, date: dt.date) -> None:
        """When a child comes to the PC on a day, for how long, and what it runs."""
        weekend = date.weekday() >= 5
        for _ in range(self._dice.choice((1, 2, 2, 3) if weekend else (0, 1, 1, 2))):
            begin = self._dice.randint(9 * 60 if weekend else 15 * 60, 20 * 60)
            length = self._dice.randint(15, 120)
            at = wall_of(date, begin, self.rules.zone)
            program = self._program(name)
            self._add(at, partial(self._come, name, program))
            if self._dice.random() < 0.5:
                later = at + self._dice.randint(5, 20) * MINUTE
                self._add(later, partial(self._start, name, self._program(name)))
            self._add(at + length * MINUTE, partial(self._go, name))

    def _program(self, name: str) -> ProgramId:
        entries = [
            entry for entry in self.rules.children[name].catalogue.values() if entry.linux and entry.linux.binary
        ]
        entry = self._dice.choice(entries)
        assert entry.linux is not None
        package = f"deb:{entry.linux.package[0]}" if entry.linux.package else ""
        binary = entry.linux.binary[0]
        return ProgramId(name=binary, path=f"/usr/bin/{binary}", package=package, protected=True, application=True)

    def _come(self, name: str, program: ProgramId) -> None:
        if name in self._sessions:
            return
        account = self._dice.choice(self.rules.children[name].child.accounts)
        self._sessions[name] = self._host.login(account).id
        self._start(name, program)

    def _start(self, name: str, program: ProgramId) -> None:
        session = self._sessions.get(name)
        if session is not None and session in self._host.sessions:
            self._host.start(self._host.sessions[session].account, program)

    def _go(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            self._host.logout(session)

    def _told(self, notice: Notify) -> None:
        self.totals[notice.child]["notices"] += 1
        if notice.kind in ("blocked", "ask"):
            self.totals[notice.child]["blocked"] += 1
        day = self._loop.engine.today(notice.child).isoformat()
        if notice.kind in ("time", "grace") and not notice.program and (notice.child, day) not in self._asked:
            self._asked.add((notice.child, day))
            if self._dice.random() < 0.3:
                self._ask(notice.child, day)

    def _ask(self, name: str, day: str) -> None:
        """A child asks for half an hour; a guardian answers, mostly yes."""
        self._serial += 1
        by = self.rules.policy.family.guardians[0].name
        request = self.store.add_request(
            Request(
                id=f"request-{self._serial}",
                child=name,
                kind="time",
                seconds=1800,
                text="We are nearly done.",
                asked=self._now,
            )
        )
        granted = self._dice.random() < 0.7
        state, reply = ("granted", "Enjoy it.") if granted else ("refused", "Tomorrow again.")
        self.store.answer_request(request.id, state, self._now, by, reply)
        if granted:
            self.store.add_grant(
                Grant(
                    id=f"grant-{self._serial}",
                    child=name,
                    kind="time",
                    seconds=1800,
                    day=day,
                    given=self._now,
                    by=by,
                    via="simulate",
                )
            )

    def _add(self, at: Millis, act: Callable[[], None]) -> None:
        self._serial += 1
        self._agenda.append((at, self._serial, act))


def _silence() -> None:
    """Nobody listens."""


def weeks_of(start: dt.date, days: int) -> list[dt.date]:
    """The Mondays of the weeks that these days touch."""
    first = start - dt.timedelta(days=start.weekday())
    last = start + dt.timedelta(days=days - 1)
    return [first + dt.timedelta(days=7 * n) for n in range((last - first).days // 7 + 1)]
