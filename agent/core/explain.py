"""Verdicts in words, for status lines, ``fairtime why`` and tooltips."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from agent.clock import SECOND
from agent.core.rules import clock_words
from agent.core.saying import own, say
from agent.core.timewords import duration_words
from agent.model.site import Said
from agent.model.verdict import Constraint, ProgramVerdict, Verdict


def said(verdict: Verdict) -> Said:
    """Time left and why, in one sentence."""
    why = verdict.binding
    if verdict.stage == "paused":
        return Said("Limits are resting: this time does not count.")
    if verdict.remaining is None:
        return Said("No time limit right now.")
    if verdict.remaining <= 0:
        return _why(why) if why else Said("Time is up.")
    left = ("time", verdict.remaining // SECOND)
    if verdict.free_now:
        free = Said("{time} left. This hour does not count.", (left,))
        return Said("{left} {why}", (("left", free), ("why", _why(why)))) if why else free
    if why and why.sentence.startswith(duration_words(verdict.remaining)):
        return _why(why)
    alone = Said("{time} left.", (left,))
    return Said("{left} {why}", (("left", alone), ("why", _why(why)))) if why else alone


def sentence(verdict: Verdict) -> str:
    """The same in English."""
    return say(said(verdict))


def _why(limit: Constraint) -> Said:
    return limit.said or own(limit.sentence)


def lines(verdict: Verdict, zone: ZoneInfo) -> Iterable[str]:
    """Every limit that bears on a child now, the binding one first."""
    for constraint in verdict.constraints:
        mark = "→" if constraint is verdict.binding or constraint == verdict.binding else " "
        again = f" (again {clock_words(constraint.again, zone)})" if constraint.left == 0 and constraint.again else ""
        yield f"{mark} {constraint.kind:<7} {constraint.sentence}{again}  [{constraint.rule}]"
    if not verdict.constraints:
        yield "  nothing limits this child now"


def program(verdict: ProgramVerdict) -> str:
    """What would happen with a program, by which rule."""
    left = f" {duration_words(verdict.left)} left today." if verdict.left is not None else ""
    counts = "" if verdict.counts else " It does not count."
    return f"{verdict.title}: {verdict.action}. {verdict.sentence}{left}{counts} [rule {verdict.rule}]"
