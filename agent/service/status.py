"""What faces are shown, built from the engine's last decisions.  Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.clock import SECOND
from agent.core.explain import said
from agent.core.rules import ChildRules, Plan, ProgramLimit
from agent.core.saying import say
from agent.ipc.answers import ChildState, ProgramUse, SiteTime
from agent.model.grant import Grant, Request
from agent.model.site import Said
from agent.model.usage import DayUse
from agent.model.verdict import ProgramVerdict
from agent.service.engine import Child

MOST_PROGRAMS = 40
MOST_ALLOWED = 60


def child_state(
    child: Child,
    grants: Iterable[Grant],
    requests: Iterable[Request],
    goal: int | None,
    learning: Said | None = None,
    sites: Iterable[SiteTime] = (),
) -> ChildState:
    """The state of one child after a tick; whole seconds, rounded down so that nobody is promised too much."""
    decision, at = child.decision, child.moment
    assert decision is not None, "asked before the first tick"
    assert at is not None, "asked before the first tick"
    verdict = decision.verdict
    today = child.usage.days.get(verdict.day, DayUse())
    why = said(verdict)
    running = {v.program: v for v in decision.judged.verdicts.values()}
    return ChildState(
        child=verdict.child,
        verdict=verdict,
        seconds_left=None if verdict.remaining is None else verdict.remaining // SECOND,
        sentence=say(why),
        said=why,
        budget_today=None if at.plan.budget is None else at.plan.budget // SECOND,
        programs=_programs(child.rules, at.plan, today, running),
        sites=tuple(sites),
        allowed=_allowed(child.rules, at.plan),
        goal=goal,
        requests=tuple(requests),
        grants=tuple(grants),
        learning="" if learning is None else say(learning),
        learning_said=learning,
    )


def title_of(rules: ChildRules, key: str) -> str:
    """The name people know a program by."""
    entry = rules.catalogue.get(key)
    return entry.name if entry else key


def _programs(
    rules: ChildRules, plan: Plan, today: DayUse, running: Mapping[str, ProgramVerdict]
) -> tuple[ProgramUse, ...]:
    found = []
    for key, millis in sorted(today.programs.items(), key=lambda item: -item[1])[:MOST_PROGRAMS]:
        verdict = running.get(key)
        left = verdict.left if verdict else _left(plan.programs, key, millis)
        found.append(
            ProgramUse(
                program=key,
                title=verdict.title if verdict else title_of(rules, key),
                seconds=millis // SECOND,
                left=None if left is None else left // SECOND,
                counts=verdict.counts if verdict else True,
            )
        )
    return tuple(found)


def _left(limits: Iterable[ProgramLimit], key: str, used: int) -> int | None:
    for limit in limits:
        if limit.budget is not None and key in (limit.source.program, limit.source.id, limit.source.name):
            return max(0, limit.budget - used)
    return None


def _allowed(rules: ChildRules, plan: Plan) -> tuple[str, ...]:
    """What the child may use without asking, groups first."""
    groups, programs = [], []
    for limit in plan.programs:
        if limit.action not in ("allow", "inform", "warn"):
            continue
        if limit.source.group:
            groups.append(limit.title)
        else:
            programs.append(title_of(rules, limit.source.program) if limit.source.program else limit.title)
    return tuple(dict.fromkeys((*groups, *programs)))[:MOST_ALLOWED]
