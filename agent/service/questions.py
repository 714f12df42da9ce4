"""What is asked of the engine between two ticks: may this program start, may this account come in, and why.

Quick, and without I/O: a starting program, or a login, waits for the answer.  No answer changes what a tick decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.clock import Instant, Millis
from agent.core.constraints import Moment, moment
from agent.core.holding import asked_guardians, identity_of, no_room, question
from agent.core.judge import verdict_on
from agent.core.login import COME_IN, Entry, entry
from agent.core.programs import Match, needs_hash
from agent.core.usage import new_day
from agent.model.program import Process, ProgramId
from agent.model.site import Said
from agent.model.verdict import AskFor, Ladder, ProgramVerdict
from agent.service.engine import Child, Engine


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers from what the engine's last tick left, or, between a new policy and its first tick, from the new policy."""

    engine: Engine

    # ---- programs that start -------------------------------------------------------------------------------------

    def judge_start(self, process: Process) -> ProgramVerdict | None:
        """The verdict on a program image that has just started, or is about to; ``None`` when it is plumbing, or when the
        next tick must look closer."""
        child = self._child_of(process.account)
        at = self._moment(child) if child is not None else None
        if child is None or at is None:
            return None
        matcher = self.engine.matchers.of(child.rules, at.day)
        match = matcher.match(process.program)
        if not match.key:
            return None
        grants = self.engine.grants_of(child.rules.name)
        hash_matters = needs_hash(matcher.plan) or any(
            g.kind == "program" and g.subject.startswith("sha256:") for g in grants
        )
        verdict = verdict_on(matcher, process.program, at, child.usage, grants)
        # The machine's own files are known by their place; only others are ever hashed.  What must be asked for can stand
        # still until its hash is known.
        if hash_matters and not process.program.sha256 and not process.program.protected and verdict.action != "ask":
            return None
        return child.decision.judged.narrowed(verdict) if child.decision else verdict

    def must_close(self, process: Process, verdict: ProgramVerdict, waiting: int) -> tuple[Said | None, AskFor | None]:
        """Why a starting program that must be asked for cannot be held (``None``: it can), and the question it leaves.

        ``waiting``: how many of the child's programs were held since the last tick.
        """
        name = self.engine.rules.accounts[process.account]
        child = self.engine.children[name]
        within = child.rules.plan(self.engine.today(name)).answer_within
        why = no_room(verdict.title, process.program, within, len(child.ladder.held) + waiting)
        if why is None or within or not identity_of(process.program):
            return why, None
        return why, question(name, asked_guardians(self.engine.rules.policy.family), verdict, process.program, 0)

    def settled(self, process: Process, verdict: ProgramVerdict | None) -> bool:
        """Whether this verdict of ``judge_start``, which lets the program in, holds for its file until ``footing`` changes.

        Not for what has minutes or hours of its own, nor for a grant, which ends by the clock; and only for files of the
        machine, which the child can neither change nor put elsewhere.
        """
        child = self._child_of(process.account)
        if child is None or child.moment is None or child.decision is None or not process.program.protected:
            return False
        match = self.engine.matchers.of(child.rules, child.moment.day).match(process.program)
        if match.limits:
            return False
        return not match.key or (verdict is not None and not verdict.rule.startswith("grant/"))

    def footing(self) -> Mapping[str, tuple[object, ...]]:
        """What every settled answer rests on beside the policy: the day, the grants, and whether minutes are used up."""
        found = {}
        for name, child in self.engine.children.items():
            used_up = child.decision.judged.used_up if child.decision is not None else None
            day = child.moment.day if child.moment is not None else None
            found[name] = (day, child.rules.learning, child.grants, used_up.rule if used_up is not None else "")
        return found

    def lets_unknown_in(self, account: str) -> bool:
        """Whether the account's child may run programs that no rule names."""
        child = self._child_of(account)
        at = self._moment(child) if child is not None else None
        return at is None or at.plan.unknown not in ("block", "ask")

    # ---- people --------------------------------------------------------------------------------------------------

    def entry(self, account: str, now: Instant, wall: Millis) -> Entry:
        """Whether an account may begin a session at trusted time ``wall``.  Changes nothing."""
        name = self.engine.rules.accounts.get(account)
        if name is None:
            return COME_IN
        child = self.engine.child(name, wall)
        at = moment(child.rules, wall, child.moment)
        fresh = child.moment is not None and at.day != child.moment.day
        usage = new_day(child.usage, at.day.isoformat()) if fresh else child.usage
        ladder = child.ladder if child.ladder.boot_id == now.boot_id else Ladder()
        return entry(child.rules, at, usage, self.engine.grants_of(name), child.folding, ladder, now.boot)

    def match(self, child: Child, program: ProgramId) -> Match:
        """Who a program is under the child's plan of now."""
        assert child.moment is not None, "asked before the first step"
        return self.engine.matchers.of(child.rules, child.moment.day).match(program)

    def why(self, child: Child, program: ProgramId) -> ProgramVerdict:
        """What would be decided about a program now."""
        assert child.moment is not None, "asked before the first step"
        matcher = self.engine.matchers.of(child.rules, child.moment.day)
        return verdict_on(matcher, program, child.moment, child.usage, self.engine.grants_of(child.rules.name))

    # ---- within --------------------------------------------------------------------------------------------------

    def _child_of(self, account: str) -> Child | None:
        name = self.engine.rules.accounts.get(account)
        return self.engine.children.get(name) if name is not None else None

    def _moment(self, child: Child) -> Moment | None:
        """As of the last tick, or, between a new policy and the next tick, as the new policy has it."""
        keeper = self.engine.keeper
        if child.moment is not None or keeper is None:
            return child.moment
        return moment(child.rules, keeper.wall)
