"""What the tray shows, as data: a ``Status`` (or none) in, a ``View`` out.  Pure.

Nothing here knows how an icon is drawn or a menu is opened; ``icon`` draws a ``Face``, the faces in ``panel`` and ``live``
show ``Row``s and give back the ``Act`` of the row that was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.authorize import ADULT
from agent.ipc.answers import ChildState, Status
from agent.tray.face import Face, asked, clipped, duration, face, headline, unanswered
from agent.tray.guardian import guardian
from agent.tray.menu import EXTRA_MINUTES, LONGEST_LIST, SEPARATOR, Act, Row
from agent.tray.reading import noted, told
from agent.words import ENGLISH, Words


@dataclass(frozen=True, slots=True)
class View:
    """All that the tray shows at one moment."""

    face: Face
    headline: str
    """The number alone, large: ``42 minutes``."""
    tooltip: str
    rows: tuple[Row, ...]
    seconds_left: int | None = None
    """For the countdown of the last minute; ``None`` when nothing runs out."""


def view(status: Status | None, words: Words = ENGLISH) -> View:
    """What to show for ``status``; ``None`` means that the service cannot be reached."""
    if status is None:
        sentence = words("Not connected. Fairtime still keeps the time.")
        return View(
            Face("away"),
            words("Not connected"),
            sentence,
            (Row(sentence, enabled=False), SEPARATOR, Row(words("Get help"), Act("help"))),
        )
    if status.role in ADULT:
        return _family(status, words)
    if not status.children:
        sentence = words("Fairtime does not look after this account.")
        rows = (Row(sentence, enabled=False), *_flaws(status, words), SEPARATOR, Row(words("Get help"), Act("help")))
        return View(Face("warning"), words("No limits here"), sentence, rows)
    return _child(status, status.children[0], words)


def _child(status: Status, state: ChildState, words: Words) -> View:
    flaws = _flaws(status, words)
    head = headline(state, words)
    rows = (
        Row(head, Act("state", state.child)),
        *_because(state, head, words),
        *_learning(state, words),
        *_waiting(state, words),
        _programs(state, words),
        *_sites(state, words),
        _allowed(state, words),
        _ask(state, words),
        Row(words("Ask for a site…"), Act("ask-site", state.child)),
        SEPARATOR,
        Row(words("My week"), Act("week", state.child)),
        Row(words("What is recorded about me"), Act("recorded", state.child)),
        Row(words("Get help"), Act("help")),
        SEPARATOR,
        *flaws,
        Row(words("Guardian (PIN)"), rows=guardian(state, words)),
    )
    why = told(state.said, state.sentence, words)
    tooltip = clipped(words("{left}. {why}", left=head, why=why) if why else head, 120)
    return View(face(state, flaw=bool(flaws)), head, tooltip, rows, state.seconds_left)


def _family(status: Status, words: Words) -> View:
    flaws = _flaws(status, words)
    waiting = sum(len(unanswered(state)) for state in status.children)
    rows: list[Row] = []
    for state in status.children:
        label = words("{child}: {what}", child=state.child, what=headline(state, words))
        if requests := len(unanswered(state)):
            label += " · " + words.many("{n} request", "{n} requests", requests)
        inner = (
            *_because(state, "", words),
            *_learning(state, words),
            _programs(state, words),
            *_sites(state, words),
            _allowed(state, words),
            SEPARATOR,
            *guardian(state, words),
            SEPARATOR,
            Row(words("What is recorded"), Act("recorded", state.child)),
        )
        rows.append(Row(clipped(label), rows=inner))
    if not rows:
        rows.append(Row(words("No child is set up yet"), enabled=False))
    rows += [
        SEPARATOR,
        *flaws,
        Row(words("State of protection"), Act("protection")),
        Row(words("Get help"), Act("help")),
    ]
    lines = [words("{child}: {what}", child=state.child, what=headline(state, words)) for state in status.children]
    if waiting:
        lines.insert(0, words.many("{n} request is waiting", "{n} requests are waiting", waiting))
    shown = Face("family", waiting or None, 60, bool(flaws))
    return View(
        shown, lines[0] if lines else words("Fairtime"), clipped("; ".join(lines) or "Fairtime", 120), tuple(rows)
    )


def _learning(state: ChildState, words: Words) -> Iterable[Row]:
    """That programs are being written down, with the list one click away."""
    if state.learning:
        yield Row(clipped(told(state.learning_said, state.learning, words)), Act("learned", state.child))


def _because(state: ChildState, head: str, words: Words) -> tuple[Row, ...]:
    sentence = clipped(told(state.said, state.sentence, words))
    return (Row(sentence, Act("state", state.child)),) if sentence and sentence != head else ()


def _waiting(state: ChildState, words: Words) -> Iterable[Row]:
    """Programs that a guardian has been asked for."""
    for request in unanswered(state):
        if request.identity:
            label = words("{program} waits for a guardian's answer", program=request.subject)
            yield Row(clipped(label), Act("state", state.child))


def _programs(state: ChildState, words: Words) -> Row:
    rows = [
        Row(
            clipped(
                f"{use.title}: {duration(use.seconds, words)}"
                + ("" if use.counts else " · " + words("does not count"))
                + ("" if use.left is None else " · " + words("{time} left", time=duration(use.left, words)))
            ),
            Act("state", state.child),
        )
        for use in state.programs[:LONGEST_LIST]
    ]
    return Row(words("Today's programs"), rows=tuple(rows) or (Row(words("None yet"), enabled=False),))


def _sites(state: ChildState, words: Words) -> Iterable[Row]:
    """Sites with minutes of their own."""
    rows = tuple(
        Row(
            clipped(
                f"{site.title}: {duration(site.seconds, words)} · "
                + (words("{time} left", time=duration(site.left, words)) if site.left else words("used up for today"))
            ),
            Act("agreement", state.child),
        )
        for site in state.sites
    )
    if rows:
        yield Row(words("Today's sites"), rows=rows)


def _allowed(state: ChildState, words: Words) -> Row:
    rows = tuple(Row(clipped(line), Act("agreement", state.child)) for line in state.allowed[:LONGEST_LIST])
    return Row(
        words("What is allowed"), rows=(*rows, SEPARATOR, Row(words("Our agreement…"), Act("agreement", state.child)))
    )


def _ask(state: ChildState, words: Words) -> Row:
    rows = [
        Row(words.many("{n} minute", "{n} minutes", minutes), Act("ask", state.child, minutes * 60))
        for minutes in EXTRA_MINUTES
    ]
    rows.append(Row(words("Say why…"), Act("ask-why", state.child)))
    waiting = [
        Row(words("Asked: {what} (waiting)", what=asked(request, words)), enabled=False)
        for request in unanswered(state)
    ]
    if waiting:
        rows += [SEPARATOR, *waiting]
    return Row(words("Ask for more time"), rows=tuple(rows))


def _flaws(status: Status, words: Words) -> tuple[Row, ...]:
    """What is not as it should be, told to the child as to the guardian."""
    lines = [noted(line, words) for line in status.notes]
    labels = {"not protected": words("Not protected"), "partly protected": words("Partly protected")}
    policies = {
        "expired": words("The limits are out of date; the last ones are still in force."),
        "last known good": words("The newest limits could not be used; the last good ones are in force."),
        "none": words("No limits are set up on this PC."),
    }
    if status.policy in policies:
        lines.insert(0, policies[status.policy])
    if status.protection not in labels and not lines:
        return ()
    label = labels.get(status.protection, words("Something to know"))
    rows = tuple(Row(clipped(line), Act("protection")) for line in lines[:LONGEST_LIST])
    return (Row(f"⚠ {label}", rows=rows or (Row(label, enabled=False),)),)
