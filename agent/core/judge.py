"""What each running program may do now, and whether what runs counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agent.clock import Millis
from agent.core.constraints import Moment
from agent.core.programs import Match, Matcher
from agent.core.rules import ProgramLimit, clock_words
from agent.core.schedule import holding, opening, week_start
from agent.model.grant import Grant
from agent.model.program import Process, ProgramId
from agent.model.usage import DayUse, Usage
from agent.model.verdict import Constraint, ProgramVerdict


@dataclass(frozen=True, slots=True)
class Judged:
    """All of a child's programs at one moment; plumbing is left out."""

    verdicts: tuple[tuple[Process, ProgramVerdict], ...]
    keys: tuple[str, ...]
    """Programs to record as running, sorted."""
    groups: tuple[str, ...]
    counts: bool

    used_up: Constraint | None = None
    """The minutes that are used up while learning goes on: nothing that counts may run."""

    def without_counting(self, because: Constraint | None) -> Judged:
        """The same with everything that counts blocked, because the minutes are used up."""
        after = replace(self, used_up=because, counts=False)
        return replace(after, verdicts=tuple((process, after.narrowed(verdict)) for process, verdict in self.verdicts))

    def narrowed(self, verdict: ProgramVerdict) -> ProgramVerdict:
        """A verdict on one program with ``used_up`` applied."""
        if self.used_up is None or not verdict.counts or verdict.action not in ("allow", "inform", "warn"):
            return verdict
        sentence = f"{self.used_up.sentence} Programs that do not count can go on."
        return _with(verdict, "block", self.used_up.rule, sentence, left=0)


def judge(matcher: Matcher, now: Moment, processes: Sequence[Process], usage: Usage, grants: Iterable[Grant]) -> Judged:
    """Judge every process of a child."""
    permits = tuple(g for g in grants if g.kind == "program" and (g.until is None or g.until > now.wall))
    fresh: dict[ProgramId, ProgramVerdict | None] = {}
    verdicts: list[tuple[Process, ProgramVerdict]] = []
    for process in processes:
        identity = process.program
        try:
            verdict = fresh[identity]
        except KeyError:
            match = matcher.match(identity)
            verdict = fresh[identity] = _verdict(matcher, match, identity, now, usage, permits) if match.key else None
        if verdict is not None:
            verdicts.append((process, verdict))
    keys: set[str] = set()
    groups: set[str] = set()
    counted = exempt = False
    for verdict in fresh.values():
        if verdict is None or verdict.action in ("block", "ask"):
            continue
        keys.add(verdict.program)
        groups.update(verdict.groups)
        if verdict.counts:
            counted = True
        else:
            exempt = True
    # With "listed", only what is listed counts; otherwise all counts unless nothing runs but programs that do not.
    counts = counted if now.plan.count_listed else counted or not exempt
    return Judged(tuple(verdicts), tuple(sorted(keys)), tuple(sorted(groups)), counts)


def verdict_on(
    matcher: Matcher, program: ProgramId, now: Moment, usage: Usage, grants: Iterable[Grant]
) -> ProgramVerdict:
    """What would be decided about a program now (``fairtime why``, and the start-event path)."""
    permits = tuple(g for g in grants if g.kind == "program" and (g.until is None or g.until > now.wall))
    return _verdict(matcher, matcher.match(program), program, now, usage, permits)


def permitted(subject: str, program: ProgramId, key: str, strong: bool) -> bool:
    """Whether a temporary permission for ``subject`` covers this program: by hash, package or protected place, never by
    a bare name."""
    kind, _, value = subject.partition(":")
    match kind:
        case "sha256":
            return bool(value) and program.sha256 == value
        case "path":
            return program.path == value and program.protected
        case "program":
            return strong and key == value
        case _:
            return bool(subject) and program.package == subject


def _verdict(
    matcher: Matcher, match: Match, program: ProgramId, now: Moment, usage: Usage, permits: tuple[Grant, ...]
) -> ProgramVerdict:
    limit = match.limit
    sentence = _sentence(match, limit)
    verdict = ProgramVerdict(
        action=match.action,
        rule=match.rule,
        sentence=sentence,
        program=match.key or program.name,
        title=match.title,
        counts=match.counts,
        groups=match.groups,
    )
    for grant in permits:
        if permitted(grant.subject, program, match.key, match.strong):
            until = f" until {clock_words(grant.until, matcher.rules.zone)}" if grant.until else ""
            return _with(verdict, "allow", f"grant/{grant.id}", f"{grant.by} allowed {match.title}{until}.")
    if match.action in ("block", "ask"):
        return verdict
    limits = [one for one in (limit, *match.group_limits) if one is not None]
    left: Millis | None = None
    for one in limits:
        if one.action == "block" and one is not limit:
            continue
        shut = _shut(matcher, one, now)
        if shut:
            return _with(verdict, "block", one.id, shut)
        rest = _left(one, match, usage, now)
        if rest is not None and (left is None or rest < left):
            left, rule = rest, one.id
    if left == 0:
        text = f"Today's time for {match.title} is used up."
        return _with(verdict, "block", rule, text, left=0)
    if left is None:
        return verdict
    return _with(verdict, verdict.action, verdict.rule, verdict.sentence, left=left)


def _shut(matcher: Matcher, limit: ProgramLimit, now: Moment) -> str:
    """Why a rule's own hours are shut now; empty when they are not."""
    open_spans = matcher.hours(limit)
    if open_spans is None or holding(now.wall, open_spans):
        return ""
    again = opening(now.wall, open_spans)
    when = f" It opens at {clock_words(again, matcher.rules.zone)}." if again else ""
    return f"{limit.title} has its own hours, and this is outside them.{when}"


def _left(limit: ProgramLimit, match: Match, usage: Usage, now: Moment) -> Millis | None:
    """What a rule's own minutes leave; ``None`` without any."""
    found: list[Millis] = []
    if limit.budget is not None:
        found.append(limit.budget - _used(limit, match, usage.days.get(now.day.isoformat())))
    if limit.week is not None:
        monday = week_start(now.day)
        used = sum(
            _used(limit, match, usage.days.get(day))
            for day in usage.days
            if monday.isoformat() <= day <= now.day.isoformat()
        )
        found.append(limit.week - used)
    return max(0, min(found)) if found else None


def _used(limit: ProgramLimit, match: Match, use: DayUse | None) -> Millis:
    if use is None:
        return 0
    if limit.source.group:
        return use.groups.get(limit.source.group, 0)
    return use.programs.get(match.key, 0)


def _sentence(match: Match, limit: ProgramLimit | None) -> str:
    if limit is not None and limit.source.reason:
        return limit.source.reason
    match match.action:
        case "block":
            return f"{match.title} is not on your list of programs."
        case "ask":
            return f"{match.title} is new here. Ask a guardian for it."
        case "warn":
            return f"{match.title}: talk about this one with a guardian."
        case _:
            return f"{match.title} is allowed."


def _with(
    verdict: ProgramVerdict, action: str, rule: str, sentence: str, *, left: Millis | None = None
) -> ProgramVerdict:
    return ProgramVerdict(
        action=action,  # type: ignore[arg-type]  # callers pass Action's literals
        rule=rule,
        sentence=sentence,
        program=verdict.program,
        title=verdict.title,
        left=left,
        counts=verdict.counts,
        groups=verdict.groups,
    )
