"""What each running program may do now, and whether what runs counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from agent.clock import Millis
from agent.core.constraints import Moment
from agent.core.programs import Match, Matcher
from agent.core.rules import ProgramLimit, clock_words
from agent.core.saying import own, say
from agent.core.schedule import day_names, holding, opening, week_start
from agent.model.grant import Grant
from agent.model.policy import Action
from agent.model.program import Process, ProgramId
from agent.model.site import Said
from agent.model.usage import DayUse, Usage
from agent.model.verdict import Constraint, ProgramVerdict

Running = Mapping[ProgramId, tuple[Process, ...]]
"""What runs, each program once with its processes."""


def running(processes: Iterable[Process]) -> Running:
    """Put processes together by program, in the order in which programs come first."""
    by: dict[ProgramId, list[Process]] = {}
    for process in processes:
        by.setdefault(process.program, []).append(process)
    return {program: tuple(found) for program, found in by.items()}


@dataclass(frozen=True, slots=True)
class Judged:
    """All of a child's programs at one moment; plumbing is left out."""

    verdicts: Mapping[ProgramId, ProgramVerdict]
    keys: tuple[str, ...]
    """Programs to record as running, sorted."""
    groups: tuple[str, ...]
    counts: bool

    used_up: Constraint | None = None
    """The minutes that are used up while learning goes on: nothing that counts may run."""

    def without_counting(self, because: Constraint | None) -> Judged:
        """The same with everything that counts blocked, because the minutes are used up."""
        after = dataclasses.replace(self, used_up=because, counts=False)
        return dataclasses.replace(after, verdicts={program: after.narrowed(v) for program, v in self.verdicts.items()})

    def narrowed(self, verdict: ProgramVerdict) -> ProgramVerdict:
        """A verdict on one program with ``used_up`` applied."""
        if self.used_up is None or not verdict.counts or verdict.action not in ("allow", "inform", "warn"):
            return verdict
        return _with(
            verdict, "block", self.used_up.rule, goes_on(self.used_up.said or own(self.used_up.sentence)), left=0
        )


def judge(
    matcher: Matcher, now: Moment, programs: Iterable[ProgramId], usage: Usage, grants: Iterable[Grant]
) -> Judged:
    """Judge every program that a child runs."""
    permits = _permits(now, grants)
    verdicts: dict[ProgramId, ProgramVerdict] = {}
    keys: set[str] = set()
    groups: set[str] = set()
    counted = exempt = False
    for program in programs:
        match = matcher.match(program)
        if not match.key:
            continue
        verdict = verdicts[program] = _verdict(matcher, match, program, now, usage, permits)
        if verdict.action in ("block", "ask"):
            continue
        keys.add(verdict.program)
        groups.update(verdict.groups)
        if verdict.counts:
            counted = True
        else:
            exempt = True
    # With "listed", only what is listed counts; otherwise all counts unless nothing runs but programs that do not.
    counts = counted if now.plan.count_listed else counted or not exempt
    return Judged(verdicts, tuple(sorted(keys)), tuple(sorted(groups)), counts)


def verdict_on(
    matcher: Matcher, program: ProgramId, now: Moment, usage: Usage, grants: Iterable[Grant]
) -> ProgramVerdict:
    """What would be decided about a program now (``fairtime why``, and the start-event path)."""
    return _verdict(matcher, matcher.match(program), program, now, usage, _permits(now, grants))


def _permits(now: Moment, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """What guardians said yes or no to, the newest first: the last word counts."""
    found = [g for g in grants if g.kind in ("program", "refusal") and (g.until is None or g.until > now.wall)]
    return tuple(reversed(found))


def permitted(subject: str, program: ProgramId, key: str, strong: bool) -> bool:
    """Whether a permission for ``subject`` covers this program: by hash, package or protected place, never by a bare name,
    and code that only an interpreter knows never by the interpreter's package."""
    kind, _, value = subject.partition(":")
    match kind:
        case "sha256":
            return bool(value) and program.sha256 == value
        case "path":
            return program.path == value and program.protected
        case "program":
            return strong and key == value
        case _:
            return bool(subject) and program.package == subject and not (program.interpreter and not program.path)


def _verdict(
    matcher: Matcher, match: Match, program: ProgramId, now: Moment, usage: Usage, permits: tuple[Grant, ...]
) -> ProgramVerdict:
    verdict = match.verdict
    for grant in permits:
        if permitted(grant.subject, program, match.key, match.strong):
            if grant.kind == "refusal":
                said = Said(
                    "{by} said no to {title} for today.", (("by", grant.by), ("title", verdict.title)), grant.note
                )
                return _with(verdict, "block", f"grant/{grant.id}", said)
            return _with(verdict, "allow", f"grant/{grant.id}", _yes(grant, verdict.title, matcher.rules.zone))
    left: Millis | None = None
    for limit in match.limits:
        shut = _shut(matcher, limit, now) if limit.hours else None
        if shut is not None:
            return _with(verdict, "block", limit.id, shut)
        rest = _left(limit, match.key, usage, now)
        if rest is not None and (left is None or rest < left):
            left, rule = rest, limit.id
    if left == 0:
        return _with(
            verdict, "block", rule, Said("Today's time for {title} is used up.", (("title", verdict.title),)), left=0
        )
    if left is None:
        return verdict
    return replace(verdict, left=left)


def goes_on(why: Said) -> Said:
    """Why what counts is closed, and that learning goes on."""
    return Said("{why} Programs that do not count can go on.", (("why", why),))


def _yes(grant: Grant, title: str, zone: ZoneInfo) -> Said:
    places = (("by", grant.by), ("title", title))
    if not grant.until:
        return Said("{by} allowed {title}.", places)
    return Said("{by} allowed {title} until {time}.", (*places, ("time", clock_words(grant.until, zone))))


def _shut(matcher: Matcher, limit: ProgramLimit, now: Moment) -> Said | None:
    """Why a rule's own hours are shut now; ``None`` when they are not."""
    open_spans = matcher.hours(limit)
    if open_spans is None or holding(now.wall, open_spans):
        return None
    again = opening(now.wall, open_spans)
    if not again:
        return Said("{title} has its own hours, and this is outside them.", (("title", limit.title),))
    return Said(
        "{title} has its own hours, and this is outside them. It opens at {time}.",
        (("title", limit.title), ("time", clock_words(again, matcher.rules.zone))),
    )


def _left(limit: ProgramLimit, key: str, usage: Usage, now: Moment) -> Millis | None:
    """What a rule's own minutes leave; ``None`` without any."""
    left: Millis | None = None
    if limit.budget is not None:
        left = limit.budget - _used(limit, key, usage.days.get(now.today))
        if limit.week is None:
            return left if left > 0 else 0
    if limit.week is not None:
        used = sum(_used(limit, key, usage.days.get(day)) for day in day_names(week_start(now.day), now.day))
        left = limit.week - used if left is None else min(left, limit.week - used)
    return None if left is None else max(0, left)


def _used(limit: ProgramLimit, key: str, use: DayUse | None) -> Millis:
    if use is None:
        return 0
    if limit.source.group:
        return use.groups.get(limit.source.group, 0)
    return use.programs.get(key, 0)


def _with(
    verdict: ProgramVerdict, action: Action, rule: str, said: Said, *, left: Millis | None = None
) -> ProgramVerdict:
    return ProgramVerdict(
        action=action,
        rule=rule,
        sentence=say(said),
        program=verdict.program,
        title=verdict.title,
        left=left,
        counts=verdict.counts,
        groups=verdict.groups,
        said=said,
    )
