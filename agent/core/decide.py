"""One child, one instant: what is left, why, and what must be done now.

``decide`` is pure: a frozen situation in, a verdict with its reason, the effects that are due and the next state of the
ladder out.  The same situation always gives the same answer.

The ladder at time-up (DESIGN §7): notices at the policy's thresholds, each once per approach → grace to save → the chosen
ending, again each time it is undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from agent.clock import MINUTE, SECOND, Millis
from agent.core import telling
from agent.core.activity import Activity, activity
from agent.core.constraints import NO_USE, Allowance, Moment, allowance, paused
from agent.core.ending import clearing, endings, frozen_on
from agent.core.holding import Waiting, asked_guardians
from agent.core.judge import Judged, Running, goes_on, judge
from agent.core.programs import Matcher
from agent.core.rules import ChildRules
from agent.core.saying import own, say
from agent.core.usage import Seen
from agent.model.grant import Grant
from agent.model.program import Process
from agent.model.site import Said
from agent.model.snapshot import Session
from agent.model.usage import Folding, Usage
from agent.model.verdict import (
    Constraint,
    Effect,
    EndGrant,
    Ladder,
    NoticeKind,
    ProgramVerdict,
    Stage,
    Thaw,
    Verdict,
)

WARN_EVERY = MINUTE
_UP = Said("Time is up")
_DISAGREE = Said("Something says the screen is locked or idle while programs are in use.")
ONCE_WAITS = MINUTE
"""A permission for one run waits so long for its program to start again, should it not run any more."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision may depend on."""

    rules: ChildRules
    matcher: Matcher
    moment: Moment
    boot: Millis
    boot_id: str
    sessions: tuple[Session, ...]
    running: Running
    usage: Usage
    grants: tuple[Grant, ...]
    folding: Folding
    ladder: Ladder
    leftovers: tuple[str, ...] = ()
    """The child's accounts that run something though they have no session."""
    held: frozenset[tuple[int, int]] = frozenset()
    """Keys of the processes that the host holds still."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome: the verdict, what is due, how far down the ladder, and what holds until the next tick."""

    verdict: Verdict
    effects: tuple[Effect, ...]
    ladder: Ladder
    seen: Seen
    disagreement: bool
    judged: Judged


def decide(at: Situation) -> Decision:
    """Decide for one child."""
    name, now = at.rules.name, at.moment
    state, disagreement = activity(at.sessions)
    resting = paused(at.grants, now.wall)
    judged = judge(at.matcher, now, at.running, at.usage, at.grants)
    if now.plan.learning_after and not resting:
        counting = allowance(at.rules, now, at.usage, at.grants, at.folding, counts=True)
        if counting.remaining == 0 and counting.only_minutes:
            # Minutes are used up, but learning goes on: nothing that counts may run, and the session stays.
            judged = judged.without_counting(counting.binding)
        left = counting if judged.counts else allowance(at.rules, now, at.usage, at.grants, at.folding, counts=False)
    else:
        left = allowance(at.rules, now, at.usage, at.grants, at.folding, judged.counts)
    here = state not in (Activity.ABSENT, Activity.AWAY) or any(s.active and not s.locked_hint for s in at.sessions)
    free_now = any(start <= now.wall < end for start, end in now.free)
    stage: Stage = "paused"
    effects: list[Effect] = []
    ladder = replace(at.ladder, shown=(), grace_from=None)
    if not resting:
        stage, effects, ladder = _ladder(at, left, here)
    thaws, ladder = _thaw(at, stage, left, ladder)
    told, ladder = _learning_goes_on(at, judged, ladder)
    effects = [*effects, *thaws, *told]
    program_effects, ladder = _programs(at, judged, ladder)
    used_up = judged.used_up
    today = at.usage.days.get(now.today, NO_USE)
    verdict = Verdict(
        child=name,
        day=now.today,
        # While learning goes on, faces show what is true of everything else: the minutes are used up.
        remaining=left.remaining if used_up is None else 0,
        binding=left.binding if used_up is None else used_up,
        constraints=left.constraints if used_up is None else (used_up, *left.constraints),
        stage=stage,
        in_use=state in (Activity.USED, Activity.TOUCHED),
        free_now=free_now,
        used_today=today.total,
        granted_today=sum(g.seconds * 1000 for g in at.grants if g.kind == "time" and g.day == now.today),
        extra_left=left.extra,
        notes=(say(_DISAGREE),) if disagreement else (),
    )
    seen = Seen(
        child=name,
        activity=state,
        counts=judged.counts,
        programs=judged.keys,
        groups=judged.groups,
        paused=resting,
        free=now.free,
        natural_left=left.natural,
        extra_left=left.extra,
    )
    program_effects += _used_once(at, judged)
    return Decision(verdict, (*effects, *program_effects), ladder, seen, disagreement, judged)


def _learning_goes_on(at: Situation, judged: Judged, ladder: Ladder) -> tuple[list[Effect], Ladder]:
    """When minutes run out and learning goes on: say so once, and begin the grace for what counts."""
    if judged.used_up is None:
        return [], ladder if ladder.learning_from is None else replace(ladder, learning_from=None)
    if ladder.learning_from is not None:
        return [], ladder
    grace = at.moment.plan.grace if ladder.was_open and at.folding.in_use else 0
    said = _why(judged.used_up)
    if grace:
        said = _save(said, grace)
    notice = telling.tell(at.rules.name, "grace", _UP, goes_on(said), left=grace, rule=judged.used_up.rule)
    begun = replace(ladder, learning_from=at.boot - (at.moment.plan.grace - grace))
    return [notice] if any(s.active for s in at.sessions) else [], begun


def _ladder(at: Situation, left: Allowance, here: bool) -> tuple[Stage, list[Effect], Ladder]:
    ladder = (
        at.ladder
        if at.ladder.boot_id == at.boot_id
        else replace(
            at.ladder,
            boot_id=at.boot_id,
            grace_from=None,
            last_warned=0,
            was_open=False,
            learning_from=None,
            stopping=(),
        )
    )
    remaining = left.remaining
    if remaining is None or remaining > 0:
        effects, ladder = _notices(at, left, ladder, here)
        return "open", effects, replace(ladder, grace_from=None, was_open=here, last_warned=0)
    locked = left.binding is not None and left.binding.kind == "lock"
    held = at.moment.plan.mode == "block" or locked
    # "Lock now" means now.
    grace = 0 if locked else at.moment.plan.grace
    rule = left.binding.rule if left.binding else ""
    saving = ladder.grace_from is not None and at.boot < ladder.grace_from + grace
    left_over = clearing(at.rules.name, at.moment.plan, at.leftovers, rule) if held and not saving else []
    if not here:
        # Behind a locked screen there may be work to save; where no session is, there is none.
        return "up", [*left_over], ladder if at.sessions else replace(ladder, was_open=False)
    if not held:
        return _told_only(at, left, ladder)
    grace_from = ladder.grace_from
    if grace_from is None:
        # A session that starts when nothing is left has nothing to save.
        grace_from = at.boot if ladder.was_open else at.boot - grace
    grace_left = grace_from + grace - at.boot
    first = ladder.grace_from is None
    ladder = replace(ladder, grace_from=grace_from, shown=())
    if grace_left > 0:
        if not first:
            return "grace", [], ladder
        notice = telling.tell(
            at.rules.name, "grace", _UP, _save(_why(left.binding), grace_left), left=grace_left, rule=rule
        )
        return "grace", [notice], ladder
    due: list[Effect] = []
    if first or ladder.was_open:
        due.append(telling.tell(at.rules.name, "up", _UP, _why(left.binding), left=0, rule=rule))
    due += endings(at.rules.name, at.moment.plan, at.sessions, at.folding, rule)
    due += left_over
    return "up", due, replace(ladder, was_open=False, frozen=ladder.frozen or at.moment.plan.ending == "freeze")


def _thaw(at: Situation, stage: Stage, left: Allowance, ladder: Ladder) -> tuple[list[Effect], Ladder]:
    """Let go what is frozen as soon as nothing says any more that it must be."""
    plan = at.moment.plan
    held = stage in ("up", "grace") and (
        plan.mode == "block" or (left.binding is not None and left.binding.kind == "lock")
    )
    if not (ladder.frozen or any(s.frozen for s in at.sessions)) or frozen_on(plan, held=held):
        return [], ladder
    thaws: list[Effect] = [Thaw(child=at.rules.name, account=account) for account in at.rules.child.accounts]
    return thaws, replace(ladder, frozen=False)


def _notices(at: Situation, left: Allowance, ladder: Ladder, here: bool) -> tuple[list[Effect], Ladder]:
    remaining = left.remaining
    if remaining is None:
        return [], replace(ladder, shown=())
    shown = tuple(t for t in ladder.shown if remaining <= t)
    due = [t for t in at.moment.plan.notices if remaining <= t and t not in shown]
    if not due or not here:
        return [], replace(ladder, shown=shown)
    # After a sleep that passed several thresholds only the nearest one is news.
    kind: NoticeKind = "break" if left.binding and left.binding.kind == "break" else "time"
    said = _why(left.binding) if left.binding else own("")
    rule = left.binding.rule if left.binding else ""
    notice = telling.tell(at.rules.name, kind, _left_of(remaining), said, left=remaining, rule=rule)
    return [notice], replace(ladder, shown=(*shown, *due))


def _why(limit: Constraint | None) -> Said:
    if limit is None:
        return Said("Your time is up.")
    return limit.said or own(limit.sentence)


def _save(why: Said, grace: Millis) -> Said:
    return Said("{why} You have {time} to save your work.", (("why", why), ("time", grace // SECOND)))


def _left_of(millis: Millis) -> Said:
    return Said("{time} left", (("time", _rounded(millis) // SECOND),))


def _rounded(millis: Millis) -> Millis:
    """To the nearest minute above two minutes: the notice at 15 min says 15, not 14."""
    return round(millis / MINUTE) * MINUTE if millis > 2 * MINUTE else -(-millis // 1000) * 1000


def _told_only(at: Situation, left: Allowance, ladder: Ladder) -> tuple[Stage, list[Effect], Ladder]:
    """Modes ``inform`` and ``warn``: an agreement, not a lock."""
    again = at.moment.plan.mode == "warn" and at.boot - ladder.last_warned >= WARN_EVERY
    if ladder.grace_from is not None and not again:
        return "up", [], ladder
    notice = telling.tell(at.rules.name, "up", Said("Time is up, as agreed"), _why(left.binding), left=0)
    return "up", [notice], replace(ladder, grace_from=ladder.grace_from or at.boot, last_warned=at.boot, shown=())


def _programs(at: Situation, judged: Judged, ladder: Ladder) -> tuple[list[Effect], Ladder]:
    """Stop what may not run, once told; give a program whose minutes ran out the grace to save."""
    effects: list[Effect] = []
    before = frozenset(ladder.told)
    told, stopping = set(before), dict(ladder.stopping)
    day = at.moment.today
    waiting = _waiting(at, ladder)
    running: set[str] = set()
    first = at.moment.plan.notices[0] if at.moment.plan.notices else 0
    for program, verdict in judged.verdicts.items():
        settled = (verdict.left is None and not stopping) or verdict.program in running
        if settled and verdict.action == "allow":
            continue  # nearly every program at nearly every tick: nothing to do, or done for its first image
        running.add(verdict.program)
        once = f"{day}/{verdict.program}"
        far = verdict.left is not None and verdict.left > first and verdict.action == "allow" and not stopping
        if far and f"{once}/open" in told and f"{once}/{first}" not in told and f"{once}/up" not in told:
            continue  # nearly every one with minutes of its own: they are not near their end, and were not since the last notice
        match verdict.action:
            case "ask":
                effects += waiting.ask(program, verdict, at.running[program], told)
            case "block":
                if not _in_grace(at, judged, verdict, ladder):
                    effects += _stopped(at, verdict, at.running[program], once, told, stopping)
            case "warn" | "inform" if once not in told:
                told.add(once)
                effects.append(telling.notice(at.rules.name, verdict.action, verdict, verdict.said or verdict.sentence))
            case _:
                if verdict.left is not None:
                    stopping.pop(verdict.program, None)
                    told.discard(f"{once}/up")
                    told.add(f"{once}/open")
                    effects += _program_notices(at, verdict, verdict.left, once, told)
    if at.held or waiting.held:
        effects += waiting.settle(at.running, judged.verdicts)
    for key in [p for p in stopping if p not in running]:
        del stopping[key]
        told.discard(f"{day}/{key}/open")
    old = {t for t in told if not t.startswith(day)}
    if old:
        told -= old - {telling.once(process) for found in at.running.values() for process in found}
    held = tuple(waiting.held.values())
    if told == before and tuple(stopping.items()) == ladder.stopping and held == ladder.held:
        return effects, ladder
    return effects, replace(ladder, told=tuple(sorted(told)), stopping=tuple(stopping.items()), held=held)


def _waiting(at: Situation, ladder: Ladder) -> Waiting:
    return Waiting(
        child=at.rules.name,
        boot=at.boot,
        within=at.moment.plan.answer_within,
        guardians=asked_guardians(at.rules.family),
        seated={session.account for session in at.sessions},
        present=at.held,
        held={(one.pid, one.started): one for one in ladder.held},
    )


def _used_once(at: Situation, judged: Judged) -> list[Effect]:
    """End each permission for one run whose program was closed."""
    once = [g for g in at.grants if g.once and g.kind == "program" and at.moment.wall - g.given > ONCE_WAITS]
    if not once:
        return []
    used = {verdict.rule for verdict in judged.verdicts.values()}
    return [EndGrant(child=at.rules.name, grant=g.id) for g in once if f"grant/{g.id}" not in used]


def _stopped(
    at: Situation,
    verdict: ProgramVerdict,
    processes: tuple[Process, ...],
    once: str,
    told: set[str],
    stopping: dict[str, Millis],
) -> list[Effect]:
    """Stop a program that may not run: at once when it never might, after the grace when its minutes ran out."""
    effects: list[Effect] = []
    ran_out = verdict.left == 0 and (verdict.program in stopping or f"{once}/open" in told)
    if ran_out:
        since = stopping.setdefault(verdict.program, at.boot)
        if f"{once}/up" not in told:
            told.add(f"{once}/up")
            effects.append(telling.notice(at.rules.name, "grace", verdict, verdict.said or verdict.sentence))
        if at.boot - since < at.moment.plan.grace:
            return effects
    for process in processes:
        if not ran_out and telling.once(process) not in told:
            told.add(telling.once(process))
            effects.append(telling.notice(at.rules.name, "blocked", verdict, verdict.said or verdict.sentence))
        effects.append(telling.stop(at.rules.name, process, verdict, verdict.sentence, at_once=not ran_out))
    return effects


def _in_grace(at: Situation, judged: Judged, verdict: ProgramVerdict, ladder: Ladder) -> bool:
    """Whether this program is blocked only because the minutes ran out a moment ago."""
    if judged.used_up is None or verdict.rule != judged.used_up.rule or ladder.learning_from is None:
        return False
    return at.boot - ladder.learning_from < at.moment.plan.grace


def _program_notices(at: Situation, verdict: ProgramVerdict, left: Millis, once: str, told: set[str]) -> list[Effect]:
    thresholds = at.moment.plan.notices
    if thresholds and left > thresholds[0] and f"{once}/{thresholds[0]}" not in told:
        return []
    due = [t for t in thresholds if left <= t and f"{once}/{t}" not in told]
    for threshold in thresholds:
        if left > threshold:
            told.discard(f"{once}/{threshold}")
    if not due:
        return []
    told.update(f"{once}/{t}" for t in due)
    places = (("time", _rounded(left) // SECOND), ("title", verdict.title))
    said = Said("{time} left for {title} today.", places)
    return [telling.notice(at.rules.name, "time", verdict, said, left)]
