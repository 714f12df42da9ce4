"""Verdicts in words, for status lines, ``fairtime why`` and tooltips."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from agent.core.rules import clock_words
from agent.core.timewords import duration_words
from agent.model.verdict import ProgramVerdict, Verdict


def sentence(verdict: Verdict) -> str:
    """Time left and why, in one sentence."""
    why = verdict.binding.sentence if verdict.binding else ""
    if verdict.stage == "paused":
        return "Limits are resting: this time does not count."
    if verdict.remaining is None:
        return "No time limit right now."
    if verdict.remaining <= 0:
        return why or "Time is up."
    left = f"{duration_words(verdict.remaining)} left."
    if verdict.free_now:
        return f"{left} This hour does not count. {why}".strip()
    return why if why.startswith(duration_words(verdict.remaining)) else f"{left} {why}".strip()


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
