"""One child's state as a picture and in a few words.  Pure; ``icon`` draws a ``Face``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.ipc.answers import ChildState
from agent.model.grant import Request
from agent.words import ENGLISH, Words

Kind = Literal["ok", "soon", "last", "up", "rest", "paused", "free", "unlimited", "away", "warning", "family"]
"""``soon``: 15 minutes or less; ``last``: 5 or less, and the grace to save; ``rest``: a break; ``free``: use that does not
count; ``away``: no connection to the service; ``family``: a guardian's tray."""

SOON = 15 * 60
LAST = 5 * 60
HOUR = 60 * 60
"""Seconds, as are all durations here."""
LONGEST_LABEL = 64


@dataclass(frozen=True, slots=True)
class Face:
    """All that an icon depends on.  ``minutes`` is the numeral (rounded up; for ``family``: open requests);
    ``sixtieths`` is how much of the ring is left, 0–60; ``flaw``: protection is not whole."""

    kind: Kind
    minutes: int | None = None
    sixtieths: int = 60
    flaw: bool = False


def face(state: ChildState, *, flaw: bool = False) -> Face:
    """The icon of one child's state."""
    verdict, left = state.verdict, state.seconds_left
    minutes = None if left is None else -(-max(0, left) // 60)
    binding = verdict.binding.kind if verdict.binding else None
    if verdict.stage == "paused":
        return Face("paused", None, 60, flaw)
    if verdict.stage == "grace":
        return Face("last", minutes or 0, 0, flaw)
    if verdict.stage == "up" or minutes == 0:
        return Face("rest" if binding == "break" else "up", 0, 0, flaw)
    if left is None or minutes is None:
        return Face("free" if verdict.free_now else "unlimited", None, 60, flaw)
    kind: Kind = "last" if left <= LAST else "soon" if left <= SOON else "free" if verdict.free_now else "ok"
    whole = max(left, (state.budget_today or HOUR) + verdict.granted_today // 1000)
    return Face(kind, minutes, max(1, round(60 * left / whole)), flaw)


def duration(seconds: int, words: Words = ENGLISH) -> str:
    """``0 minutes``, ``1 minute``, ``42 minutes``, ``1 h 5 min``; rounded up, as the icon's numeral is."""
    minutes = -(-max(0, seconds) // 60)
    if minutes < 100:
        return words.many("{n} minute", "{n} minutes", minutes)
    hours, rest = divmod(minutes, 60)
    return words("{hours} h {minutes} min", hours=hours, minutes=rest) if rest else words("{hours} h", hours=hours)


def headline(state: ChildState, words: Words = ENGLISH) -> str:
    """The child's state in two or three words."""
    shown = face(state)
    if shown.kind == "paused":
        return words("Limits are paused")
    if shown.kind == "rest":
        return words("Time for a break")
    if shown.kind == "up":
        return words("Time is up")
    if state.verdict.stage == "grace":
        return words("Save your work now")
    if state.seconds_left is None:
        return words("This time is free") if state.verdict.free_now else words("No time limit")
    return words("{time} left", time=duration(state.seconds_left, words))


def asked(request: Request, words: Words = ENGLISH) -> str:
    """A request in a few words."""
    if request.kind == "time":
        what = duration(request.seconds, words)
    else:
        what = request.subject or request.text
    return clipped(f"{what}: {request.text}" if request.text and request.text != what else what)


def clipped(text: str, most: int = LONGEST_LABEL) -> str:
    """A label that fits a menu: one line, cut at a word with an ellipsis."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[: most - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[most // 2 :] else head) + "…"


def unanswered(state: ChildState) -> tuple[Request, ...]:
    """Requests that nobody has answered."""
    return tuple(request for request in state.requests if request.state == "open")
