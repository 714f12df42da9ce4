"""Carries out what was chosen in the menu: a call to the service, with a window before or after it where one is needed.

A guardian's act asks for the PIN every time and makes its own short connection: the rights that a PIN opens belong to a
connection (DESIGN §9), and they must not stay open in a child's tray once the guardian has walked away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from agent.errors import FairtimeError
from agent.helplines import help_text
from agent.ipc.answers import Document, Done, Requests, Result, Rights, Status, Text, Welcome
from agent.ipc.protocol import Body, GetWeek, Prove
from agent.platforms.base import Desk
from agent.tray import spawn
from agent.tray.calls import body_of, command_of
from agent.tray.deedwords import proof_text, state_text, title
from agent.tray.menu import EXTRA_MINUTES, GUARDED, Act
from agent.tray.news import NoticeWords
from agent.tray.readable import readable
from agent.tray.reading import refused, told
from agent.words import Words

log = logging.getLogger(__name__)


class Caller(Protocol):
    """A connection to the service, as far as deeds need it."""

    def call(self, body: Body) -> Result: ...
    def close(self) -> None: ...


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
                self._read(self._words("Time left, and why"), state_text(act, status, self._words), act)
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
                "{what}\n\nGuardian, please enter your PIN.", what=proof_text(act, status, self._words)
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
                self._prove(act, status, self._why_not(error))
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
            except FairtimeError as error:
                self._ask_site(act, self._why_not(error))
                return
            self._show(done, chosen)

        self._open("site", sheet, act, asked)

    def _show(self, result: Result, act: Act) -> None:
        match result:
            case Done(sentence=sentence, said=said):
                self._say(_notice(self._words("Fairtime"), told(said, sentence, self._words)))
            case Text(text=text, form="html"):
                self._page(text, act)
            case Text(text=text):
                self._read(title(act, self._words), text, act)
            case Document(value=value):
                self._read(title(act, self._words), readable(msgspec.json.decode(value)), act)
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
        self._read(title(act, self._words), text, act)

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

        self._dialogs[kind] = self._ask(kind, {**sheet, "rtl": True} if self._words.rtl else sheet, ended)

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
        self._say(_notice(*refused(error, self._words)))

    def _why_not(self, error: FairtimeError) -> str:
        """Why what was typed is refused, to say when the same is asked again; raises what is no answer to it."""
        if error.code != "refused":
            raise error
        title, advice = refused(error, self._words)
        return self._words("{title}. {advice}", title=title.rstrip(".。"), advice=advice) if advice else title


def _notice(title: str, text: str) -> NoticeWords:
    return NoticeWords(title, text, urgent=False, countdown=False)
