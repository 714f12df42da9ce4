"""Carries out what was chosen in the menu: a call to the service, with a window before or after it where one is needed.

A guardian's act asks for the PIN every time and makes its own short connection: the rights that a PIN opens belong to a
connection (DESIGN §9), and they must not stay open in a child's tray once the guardian has walked away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from agent.errors import FairtimeError
from agent.helplines import help_text
from agent.ipc.answers import ChildState, Document, Done, Requests, Result, Rights, Status, Text, Welcome
from agent.ipc.protocol import (
    Answer,
    Ask,
    Body,
    GetAgreement,
    GetDoctor,
    GetLearned,
    GetRecorded,
    GetWeek,
    Give,
    Prove,
    Release,
)
from agent.model.grant import Request
from agent.platforms.base import Desk
from agent.tray import spawn
from agent.tray.face import duration, headline
from agent.tray.menu import EXTRA_MINUTES, GUARDED, Act
from agent.tray.news import NoticeWords
from agent.words import Words

log = logging.getLogger(__name__)


class Caller(Protocol):
    """A connection to the service, as far as deeds need it."""

    def call(self, body: Body) -> Result: ...
    def close(self) -> None: ...


def body_of(act: Act, text: str = "") -> Body:
    """The call that an act stands for."""
    child = act.child or None
    match act.name:
        case "ask" | "ask-why":
            return Ask(kind="time", seconds=act.seconds, text=text)
        case "ask-site":
            return Ask(kind="site", subject=act.subject, text=text)
        case "time":
            return Give(child=act.child, kind="time", seconds=act.seconds)
        case "pause":
            return Give(child=act.child, kind="pause", seconds=act.seconds)
        case "lock":
            return Give(child=act.child, kind="lock", seconds=act.seconds)
        case "release":
            return Release(grant=act.subject)
        case "grant":
            return Answer(request=act.subject, granted=True, lasting=act.lasting)
        case "refuse":
            return Answer(request=act.subject, granted=False)
        case "week" | "summary":
            return GetWeek(child=child, form="html")
        case "recorded":
            return GetRecorded(child=child)
        case "learned":
            return GetLearned(child=child)
        case "agreement" | "limits":
            return GetAgreement(child=child)
        case "protection":
            return GetDoctor()
    raise ValueError(f"no call for {act.name!r}")


def command_of(act: Act) -> str:
    """What to type in a terminal instead, where no window can be shown."""
    minutes = f"{act.seconds // 60}m"
    match act.name:
        case "ask" | "ask-why":
            return f"fairtime request {minutes if act.seconds else '15m'}"
        case "ask-site":
            return "fairtime request --site example.org"
        case "time":
            return f"fairtime grant {act.child} +{minutes}"
        case "lock":
            return f"fairtime lock {act.child}"
        case "pause" | "release" | "grant" | "refuse":
            return "fairtime grant --help"
        case "week" | "summary":
            return "fairtime summary"
        case "agreement" | "limits":
            return "fairtime agreement"
        case "learned":
            return "fairtime learn show"
        case "protection":
            return "fairtime doctor"
    return "fairtime status"


class Deeds:
    """``do`` is called from the tray's thread and may take as long as a call to the service.

    ``connect`` makes a new connection; ``post`` runs something in the tray's thread later; ``say`` shows a notice.
    """

    def __init__(
        self,
        link: Caller,
        connect: Callable[[], Caller],
        desk: Desk,
        words: Words,
        *,
        post: Callable[[Callable[[], None]], None],
        say: Callable[[NoticeWords], None],
        ask: Callable[[str, spawn.Sheet, spawn.OnDone], spawn.Window] = spawn.ask,
    ) -> None:
        self._link = link
        self._connect = connect
        self._desk = desk
        self._words = words
        self._post = post
        self._say = say
        self._ask = ask
        self._dialogs: dict[str, spawn.Window] = {}

    def do(self, act: Act, status: Status | None) -> None:
        """Carry out ``act``; whatever comes of it is shown."""
        try:
            if act.name in GUARDED:
                self._prove(act, status)
            elif act.name == "ask-why":
                self._ask_why(act)
            elif act.name == "ask-site":
                self._ask_site(act)
            elif act.name == "state":
                self._read(self._words("Time left, and why"), _state_text(act, status, self._words), act)
            elif act.name == "help":
                self._read(self._words("Get help"), help_text(self._words), act)
            else:
                self._show(self._link.call(body_of(act)), act)
        except FairtimeError as error:
            self._say_error(error)
        except OSError as error:
            log.warning("%s failed: %s", act.name, error)
            self._say(_notice(self._words("Fairtime"), self._words("A window could not be opened: {why}", why=error)))

    def close(self) -> None:
        """Close every dialog."""
        for dialog in self._dialogs.values():
            dialog.close()

    def _prove(self, act: Act, status: Status | None, error: str = "") -> None:
        sheet = {
            "title": self._words("Guardian"),
            "text": self._words(
                "{what}\n\nGuardian, please enter your PIN.", what=_deed_text(act, status, self._words)
            ),
            "rescue": self._words("This is the paper rescue code"),
            "error": error,
            "ok": self._words("OK"),
            "cancel": self._words("Cancel"),
        }
        self._open("pin", sheet, act, lambda answer: self._proved(act, status, answer))

    def _proved(self, act: Act, status: Status | None, answer: spawn.Sheet) -> None:
        link = self._connect()
        try:
            try:
                link.call(Prove(pin=str(answer.get("pin", ""))[:128], rescue=bool(answer.get("rescue"))))
            except FairtimeError as error:
                if error.code != "refused":
                    raise
                self._prove(act, status, f"{error.title} {error.advice}".strip())
                return
            self._show(link.call(body_of(act)), act)
        finally:
            link.close()

    def _ask_why(self, act: Act) -> None:
        sheet = {
            "title": self._words("Ask for more time"),
            "text": self._words("How much time would you like?"),
            "choices": [
                [minutes * 60, self._words.many("{n} minute", "{n} minutes", minutes)] for minutes in EXTRA_MINUTES
            ],
            "why": self._words("What is it for? (you may leave this empty)"),
            "ok": self._words("Ask"),
            "cancel": self._words("Cancel"),
        }

        def asked(answer: spawn.Sheet) -> None:
            chosen = Act("ask", act.child, int(answer.get("seconds", 900)))
            self._show(self._link.call(body_of(chosen, str(answer.get("text", ""))[:500])), chosen)

        self._open("ask", sheet, act, asked)

    def _ask_site(self, act: Act, error: str = "") -> None:
        sheet = {
            "title": self._words("Ask for a site"),
            "text": self._words("Which site would you like? Its name, or the address from the browser."),
            "error": error,
            "why": self._words("What is it for? (you may leave this empty)"),
            "ok": self._words("Ask"),
            "cancel": self._words("Cancel"),
        }

        def asked(answer: spawn.Sheet) -> None:
            chosen = Act("ask-site", act.child, subject=str(answer.get("site", ""))[:500])
            try:
                done = self._link.call(body_of(chosen, str(answer.get("text", ""))[:500]))
            except FairtimeError as refused:
                if refused.code != "refused":
                    raise
                self._ask_site(act, f"{refused.title} {refused.advice}".strip())
                return
            self._show(done, chosen)

        self._open("site", sheet, act, asked)

    def _show(self, result: Result, act: Act) -> None:
        match result:
            case Done(sentence=sentence):
                self._say(_notice(self._words("Fairtime"), sentence))
            case Text(text=text, form="html"):
                self._page(text, act)
            case Text(text=text):
                self._read(_title(act, self._words), text, act)
            case Document(value=value):
                self._read(_title(act, self._words), readable(msgspec.json.decode(value)), act)
            case Status() | Requests() | Welcome() | Rights():
                log.warning("the service answered %s with %s", act.name, type(result).__name__)

    def _page(self, html: str, act: Act) -> None:
        page = self._desk.folder() / ("fairtime-week.html" if act.name == "week" else "fairtime-summary.html")
        page.write_text(html, encoding="utf-8")
        page.chmod(0o600)
        if self._desk.open_page(page):
            return
        week = self._link.call(GetWeek(child=act.child or None, form="text"))
        text = week.text if isinstance(week, Text) else self._words("The page is in {place}", place=page)
        self._read(_title(act, self._words), text, act)

    def _read(self, title: str, text: str, act: Act) -> None:
        sheet = {"title": title, "text": text, "ok": self._words("Close")}
        self._open("text", sheet, act, lambda _: None)

    def _open(self, kind: str, sheet: spawn.Sheet, act: Act, then: Callable[[spawn.Sheet], None]) -> None:
        """Open a dialog in place of an older one of its kind; ``then`` gets the answer, in the tray's thread."""
        old = self._dialogs.pop(kind, None)
        if old is not None:
            old.close()

        def ended(answer: spawn.Sheet | None, code: int) -> None:
            if code == spawn.NO_TOOLKIT:
                self._say(_notice(self._words("No window can be shown here"), self._instead(act)))
            elif answer is not None:
                self._post(lambda: self._guarded(then, answer))

        self._dialogs[kind] = self._ask(kind, sheet, ended)

    def _guarded(self, then: Callable[[spawn.Sheet], None], answer: spawn.Sheet) -> None:
        try:
            then(answer)
        except FairtimeError as error:
            self._say_error(error)

    def _instead(self, act: Act) -> str:
        if act.name == "help":
            return help_text(self._words)
        return self._words("Type this in a terminal instead: {command}", command=command_of(act))

    def _say_error(self, error: FairtimeError) -> None:
        self._say(_notice(error.title, error.advice))


def readable(value: object, depth: int = 0) -> str:
    """A JSON document as indented lines: for a person, complete, in the document's own order."""
    space = "  " * depth
    if isinstance(value, Mapping):
        lines = []
        for key, inner in value.items():
            if isinstance(inner, Mapping | list) and inner:
                lines.append(f"{space}{_spoken(key)}:\n{readable(inner, depth + 1)}")
            elif inner not in (None, "", [], {}):
                lines.append(f"{space}{_spoken(key)}: {_scalar(inner)}")
        return "\n".join(lines)
    if isinstance(value, list):
        if all(isinstance(inner, Mapping) for inner in value):
            return "\n".join(space + _one_line(inner) for inner in value)
        return "\n".join(f"{space}{_scalar(inner)}" for inner in value)
    return f"{space}{_scalar(value)}"


def _one_line(row: Mapping[str, Any]) -> str:
    return " · ".join(
        _scalar(inner) if key in ("title", "text", "kind", "day", "at", "when") else f"{_spoken(key)} {_scalar(inner)}"
        for key, inner in row.items()
        if inner not in (None, "", [], {})
    )


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return msgspec.json.encode(value).decode()
    return str(value)


def _spoken(key: object) -> str:
    return str(key).replace("_", " ")


def _notice(title: str, text: str) -> NoticeWords:
    return NoticeWords(title, text, urgent=False, countdown=False)


def _title(act: Act, words: Words) -> str:
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


def _deed_text(act: Act, status: Status | None, words: Words) -> str:
    """What the PIN is for, so that nobody gives it for something else."""
    match act.name:
        case "time":
            return words("{child} gets {time} more.", child=act.child, time=duration(act.seconds, words))
        case "pause":
            return words("Limits rest for {child} for {time}.", child=act.child, time=duration(act.seconds, words))
        case "lock":
            return words(
                "The screen of {child} is locked for {time}.", child=act.child, time=duration(act.seconds, words)
            )
        case "release":
            return words("What {child} was given or told ends now.", child=act.child)
        case "grant":
            return _yes_text(act, status, words)
    program = _asked(act, status, "program")
    if program is not None:
        return words("{child} does not get {program} today.", child=act.child, program=program.subject)
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


def _asked(act: Act, status: Status | None, kind: str) -> Request | None:
    state = _child(act, status)
    found = (r for r in state.requests if r.id == act.subject and r.kind == kind) if state else ()
    return next(iter(found), None)


def _state_text(act: Act, status: Status | None, words: Words) -> str:
    state = _child(act, status)
    if state is None:
        return words("Not connected. Time is still kept by the service.")
    lines = [headline(state, words), "", state.sentence]
    others = [
        limit.sentence for limit in state.verdict.constraints if limit.sentence and limit.sentence != state.sentence
    ]
    if others:
        lines += ["", words("Other limits today:"), *(f"  {sentence}" for sentence in dict.fromkeys(others))]
    used = duration(state.verdict.used_today // 1000, words)
    lines += ["", words("Used today: {time}", time=used)]
    if state.verdict.notes:
        lines += ["", *state.verdict.notes]
    return "\n".join(lines)


def _child(act: Act, status: Status | None) -> ChildState | None:
    for state in status.children if status else ():
        if state.child == act.child:
            return state
    return None
