"""What a guardian may do for a child, as rows of the menu.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.ipc.answers import ChildState
from agent.model.grant import Grant, Lasting, Request
from agent.tray.face import HOUR, asked, clipped, unanswered
from agent.tray.menu import EXTRA_MINUTES, LONGEST_LIST, SEPARATOR, Act, Row
from agent.words import ENGLISH, Words


def guardian(state: ChildState, words: Words) -> tuple[Row, ...]:
    """More time, pause and lock, answers, and the way back from each."""
    rows = [
        Row(words.many("+{n} minute", "+{n} minutes", minutes), Act("time", state.child, minutes * 60))
        for minutes in EXTRA_MINUTES
    ]
    rows.append(SEPARATOR)
    rows += _held(state, words)
    rows.append(_requests(state, words))
    rows += _permits(state, words)
    rows.append(Row(words("Limits…"), Act("limits", state.child)))
    rows.append(Row(words("Summary"), Act("summary", state.child)))
    return tuple(rows)


def _held(state: ChildState, words: Words) -> Iterable[Row]:
    """Pause and lock, or their ends while one holds."""
    binding = state.verdict.binding.kind if state.verdict.binding else None
    ends = {"pause": state.verdict.stage == "paused", "lock": binding == "lock"}
    labels = {"pause": words("End the pause"), "lock": words("Unlock")}
    for kind, held in ends.items():
        grants = [grant for grant in state.grants if grant.kind == kind] if held else []
        if grants:
            newest = max(grants, key=lambda grant: grant.given)
            yield Row(labels[kind], Act("release", state.child, subject=newest.id))
        elif kind == "pause":
            yield Row(words("Pause limits for 30 minutes"), Act("pause", state.child, 30 * 60))
        else:
            yield Row(words("Lock now, for an hour"), Act("lock", state.child, HOUR))


def _requests(state: ChildState, words: Words) -> Row:
    waiting = unanswered(state)
    rows = tuple(Row(asked(request, words), rows=tuple(_answers(state, request, words))) for request in waiting)
    label = words("Requests") + (f" ({len(waiting)})" if waiting else "")
    return Row(label, rows=rows or (Row(words("None waiting"), enabled=False),))


def _answers(state: ChildState, request: Request, words: Words) -> Iterable[Row]:
    if request.place:
        yield Row(clipped(request.place), enabled=False)
    if request.kind == "program":
        yields: tuple[tuple[Lasting, str], ...] = (
            ("once", words("Yes, until it is closed")),
            ("today", words("Yes, for today")),
            ("good", words("Yes, from now on")),
        )
        for lasting, label in yields:
            yield Row(label, Act("grant", state.child, 0, request.id, lasting))
        yield Row(words("Not today"), Act("refuse", state.child, 0, request.id))
        return
    if request.kind == "site":
        yield Row(words("Yes, for an hour"), Act("grant", state.child, HOUR, request.id))
        yield Row(words("Yes, for today"), Act("grant", state.child, 0, request.id, "today"))
        yield Row(words("Yes, from now on"), Act("grant", state.child, 0, request.id, "good"))
        yield Row(words("Not today"), Act("refuse", state.child, 0, request.id))
        return
    yield Row(words("Yes"), Act("grant", state.child, request.seconds, request.id))
    yield Row(words("No"), Act("refuse", state.child, 0, request.id))


def _permits(state: ChildState, words: Words) -> Iterable[Row]:
    """Programs and sites that a guardian said yes or no to, each with the way back."""
    for label, kinds in (
        (words("Programs you answered for"), ("program", "refusal")),
        (words("Sites you answered for"), ("site", "site-refusal")),
    ):
        said = [grant for grant in state.grants if grant.kind in kinds]
        if said:
            rows = tuple(
                Row(permit(grant, words), rows=(Row(words("Withdraw"), Act("release", state.child, subject=grant.id)),))
                for grant in said[-LONGEST_LIST:]
            )
            yield Row(label, rows=rows)


def permit(grant: Grant, words: Words = ENGLISH) -> str:
    """A yes or no to a program or a site in a few words."""
    name = grant.title or grant.subject
    if grant.kind in ("refusal", "site-refusal"):
        return clipped(words("{program}: not today", program=name))
    if grant.once:
        return clipped(words("{program}: until it is closed", program=name))
    if grant.until is None:
        return clipped(words("{program}: from now on", program=name))
    return clipped(words("{program}: for a while", program=name))
