"""The state between two ticks, and one step of it: fold what passed, then decide what is due.

No I/O: the loop feeds it observations and carries out what it returns; ``fairtime simulate`` and whole-day tests drive the
same engine on the fake computer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from agent.clock import MINUTE, SECOND, Instant, Millis, between
from agent.core.activity import Activity, activity
from agent.core.authorize import ADMINISTRATOR
from agent.core.constraints import Moment, moment
from agent.core.decide import Decision, Situation, decide
from agent.core.judge import Running, running
from agent.core.programs import Match, Matchers
from agent.core.rules import ChildRules, Plan, Rules
from agent.core.schedule import policy_day
from agent.core.timekeeper import Timekeeper, advance, confirmed, start
from agent.core.timewords import duration_words
from agent.core.usage import Seen, added, fold, new_day, rested
from agent.model.grant import Grant
from agent.model.program import Process, ProgramId
from agent.model.record import LedgerEvent
from agent.model.snapshot import Session, Snapshot
from agent.model.usage import Charge, Folding, Usage
from agent.model.verdict import Effect, Ladder

NEAR = MINUTE
"""With less time than this left, seconds matter."""
NOTABLE_GAP = 30 * SECOND
"""A shorter time without observation is not worth a line; it is charged or not just the same."""


class SavedChild(Struct, frozen=True, kw_only=True):
    """What must survive a crash for one child."""

    folding: Folding = Folding()
    ladder: Ladder = Ladder()


class Saved(Struct, frozen=True, kw_only=True):
    """What must survive a crash."""

    keeper: Timekeeper
    children: dict[str, SavedChild] = {}


@dataclass(slots=True)
class Child:
    """One child between ticks."""

    rules: ChildRules
    usage: Usage
    folding: Folding = field(default_factory=Folding)
    ladder: Ladder = field(default_factory=Ladder)
    moment: Moment | None = None
    seen: Seen | None = None
    decision: Decision | None = None
    running: Running = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    """Those of the last decision."""
    disagreed: bool = False
    absent_on: tuple[Usage, tuple[Grant, ...], Plan, Millis] | None = None
    """What the last decision was made of, when nobody was there and nothing ran; until it changes the decision stands."""


@dataclass(slots=True)
class Step:
    """What one tick brought."""

    wall: Millis
    charges: list[Charge] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    events: list[LedgerEvent] = field(default_factory=list)
    new_day: bool = False
    changed: bool = False
    """A verdict, a stage or a shown minute changed: faces want to know."""


UsageOf = Callable[[str, str], Usage]
GrantsOf = Callable[[str], tuple[Grant, ...]]


@dataclass(slots=True)
class Engine:
    """Decides for every child of a policy.

    ``usage_of(child, day)`` reads the ledger's sums (asked at start and at each new day only); ``grants_of(child)`` the
    grants in force (cheap, asked every tick).
    """

    rules: Rules
    usage_of: UsageOf
    grants_of: GrantsOf
    floor: Millis
    """Trusted time never lies before this: when the policy was signed."""
    keeper: Timekeeper | None = None
    rest: Millis = 10 * SECOND
    """How often to decide for a child who is not there: only what faces show of it can change by itself."""
    children: dict[str, Child] = field(default_factory=dict)
    learning: set[str] = field(default_factory=set)
    """Children whose unknown programs may run meanwhile: ``service.learner``."""
    last: Instant | None = None
    matchers: Matchers = field(default_factory=Matchers)
    _resumed: bool = False
    _shown: dict[str, tuple[object, ...]] = field(default_factory=dict)
    _sorted: tuple[Process, ...] | None = None
    """The processes that ``Child.running`` was made of."""

    # ---- life ----------------------------------------------------------------------------------------------------

    def resume(self, saved: bytes | None) -> None:
        """Take up the state that an earlier run saved; damaged state is refused by ``msgspec.DecodeError``."""
        self._resumed = True
        if saved is None:
            return
        state = msgspec.json.decode(saved, type=Saved)
        self.keeper = state.keeper
        self.last = Instant(state.keeper.wall, state.keeper.boot, state.keeper.awake, state.keeper.boot_id)
        for name, one in state.children.items():
            if name in self.rules.children:
                child = self.child(name, state.keeper.wall)
                child.folding, child.ladder = one.folding, one.ladder

    def saved(self) -> bytes:
        """The state to save with the charges of this step, in one transaction."""
        assert self.keeper is not None, "nothing to save before the first step"
        children = {n: SavedChild(folding=c.folding, ladder=c.ladder) for n, c in self.children.items()}
        return msgspec.json.encode(Saved(keeper=self.keeper, children=children))

    def adopt(self, rules: Rules) -> None:
        """A new policy comes into force between two ticks; use and ladders stay."""
        self.rules = rules
        for name in [n for n in self.children if n not in rules.children]:
            del self.children[name]
        for name, child in self.children.items():
            child.rules, child.moment, child.absent_on = rules.children[name], None, None
        if self.keeper is not None:
            # Programs that start before the next tick are judged by the new policy too.
            for name in rules.children:
                self.child(name, self.keeper.wall)
        self._sorted = None

    def confirm_clock(self, now: Instant) -> None:
        if self.keeper is not None:
            self.keeper = confirmed(self.keeper, now)

    # ---- one tick ------------------------------------------------------------------------------------------------

    def step(self, now: Instant, snapshot: Snapshot) -> Step:
        """Fold the time since the last observation, then decide on this one."""
        before, keeper = self.last, self.keeper
        if keeper is None:
            self.keeper, clock_event = start(now, self.floor), None
        else:
            self.keeper, clock_event = advance(keeper, now)
        out = Step(wall=self.keeper.wall)
        for name in self.rules.children:
            self.child(name, keeper.wall if keeper else out.wall)
        if before is not None and keeper is not None:
            self._fold(before, now, keeper.wall, snapshot, out)
        self.last = now
        self._sort(snapshot.processes)
        for name, child in self.children.items():
            here = tuple(s for s in snapshot.sessions if self._is_use(name, s))
            left = tuple(a for a in snapshot.leftovers if self.rules.accounts.get(a) == name)
            self._decide(name, child, now, here, left, snapshot.held, out)
        if clock_event is not None:
            day = next(iter(self.children.values())).moment
            out.events.append(
                LedgerEvent(at=out.wall, day=day.day.isoformat() if day else "", kind="clock", text=clock_event.text)
            )
        return out

    def _sort(self, processes: tuple[Process, ...]) -> None:
        """Tell each child's programs apart, when anything started or ended: a host gives the same tuple until then."""
        if processes is self._sorted:
            return
        self._sorted = processes
        by = _by_child(processes, self.rules.accounts)
        for name, child in self.children.items():
            child.running = running(by.get(name, ()))

    def _fold(self, before: Instant, now: Instant, wall: Millis, snapshot: Snapshot, out: Step) -> None:
        passage = between(before, now)
        if passage.rebooted:
            # The machine was off, or the agent not yet up: time since this boot is folded from here on.
            for child in self.children.values():
                child.seen = child.absent_on = None
                child.folding = self._away(child, out.wall - wall)
            return
        for name, child in self.children.items():
            seen = child.seen
            if seen is None:
                seen = self._over_a_gap(name, child, passage.awake, snapshot, out)
                if seen is None:
                    child.folding = self._away(child, passage.elapsed)
                    continue
            rest = child.rules.plan(child.moment.day).break_rest if child.moment else 0
            folded = fold(
                child.folding, seen, wall, passage.awake, passage.slept, self.rules.zone, self.rules.reset, rest
            )
            child.folding = folded.folding
            child.usage = added(child.usage, folded.charges)
            out.charges += folded.charges

    def _away(self, child: Child, gap: Millis) -> Folding:
        """Time nobody used the PC is rest; a run of unconfirmed idle ends with it."""
        assert self.keeper is not None
        plan = moment(child.rules, self.keeper.wall, child.moment).plan
        return msgspec.structs.replace(rested(child.folding, max(0, gap), plan.break_rest), unconfirmed=0, in_use=False)

    def _over_a_gap(self, name: str, child: Child, gap: Millis, snapshot: Snapshot, out: Step) -> Seen | None:
        """After a crash: the gap is charged when the child was at it before and is at it now, else named."""
        now, _ = activity(s for s in snapshot.sessions if self._is_use(name, s))
        if child.folding.in_use and now not in (Activity.ABSENT, Activity.AWAY):
            if gap >= NOTABLE_GAP:
                out.events.append(self._unobserved(name, gap, "and charged, because the session was in use"))
            return Seen(child=name, activity=Activity.USED)
        if gap >= NOTABLE_GAP:
            out.events.append(self._unobserved(name, gap, "and not charged"))
        return None

    def _is_use(self, name: str, session: Session) -> bool:
        """Whether a session is use by this child.  A guardian at work in a child's account (``su``) is not."""
        adult = session.within == ADMINISTRATOR or session.within in self.rules.guardians
        return self.rules.accounts.get(session.account) == name and not adult

    def _unobserved(self, name: str, gap: Millis, what: str) -> LedgerEvent:
        assert self.keeper is not None
        day = moment(self.rules.children[name], self.keeper.wall).day.isoformat()
        text = f"{duration_words(gap)} unobserved, {what}."
        return LedgerEvent(at=self.keeper.wall, day=day, child=name, kind="unobserved", subject=str(gap), text=text)

    def _decide(
        self,
        name: str,
        child: Child,
        now: Instant,
        sessions: tuple[Session, ...],
        leftovers: tuple[str, ...],
        held: frozenset[tuple[int, int]],
        out: Step,
    ) -> None:
        child.rules.learn(name in self.learning)
        at = moment(child.rules, out.wall, child.moment)
        if child.moment is not None and at.day != child.moment.day:
            out.new_day = True
            child.usage = new_day(child.usage, at.day.isoformat())
        child.moment = at
        grants = self.grants_of(name)
        basis = (child.usage, grants, at.plan, now.boot // self.rest)
        if not sessions and not child.running and child.absent_on == basis:
            return
        decision = decide(
            Situation(
                rules=child.rules,
                matcher=self.matchers.of(child.rules, at.day),
                moment=at,
                boot=now.boot,
                boot_id=now.boot_id,
                sessions=sessions,
                running=child.running,
                usage=child.usage,
                grants=grants,
                folding=child.folding,
                ladder=child.ladder,
                leftovers=leftovers,
                held=held,
            )
        )
        child.grants = grants
        child.decision, child.seen, child.ladder = decision, decision.seen, decision.ladder
        child.absent_on = None if sessions or child.running or decision.effects else basis
        out.effects += decision.effects
        if decision.disagreement and not child.disagreed:
            text = "The session says it is locked or idle while sound plays or programs work."
            out.events.append(
                LedgerEvent(at=out.wall, day=at.day.isoformat(), child=name, kind="disagreement", text=text)
            )
        child.disagreed = decision.disagreement
        verdict = decision.verdict
        minute = None if verdict.remaining is None else -(-verdict.remaining // 60_000)
        shown = (
            minute,
            verdict.stage,
            verdict.in_use,
            verdict.binding and verdict.binding.rule,
            decision.seen.programs,
        )
        if self._shown.get(name) != shown:
            self._shown[name] = shown
            out.changed = True

    @property
    def easy(self) -> bool:
        """Whether nothing is near: every child who is there has minutes left, and nothing stands still or is ending."""
        return all(
            child.decision is None
            or child.absent_on is not None
            or (
                child.decision.verdict.stage in ("open", "paused")
                and (child.decision.verdict.remaining is None or child.decision.verdict.remaining > NEAR)
                and not child.ladder.stopping
                and not child.ladder.held
            )
            for child in self.children.values()
        )

    # ---- what holds now ------------------------------------------------------------------------------------------

    def known(self, name: str, program: ProgramId) -> Match | None:
        """Who a program is under a child's plan of today."""
        child = self.children.get(name)
        if child is None or child.moment is None:
            return None
        return self.matchers.of(child.rules, child.moment.day).match(program)

    def today(self, name: str = "") -> dt.date:
        """The policy day of trusted time, before the first tick that of the epoch."""
        child = self.children.get(name)
        if child is not None and child.moment is not None:
            return child.moment.day
        return policy_day(self.keeper.wall if self.keeper else 0, self.rules.zone, self.rules.reset)

    def child(self, name: str, wall: Millis) -> Child:
        """The child of this name; one that is new begins with the use that the ledger has of the day of ``wall``."""
        found = self.children.get(name)
        if found is None:
            rules = self.rules.children[name]
            day = moment(rules, wall).day.isoformat()
            found = self.children[name] = Child(rules, self.usage_of(name, day))
        return found


def _by_child(processes: Iterable[Process], accounts: Mapping[str, str]) -> dict[str, list[Process]]:
    by: dict[str, list[Process]] = {}
    for process in processes:
        by.setdefault(accounts.get(process.account, ""), []).append(process)
    return by
