"""Program starts between two ticks: each is answered at once, and what was refused is kept until the tick tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.model.program import Process
from agent.model.site import Said
from agent.model.verdict import AskFor, ProgramVerdict
from agent.platforms.base import Start
from agent.service.engine import Engine
from agent.service.learner import Learner
from agent.service.questions import Questions

MOST_DENIED = 512
"""Different programs between two ticks; a child can start more of them than anybody wants to read."""


@dataclass(slots=True)
class Denied:
    """Starts of one program that were refused since the last tick."""

    process: Process
    verdict: ProgramVerdict
    why: Said | str
    question: AskFor | None = None
    count: int = 1


@dataclass(slots=True)
class Starts:
    """``wake`` makes the next tick come soon."""

    engine: Engine
    questions: Questions
    learner: Learner
    wake: Callable[[], None]
    _holding: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    """Starts that were answered with ``HOLD`` since the last tick, by child."""
    _denied: dict[tuple[str, str], Denied] = field(default_factory=dict)

    def permit(self, process: Process) -> Start:
        """Whether a program image that has just started may run.  Quick, and without I/O: the host waits."""
        self.learner.started(process)
        verdict = self.questions.judge_start(process)
        if verdict is None or verdict.action not in ("block", "ask"):
            return Start.SETTLED if self.questions.settled(process, verdict) else Start.ALLOW
        child = self.engine.rules.accounts[process.account]
        why: Said | str = verdict.said or verdict.sentence
        question = None
        if verdict.action == "ask":
            held = self._holding.setdefault(child, set())
            closed, question = self.questions.must_close(process, verdict, len(held - {process.key}))
            if closed is None:
                held.add(process.key)
                self.wake()
                return Start.HOLD
            why = closed
        key = (child, verdict.program)
        seen = self._denied.get(key)
        if seen is not None:
            seen.count += 1
        elif len(self._denied) < MOST_DENIED:
            self._denied[key] = Denied(process, verdict, why, question)
        self.wake()
        return Start.DENY

    def otherwise(self, account: str) -> Start:
        """What to answer for an unknown program while ``permit`` cannot be asked."""
        return Start.ALLOW if self.questions.lets_unknown_in(account) else Start.DENY

    def take(self) -> Mapping[tuple[str, str], Denied]:
        """What was refused since the last tick, by child and ledger key; what was held is the tick's from now on."""
        self._holding.clear()
        denied, self._denied = self._denied, {}
        return denied
