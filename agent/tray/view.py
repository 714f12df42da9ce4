"""What the tray shows, as data: a ``Status`` (or none) in, a ``View`` out.  Pure.

Nothing here knows how an icon is drawn or a menu is opened; ``icon`` draws a ``Face``, the faces in ``panel`` and ``live``
show ``Row``s and give back the ``Act`` of the row that was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.ipc.protocol import ChildState, Status
from agent.model.grant import Grant, Lasting, Request
from agent.model.verdict import Notify
from agent.tray.words import ENGLISH, Words

Kind = Literal["ok", "soon", "last", "up", "rest", "paused", "free", "unlimited", "away", "warning", "family"]
"""``soon``: 15 minutes or less; ``last``: 5 or less, and the grace to save; ``rest``: a break; ``free``: use that does not
count; ``away``: no connection to the service; ``family``: a guardian's tray."""

SOON = 15 * 60
LAST = 5 * 60
HOUR = 60 * 60
EXTRA_MINUTES = (15, 30, 60)
LONGEST_LABEL = 64
LONGEST_LIST = 12


@dataclass(frozen=True, slots=True)
class Face:
    """All that an icon depends on.  ``minutes`` is the numeral (rounded up; for ``family``: open requests);
    ``sixtieths`` is how much of the ring is left, 0–60; ``flaw``: protection is not whole."""

    kind: Kind
    minutes: int | None = None
    sixtieths: int = 60
    flaw: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What a chosen row asks for.  ``name`` is one of ``ACTS``; the rest is what it needs.  Seconds."""

    name: str
    child: str = ""
    seconds: int = 0
    subject: str = ""
    lasting: Lasting | None = None
    """How long a yes to a program lasts."""


ACTS = frozenset(
    ("state", "agreement", "ask", "ask-why", "week", "recorded", "learned", "help", "protection")
    + ("time", "pause", "lock", "release", "grant", "refuse", "limits", "summary")
)
GUARDED = frozenset(("time", "pause", "lock", "release", "grant", "refuse"))
"""Acts that need a guardian's PIN."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the menu: an act, a submenu, or (neither) words only.

    Panels draw words only in pale grey, so what is worth reading has an act that says more about it.
    """

    label: str
    act: Act | None = None
    rows: tuple[Row, ...] = ()
    enabled: bool = True


SEPARATOR = Row("-", enabled=False)


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
        sentence = words("Not connected. Time is still kept by the service.")
        return View(
            Face("away"),
            words("Not connected"),
            sentence,
            (Row(sentence, enabled=False), SEPARATOR, Row(words("Get help"), Act("help"))),
        )
    if status.role in ("guardian", "administrator"):
        return _family(status, words)
    if not status.children:
        sentence = words("Fairtime does not look after this account.")
        rows = (Row(sentence, enabled=False), *_flaws(status, words), SEPARATOR, Row(words("Get help"), Act("help")))
        return View(Face("warning"), words("No limits here"), sentence, rows)
    return _child(status, status.children[0], words)


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


def clipped(text: str, most: int = LONGEST_LABEL) -> str:
    """A label that fits a menu: one line, cut at a word with an ellipsis."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[: most - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[most // 2 :] else head) + "…"


def _child(status: Status, state: ChildState, words: Words) -> View:
    flaws = _flaws(status, words)
    head = headline(state, words)
    rows = (
        Row(head, Act("state", state.child)),
        *_because(state, head),
        *_learning(state),
        *_waiting(state, words),
        _programs(state, words),
        _allowed(state, words),
        _ask(state, words),
        SEPARATOR,
        Row(words("My week"), Act("week", state.child)),
        Row(words("What is recorded about me"), Act("recorded", state.child)),
        Row(words("Get help"), Act("help")),
        SEPARATOR,
        *flaws,
        Row(words("Guardian (PIN)"), rows=_guardian(state, words)),
    )
    tooltip = clipped(f"{head}. {state.sentence}" if state.sentence else head, 120)
    return View(face(state, flaw=bool(flaws)), head, tooltip, rows, state.seconds_left)


def _family(status: Status, words: Words) -> View:
    flaws = _flaws(status, words)
    waiting = sum(1 for state in status.children for _ in _open(state))
    rows: list[Row] = []
    for state in status.children:
        asked = sum(1 for _ in _open(state))
        label = f"{state.child}: {headline(state, words)}"
        if asked:
            label += " · " + words.many("{n} request", "{n} requests", asked)
        inner = (
            *_because(state, ""),
            *_learning(state),
            _programs(state, words),
            _allowed(state, words),
            SEPARATOR,
            *_guardian(state, words),
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
    lines = [f"{state.child}: {headline(state, words)}" for state in status.children]
    if waiting:
        lines.insert(0, words.many("{n} request is waiting", "{n} requests are waiting", waiting))
    shown = Face("family", waiting or None, 60, bool(flaws))
    return View(
        shown, lines[0] if lines else words("Fairtime"), clipped("; ".join(lines) or "Fairtime", 120), tuple(rows)
    )


def _learning(state: ChildState) -> Iterable[Row]:
    """That programs are being written down, with the list one click away."""
    if state.learning:
        yield Row(clipped(state.learning), Act("learned", state.child))


def _because(state: ChildState, head: str) -> tuple[Row, ...]:
    sentence = clipped(state.sentence)
    return (Row(sentence, Act("state", state.child)),) if sentence and sentence != head else ()


def _waiting(state: ChildState, words: Words) -> Iterable[Row]:
    """Programs that a guardian has been asked for."""
    for request in _open(state):
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
        Row(words("Asked: {what} (waiting)", what=asked(request, words)), enabled=False) for request in _open(state)
    ]
    if waiting:
        rows += [SEPARATOR, *waiting]
    return Row(words("Ask for more time"), rows=tuple(rows))


def asked(request: Request, words: Words = ENGLISH) -> str:
    """A request in a few words."""
    if request.kind == "time":
        what = duration(request.seconds, words)
    else:
        what = request.subject or request.text
    return clipped(f"{what}: {request.text}" if request.text and request.text != what else what)


def _guardian(state: ChildState, words: Words) -> tuple[Row, ...]:
    rows = [
        Row(words("+{minutes} minutes", minutes=minutes), Act("time", state.child, minutes * 60))
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
    waiting = tuple(_open(state))
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
    yield Row(words("Yes"), Act("grant", state.child, request.seconds, request.id))
    yield Row(words("No"), Act("refuse", state.child, 0, request.id))


def _permits(state: ChildState, words: Words) -> Iterable[Row]:
    """Programs that a guardian said yes or no to, each with the way back."""
    said = [grant for grant in state.grants if grant.kind in ("program", "refusal")]
    if said:
        rows = tuple(
            Row(permit(grant, words), rows=(Row(words("Withdraw"), Act("release", state.child, subject=grant.id)),))
            for grant in said[-LONGEST_LIST:]
        )
        yield Row(words("Programs you answered for"), rows=rows)


def permit(grant: Grant, words: Words = ENGLISH) -> str:
    """A yes or no to a program in a few words."""
    name = grant.title or grant.subject
    if grant.kind == "refusal":
        return clipped(words("{program}: not today", program=name))
    if grant.once:
        return clipped(words("{program}: until it is closed", program=name))
    if grant.until is None:
        return clipped(words("{program}: from now on", program=name))
    return clipped(words("{program}: for a while", program=name))


def _open(state: ChildState) -> Iterable[Request]:
    return (request for request in state.requests if request.state == "open")


def _flaws(status: Status, words: Words) -> tuple[Row, ...]:
    """What is not as it should be, told to the child as to the guardian."""
    lines = list(status.notes)
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


@dataclass(frozen=True, slots=True)
class NoticeWords:
    """A notice ready to be shown.  ``urgent``: stays until it is seen."""

    title: str
    text: str
    urgent: bool
    countdown: bool


def question(request: Request, words: Words = ENGLISH) -> NoticeWords:
    """What a guardian is shown of a new request."""
    if request.kind == "comment":
        title = words("{child} says something", child=request.child)
    else:
        title = words("{child} asks", child=request.child)
    return NoticeWords(title, asked(request, words), urgent=bool(request.identity), countdown=False)


def news(status: Status | None, known: frozenset[str]) -> tuple[Request, ...]:
    """The open requests that a guardian's tray has not told of; none in a child's."""
    if status is None or status.role not in ("guardian", "administrator"):
        return ()
    return tuple(r for state in status.children for r in _open(state) if r.id not in known)


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
        event.title or titles[event.kind],
        event.text,
        event.kind in ("grace", "up") or (event.kind == "time" and soon),
        (event.kind == "time" and last) or event.kind == "grace",
    )
