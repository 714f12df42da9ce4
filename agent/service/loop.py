"""The tick: observe → decide → apply → record, once a second and at once when something cannot wait.

The loop is the only caller of the engine and of the host.  It outlives a full disk and a host that stumbles: both become
a *trouble* with a name, shown to everyone, while limits hold on with what is known.  Anything else that goes wrong is a
bug; it ends the process, and systemd starts it again with at most ``SAVE_EVERY`` of use unaccounted for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.clock import MINUTE, SECOND, Instant, Millis
from agent.core import telling
from agent.core.rules import Rules
from agent.core.saying import own
from agent.core.usage import added
from agent.errors import HostError, NotFound, Refused, StoreError
from agent.model.grant import Request
from agent.model.program import ProgramId
from agent.model.record import EventKind, LedgerEvent
from agent.model.site import Said
from agent.model.snapshot import Snapshot
from agent.model.usage import Charge
from agent.model.verdict import AskFor, EndGrant, Notify
from agent.platforms.base import Capability, Host, Supervisor
from agent.service.effects import Effects
from agent.service.engine import Engine, Step
from agent.service.idleness import Idleness
from agent.service.learner import LEARNING, Learner
from agent.service.questions import Questions
from agent.service.starts import Denied, Starts
from agent.service.store import Store

log = logging.getLogger(__name__)

TICK = 1.0
EASY = 2.5
"""Seconds between ticks while the host tells of sessions and starts by itself and nothing is near: two to a save."""
CALM = 4.0
"""The same while no child is at the PC."""
SHORTEST = 0.1
"""Seconds between two ticks however often the host wakes the loop: a child can start programs without end."""
SAVE_EVERY = 5 * SECOND
SAVE_CALM = MINUTE
NOTICE_AGAIN = 10 * SECOND
"""A program that is started over and over is told of this often; every start is counted."""
MOST_REMEMBERED = 256
ENGINE = "engine"
"""The key under which the ledger keeps the engine's state."""


def _nothing_to_heed(_: Snapshot) -> None:
    """Until the service says who heeds."""


@dataclass(slots=True)
class Loop:
    """Runs the engine on a host.  ``push`` shows a notice, ``changed`` says that faces have something new to show."""

    host: Host
    engine: Engine
    store: Store
    supervisor: Supervisor
    push: Callable[[Notify], None]
    changed: Callable[[], None]
    heed: Callable[[Snapshot], None] = _nothing_to_heed
    """Called after each observation."""
    save_every: Millis = SAVE_EVERY
    troubles: dict[str, str] = field(default_factory=dict)
    """What does not work now, in words for a guardian, by what it is."""
    snapshot: Snapshot = field(default_factory=Snapshot)
    remembered: dict[tuple[str, str], ProgramId] = field(default_factory=dict)
    """Programs that were refused lately, by child and ledger key: a guardian may permit exactly these."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the first tick under the policy in force: questions have answers from then on."""
    idleness: Idleness = field(default_factory=Idleness)
    questions: Questions = field(init=False)
    effects: Effects = field(init=False)
    learner: Learner = field(init=False)
    starts: Starts = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _told: dict[tuple[str, str, str], Millis] = field(default_factory=dict)
    learned: Callable[[str], None] = lambda child: None
    """Told of a child whose learning has ended by itself."""
    _learning_saved: Millis = 0
    _charges: list[Charge] = field(default_factory=list)
    _saved: Millis | None = None
    """Time since boot up to which use is written."""
    _line: str = ""
    """What the supervisor was told last."""
    _events: bool = False
    _footing: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.questions = Questions(self.engine)
        self.learner = Learner(self.engine, self._learned)
        self.learner.resume(self.store.state(LEARNING))
        self.starts = Starts(self.engine, self.questions, self.learner, self.wake)
        self.effects = Effects(
            self.host,
            lambda notice: self._tell(self.host.clock.now(), notice),
            self._record,
            self._ask,
            self._end_grant,
        )
        present = {a.capability for a in self.host.abilities() if a.present}
        self._events = {Capability.SESSIONS, Capability.START_EVENTS} <= present

    # ---- life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tick until cancelled; then save."""
        self.watch(self.engine.rules)
        try:
            await self.tick()
            # From here on there is an answer to every question.
            self.host.on_start(self.starts.permit, self.starts.otherwise)
            while True:
                await self._rest()
                await self.tick()
        finally:
            self.save()

    def watch(self, rules: Rules) -> None:
        self.host.watch(tuple(rules.accounts))

    def adopt(self, rules: Rules) -> None:
        """A new policy comes into force with the next tick, which comes at once."""
        self.ready.clear()  # nobody has a verdict under it yet; questions wait for that tick
        self.engine.adopt(rules)
        self.watch(rules)
        self.host.unsettle()
        self.wake()

    def wake(self) -> None:
        """Tick soon; from the loop's own thread."""
        self._wake.set()

    async def _rest(self) -> None:
        """Until the next tick is due, or something cannot wait; one wake-up of the processor when nothing happens."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        due = loop.call_later(self.pause(), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            due.cancel()
        early = begun + SHORTEST - loop.time()
        if early > 0:
            await asyncio.sleep(early)
        self._wake.clear()

    def pause(self) -> float:
        """Seconds until a tick is due though nothing happens: no save and no ending that must come again waits for long."""
        if not self._events:
            usual = TICK
        elif not self.snapshot.sessions and not self.snapshot.processes:
            usual = CALM
        else:
            usual = EASY if self.engine.easy else TICK
        due, again = self._save_due(bool(self._charges)), self.effects.again
        if again is not None:
            due = min(due, again)
        # A millisecond more: asyncio may call a little early, and that tick would be for nothing.
        return min(usual, max(due - self.host.clock.now().boot + 1, 0) / 1000)

    # ---- one tick ------------------------------------------------------------------------------------------------

    async def tick(self) -> Step:
        """Observe, decide, apply, record."""
        now = self.host.clock.now()
        self.snapshot = await self._observe()
        step = self.engine.step(now, self.snapshot)
        footing = self.questions.footing()
        if footing != self._footing:
            self._footing = footing
            self.host.unsettle()
        self.learner.look(now, self.wall, self.snapshot)
        if self.learner.changed and now.boot - self._learning_saved >= MINUTE:
            self.save_learning()
        self.heed(self.snapshot)
        self._tell_denied(now, self.starts.take())
        await self.effects.apply(step.effects, now.boot)
        self._charges += step.charges
        for event in step.events:
            self.enter(event)
        busy = bool(step.charges or step.effects or step.new_day)
        if step.new_day or now.boot >= self._save_due(busy or bool(self._charges)):
            self.save()
        if step.changed or step.effects:
            self.changed()
        line, self._line = self._line, self.line
        self.supervisor.alive("" if line == self._line else self._line)
        self.ready.set()
        return step

    @property
    def line(self) -> str:
        """How the service is, in a line for its supervisor."""
        wrong = (*self.snapshot.degraded, *self.troubles.values())
        return "; ".join(("watching", *wrong))

    def save_learning(self) -> None:
        """Write what was learned."""
        self._learning_saved = self.host.clock.now().boot
        try:
            self.store.record((), {LEARNING: self.learner.saved()})
        except StoreError as error:
            self.stumbled("ledger", error.title, error.advice)

    def _learned(self, child: str) -> None:
        """Learning has ended by itself."""
        self.save_learning()
        text = Said("Fairtime has stopped learning which programs you use. What is new must be asked for again.")
        self.push(telling.tell(child, "state", Said("Learning is over"), text))
        self.learned(child)
        self.wake()
        self.changed()

    def save(self) -> None:
        """Write what was used since the last time, with the state that goes with it."""
        if self.engine.keeper is None:
            return
        charges, self._charges = self._charges, []
        try:
            self.store.record(charges, {ENGINE: self.engine.saved()})
        except StoreError as error:
            self.stumbled("ledger", error.title, error.advice)
        else:
            self.recovered("ledger")
        self._saved = self.engine.last.boot if self.engine.last else None

    def _save_due(self, busy: bool) -> Millis:
        """Time since boot of the next save; ``busy``: use or a decision waits to be written."""
        if self._saved is None:
            return 0
        return self._saved + (self.save_every if busy else max(SAVE_CALM, self.save_every))

    async def _observe(self) -> Snapshot:
        try:
            snapshot = await self.host.observe()
        except (HostError, OSError) as error:
            # What was seen last still holds: a host that stumbles must not look like an empty chair.
            self.stumbled("sight", f"Fairtime cannot see what runs on this PC: {error}", "")
            return replace(self.snapshot, mended=())
        self.recovered("sight")
        return self.idleness.put(snapshot, self.host.clock.now().boot)

    # ---- program starts ------------------------------------------------------------------------------------------

    def _tell_denied(self, now: Instant, denied: Mapping[tuple[str, str], Denied]) -> None:
        for (child, program), one in denied.items():
            verdict = one.verdict
            self.remember(child, program, one.process.program)
            kind: EventKind = "asked" if verdict.action == "ask" else "blocked"
            self._record(child, kind, program, verdict.rule, telling.text_of(one.why), count=one.count)
            if one.question is not None:
                self._ask(one.question)
                continue
            self._tell(now, telling.notice(child, "blocked", verdict, one.why))

    def _ask(self, question: AskFor) -> None:
        """Ask the guardians in the child's name; the same program is asked for once as long as nobody has answered."""
        text = question.said or own(question.sentence)
        request = Request(
            id=secrets.token_hex(6),
            child=question.child,
            kind="program",
            subject=question.title,
            identity=question.identity,
            place=question.place,
            asked=self.wall,
        )
        try:
            if self.store.add_request(request) == request:
                self._record(question.child, "asked", question.program, question.rule, question.title)
                self.changed()
        except Refused:
            text = Said(
                "{title} is new here. Many questions are open already: talk with your guardians.",
                (("title", question.title),),
            )
        except StoreError as error:
            self.stumbled("ledger", error.title, error.advice)
            text = Said(
                "{title} is new here. It could not be written down: ask your guardians yourself.",
                (("title", question.title),),
            )
        self._tell(self.host.clock.now(), telling.notice(question.child, "ask", question, text))

    def _end_grant(self, effect: EndGrant) -> None:
        try:
            self.store.end_grant(effect.grant, self.wall)
        except StoreError as error:
            self.stumbled("ledger", error.title, error.advice)
        except NotFound:
            log.warning("a permission for one run is gone already")

    @property
    def wall(self) -> Millis:
        """Trusted time of the last tick."""
        keeper = self.engine.keeper
        return keeper.wall if keeper else self.host.clock.now().wall

    def _tell(self, now: Instant, notice: Notify) -> None:
        """Push a notice; that a program is not allowed is told once in a while, however it was noticed."""
        if notice.kind in ("blocked", "ask"):
            key = (notice.child, notice.program, notice.kind)
            told = self._told.get(key)
            if told is not None and now.boot - told < NOTICE_AGAIN:
                return
            if len(self._told) >= MOST_REMEMBERED:
                self._told.clear()
            self._told[key] = now.boot
        self.push(notice)

    def remember(self, child: str, program: str, identity: ProgramId) -> None:
        """Keep who a refused program was, so that a guardian can permit this one and no namesake."""
        self.remembered.pop((child, program), None)
        while len(self.remembered) >= MOST_REMEMBERED:
            del self.remembered[next(iter(self.remembered))]
        self.remembered[child, program] = identity

    # ---- use of sites --------------------------------------------------------------------------------------------

    def charge(self, charges: Iterable[Charge]) -> None:
        """Use that something else than the tick has seen; it counts from the next tick on, which comes soon."""
        for charge in charges:
            child = self.engine.children.get(charge.child)
            if child is not None:
                child.usage = added(child.usage, (charge,))
                self._charges.append(charge)
        self.wake()

    # ---- events --------------------------------------------------------------------------------------------------

    def event(self, child: str, kind: EventKind, subject: str, rule: str, text: str) -> None:
        """Enter an event at trusted time."""
        self._record(child, kind, subject, rule, text)

    def _record(self, child: str, kind: EventKind, subject: str, rule: str, text: str, *, count: int = 1) -> None:
        day = self.engine.today(child).isoformat()
        self.enter(
            LedgerEvent(
                at=self.wall, day=day, child=child, kind=kind, subject=subject, rule=rule, text=text, count=count
            )
        )

    def enter(self, event: LedgerEvent) -> None:
        """Enter an event."""
        try:
            self.store.add_event(event)
        except StoreError as error:
            self.stumbled("ledger", error.title, error.advice)

    def stumbled(self, what: str, title: str, advice: str = "") -> None:
        """Something does not work: everyone is told until it has ``recovered``."""
        words = f"{title} {advice}".strip()
        if self.troubles.get(what) != words:
            log.error("%s: %s", what, words)
            self.troubles[what] = words
            self.changed()

    def recovered(self, what: str) -> None:
        """It works, again or still."""
        if self.troubles.pop(what, None) is not None:
            log.warning("%s: works again", what)
            self.changed()
