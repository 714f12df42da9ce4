"""Writes down which programs children use while a guardian lets Fairtime learn; the engine then lets unknown ones run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from agent.clock import SECOND, Instant, Millis, between
from agent.core.learning import Learned, Learning
from agent.core.timewords import duration_words
from agent.errors import NotFound
from agent.model.program import Process, ProgramId
from agent.model.snapshot import Snapshot
from agent.service.engine import Engine

log = logging.getLogger(__name__)

LEARNING = "learning"
"""The key under which the ledger keeps it."""
MOST_BRIEF = 4096
"""Starts between two looks that are counted one by one: a build starts thousands."""

_Key = tuple[int, int, ProgramId]


@dataclass(slots=True)
class Learner:
    """What is learned of each child.  ``ended`` is told of a child whose learning ends by itself."""

    engine: Engine
    ended: Callable[[str], None] = lambda child: None
    of: dict[str, Learning] = field(default_factory=dict)
    changed: bool = False
    """There is something to save."""
    _seen: set[_Key] = field(default_factory=set)
    """Images that were counted and may still run."""
    _last: Instant | None = None

    def resume(self, saved: bytes | None) -> None:
        """Take up what an earlier run saved; what is damaged is forgotten, and learning is over: that is the strict side."""
        if saved is None:
            return
        try:
            self.of = msgspec.json.decode(saved, type=dict[str, Learning])
        except msgspec.DecodeError as error:
            log.error("what was learned is damaged: %s", error)  # its trace says no more
        self._tell_engine()

    def saved(self) -> bytes:
        """The state to save."""
        self.changed = False
        return msgspec.json.encode(self.of)

    def begin(self, child: str, seconds: int, by: str, wall: Millis) -> Learning:
        """Learn from now on; goes on with the list when it is learning already."""
        known = self.of.get(child)
        until = wall + seconds * SECOND
        if known is not None and not known.over:
            known.until, known.by = until, by
        else:
            known = self.of[child] = Learning(child=child, since=wall, until=until, by=by)
        self._tell_engine()
        return known

    def end(self, child: str, wall: Millis) -> Learning:
        """Learn no more; ``NotFound`` when it does not.  The list stays."""
        known = self.of.get(child)
        if known is None or known.over:
            raise NotFound(
                f"Fairtime is not learning which programs {child} uses", "Begin with “fairtime learn start”."
            )
        known.over, known.until = True, wall
        self._tell_engine()
        return known

    def forget(self, child: str) -> None:
        """Forget the list of a learning that is over."""
        known = self.of.get(child)
        if known is not None and known.over:
            del self.of[child]
            self.changed = True

    def started(self, process: Process) -> None:
        """A program image has started: also one that ends before the next look."""
        child = self.engine.rules.accounts.get(process.account)
        known = self.of.get(child or "")
        if known is not None and not known.over and len(self._seen) < MOST_BRIEF:
            self._count(known, process)

    def look(self, now: Instant, wall: Millis, snapshot: Snapshot) -> None:
        """Count what has started since the last look, and how long it runs."""
        before, self._last = self._last, now
        active = {child: one for child, one in self.of.items() if not one.over}
        if not active:
            self._seen.clear()
            return
        passed = between(before, now).awake if before is not None else 0
        alive: set[_Key] = set()
        used: dict[str, set[ProgramId]] = {child: set() for child in active}
        for process in snapshot.processes:
            child = self.engine.rules.accounts.get(process.account, "")
            known = active.get(child)
            if known is None or process.key in snapshot.held:
                continue
            alive.add((process.pid, process.started, process.program))
            self._count(known, process)
            used[child].add(process.program)
        self._seen &= alive
        for child, programs in used.items():
            decision = self.engine.children[child].decision if child in self.engine.children else None
            if decision is not None and decision.verdict.in_use and passed:
                self._add(active[child], programs, passed)
        for child, known in active.items():
            if wall >= known.until:
                known.over = True
                self._tell_engine()
                self.ended(child)

    # ---- within --------------------------------------------------------------------------------------------------

    def _count(self, known: Learning, process: Process) -> None:
        key = (process.pid, process.started, process.program)
        if key in self._seen:
            return
        self._seen.add(key)
        self.changed = True
        match = self.engine.known(known.child, process.program)
        if match is None or not match.key:
            known.system += 1
            return
        entry = known.entry(process.program, self.engine.today(known.child).isoformat())
        if entry is None:
            known.left_out += 1
            return
        entry.starts += 1
        entry.title = match.verdict.title
        entry.ruled = match.verdict.rule != f"{known.child}/unknown-programs"
        catalogue = self.engine.rules.children[known.child].catalogue.get(match.key)
        if catalogue is not None:
            entry.group = catalogue.group
            entry.program = catalogue.id if match.strong else ""

    def _add(self, known: Learning, programs: set[ProgramId], passed: Millis) -> None:
        entries: dict[int, Learned] = {}
        for program in programs:
            match = self.engine.known(known.child, program)
            if match is not None and match.key and match.verdict.action != "block":
                entry = known.entry(program, self.engine.today(known.child).isoformat())
                if entry is not None:
                    entries[id(entry)] = entry
        for entry in entries.values():
            entry.millis += passed
            self.changed = True

    def _tell_engine(self) -> None:
        self.changed = True
        self.engine.learning = {child for child, one in self.of.items() if not one.over}


def done_words(known: Learning, wall: Millis) -> str:
    """How long it will last, for whoever began it."""
    return f"Fairtime learns which programs {known.child} uses, for {duration_words(known.until - wall)}."


def active(of: Mapping[str, Learning], child: str) -> Learning | None:
    """The learning of a child that goes on now."""
    known = of.get(child)
    return known if known is not None and not known.over else None
