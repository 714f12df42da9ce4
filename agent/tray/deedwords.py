"""What windows say of a deed: its title, what a PIN is for, and the time that is left.  Pure."""

from __future__ import annotations

from agent.ipc.answers import ChildState, Status
from agent.model.grant import Request
from agent.tray.face import duration, headline
from agent.tray.menu import Act
from agent.tray.reading import noted, told
from agent.words import Words


def title(act: Act, words: Words) -> str:
    """What stands above the answer to a deed."""
    titles = {
        "week": words("My week"),
        "summary": words("Summary"),
        "recorded": words("What is recorded"),
        "learned": words("Programs that were used"),
        "agreement": words("Our agreement"),
        "limits": words("Limits"),
        "protection": words("State of protection"),
    }
    return titles.get(act.name, "Fairtime")


def proof_text(act: Act, status: Status | None, words: Words) -> str:
    """What the PIN is for, so that nobody gives it for something else."""
    match act.name:
        case "time":
            return words("{child} gets {time} more.", child=act.child, time=duration(act.seconds, words))
        case "pause":
            return words(
                "The limits of {child} are paused for {time}.", child=act.child, time=duration(act.seconds, words)
            )
        case "lock":
            return words(
                "The screen of {child} is locked for {time}.", child=act.child, time=duration(act.seconds, words)
            )
        case "release":
            return _end_text(act, status, words)
        case "grant":
            return _yes_text(act, status, words)
    program = _asked(act, status, "program")
    if program is not None:
        return words("{child} does not get {program} today.", child=act.child, program=program.subject)
    site = _asked(act, status, "site")
    if site is not None:
        return words("{child} may not visit {site} today.", child=act.child, site=site.subject)
    return words("{child} does not get what was asked for.", child=act.child)


def _yes_text(act: Act, status: Status | None, words: Words) -> str:
    program = _asked(act, status, "program")
    site = _asked(act, status, "site")
    if site is not None:
        named = {"child": act.child, "site": site.subject}
        return {
            "today": words("{child} may visit {site} today.", **named),
            "good": words("{child} may visit {site} from now on.", **named),
        }.get(act.lasting or "", words("{child} may visit {site} for an hour.", **named))
    if program is None and _asked(act, status, "time") is not None:
        return words("{child} gets {time} more.", child=act.child, time=duration(act.seconds, words))
    if program is None:
        return words("{child} gets what was asked for.", child=act.child)
    named = {"child": act.child, "program": program.subject}
    said = {
        "once": words("{child} may use {program} until it is closed.", **named),
        "today": words("{child} may use {program} today.", **named),
        "good": words("{child} may use {program} from now on.", **named),
    }.get(act.lasting or "", words("{child} may use {program} for an hour.", **named))
    # The whole of where it lies and what the permission rests on: a name can be anybody's.
    return "\n".join((said, *(line for line in (program.place, program.identity) if line)))


def _end_text(act: Act, status: Status | None, words: Words) -> str:
    state = _child(act, status)
    grant = next((g for g in state.grants if g.id == act.subject), None) if state else None
    kind = grant.kind if grant else ""
    if kind == "pause":
        return words("The limits of {child} hold again.", child=act.child)
    if kind == "lock":
        return words("The screen of {child} is no longer locked.", child=act.child)
    if grant is not None and kind in ("program", "refusal", "site", "site-refusal"):
        named = {"child": act.child, "what": grant.title or grant.subject}
        return words("The answer to {child} about {what} no longer holds.", **named)
    return words("What {child} was given or told ends now.", child=act.child)


def _asked(act: Act, status: Status | None, kind: str) -> Request | None:
    state = _child(act, status)
    found = (r for r in state.requests if r.id == act.subject and r.kind == kind) if state else ()
    return next(iter(found), None)


def state_text(act: Act, status: Status | None, words: Words) -> str:
    """The time left and every limit of today, to read."""
    state = _child(act, status)
    if state is None:
        return words("Not connected. Fairtime still keeps the time.")
    why = told(state.said, state.sentence, words)
    lines = [headline(state, words), "", why]
    limits = (told(limit.said, limit.sentence, words) for limit in state.verdict.constraints)
    others = [sentence for sentence in limits if sentence and sentence != why]
    if others:
        lines += ["", words("Other limits today:"), *(f"  {sentence}" for sentence in dict.fromkeys(others))]
    used = duration(state.verdict.used_today // 1000, words)
    lines += ["", words("Used today: {time}", time=used)]
    if state.verdict.notes:
        lines += ["", *(noted(note, words) for note in state.verdict.notes)]
    return "\n".join(lines)


def _child(act: Act, status: Status | None) -> ChildState | None:
    for state in status.children if status else ():
        if state.child == act.child:
            return state
    return None
