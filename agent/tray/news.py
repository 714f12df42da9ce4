"""Notices, and the questions of children, in the words that are shown.  Pure; ``notices`` shows them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.authorize import ADULT
from agent.ipc.answers import Status
from agent.model.grant import Request
from agent.model.verdict import Notify
from agent.tray.face import LAST, asked, unanswered
from agent.tray.reading import told
from agent.words import ENGLISH, Words


@dataclass(frozen=True, slots=True)
class NoticeWords:
    """A notice ready to be shown.  ``urgent``: stays until it is seen."""

    title: str
    text: str
    urgent: bool
    countdown: bool


def notice(event: Notify, words: Words = ENGLISH) -> NoticeWords:
    """How to show a notice of the service; only words that the service left out are filled in here."""
    titles = {
        "time": words("Screen time"),
        "grace": words("Save your work now"),
        "up": words("Time is up"),
        "blocked": words("This program is closed"),
        "warn": words("Please think about this program"),
        "inform": words("For your information"),
        "ask": words("This program needs a yes first"),
        "granted": words("More time"),
        "break": words("Time for a break"),
        "state": words("Fairtime"),
    }
    soon = event.left is not None and event.left <= LAST * 1000
    last = event.left is not None and event.left <= 60_000
    return NoticeWords(
        told(event.headed, event.title, words) or titles[event.kind],
        told(event.said, event.text, words),
        event.kind in ("grace", "up") or (event.kind == "time" and soon),
        (event.kind == "time" and last) or event.kind == "grace",
    )


def question(request: Request, words: Words = ENGLISH) -> NoticeWords:
    """What a guardian is shown of a new request."""
    if request.kind == "comment":
        title = words("{child} says something", child=request.child)
    else:
        title = words("{child} asks", child=request.child)
    return NoticeWords(title, asked(request, words), urgent=bool(request.identity), countdown=False)


def news(status: Status | None, known: frozenset[str]) -> tuple[Request, ...]:
    """The open requests that a guardian's tray has not told of; none in a child's."""
    if status is None or status.role not in ADULT:
        return ()
    return tuple(r for state in status.children for r in unanswered(state) if r.id not in known)
