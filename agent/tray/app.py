"""The tray: shows what the service says, asks it for what was chosen, and has no authority of its own.

One thread (the tray's) handles everything that happens, in order: states and notices from the service, rows that were
chosen, dialogs that were answered.  The main thread belongs to the desktop's own loop.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from agent.core.authorize import ADULT
from agent.errors import FairtimeError, HostError
from agent.ipc.answers import Result, Status
from agent.ipc.protocol import Body, GetStatus
from agent.model.verdict import Notify
from agent.platforms import input_idle
from agent.platforms.base import Desk
from agent.tray import spawn
from agent.tray.deeds import Deeds
from agent.tray.hands import Hands
from agent.tray.menu import Act, Row
from agent.tray.news import NoticeWords, news, notice, question
from agent.tray.notices import Notices
from agent.tray.panel import PanelIcon, load_pystray
from agent.tray.view import View, view
from agent.words import Words, assets, marked, session_words

log = logging.getLogger(__name__)

STALE = 30.0
"""Seconds without news after which the state is asked for."""
PANEL_PATIENCE = 8.0
"""Seconds a panel gets to appear after login before the small window takes its place."""
PANEL_LOOK = 20.0
"""Seconds between two looks for a panel while the small window serves."""


class Link(Protocol):
    """A connection to the service that mends itself."""

    def call(self, body: Body) -> Result: ...

    def watch(
        self,
        on_status: Callable[[Status], None],
        on_notice: Callable[[Notify], None],
        on_connection: Callable[[bool], None],
    ) -> None:
        """Tell of states, notices and the connection from a thread of its own, until ``close``; returns at once."""

    def close(self) -> None: ...


class Tray:
    """The state of the tray and its thread.  ``connect`` makes a new ``Link``."""

    def __init__(self, connect: Callable[[], Link], desk: Desk, words: Words) -> None:
        self._desk = desk
        self._words = words
        self._link = connect()
        self._hands = Hands(self._link.call, input_idle)
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._status: Status | None = None
        self._shown: View = view(None, words)
        self._told: frozenset[str] = frozenset()
        """Open requests that were shown."""
        self._heard = time.monotonic()
        self._panel: PanelIcon | None = None
        self._window: spawn.Window | None = None
        self._countdown: spawn.Window | None = None
        self._stopped = threading.Event()
        self._failed = False
        self._told_no_tray = False
        picture = assets() / "icons" / "fairtime-64.png"
        self._notices = Notices((self._balloon, self._notice_window), icon=picture, rtl=words.rtl)
        self._deeds = Deeds(self._link, connect, desk, words, post=self.post, say=self._notices.show)

    def run(self) -> int:
        """Serve until ``stop`` or the end of the session; call from the main thread.

        1 when the tray's own thread failed: a tray that shows an old number must not stay on the screen, and whoever
        supervises the session starts it again.
        """
        thread = threading.Thread(target=self._work, name="fairtime-tray", daemon=True)
        thread.start()
        self._link.watch(self._on_status, self._on_notice, self._on_connection)
        try:
            while not self._stopped.is_set():
                why = self._wait_for_panel()
                if why:
                    self._without_panel(why)
                elif not self._stopped.is_set():
                    self._with_panel()
        finally:
            self.stop()
            self._link.close()
            thread.join(5)
            self._notices.close()
        return 1 if self._failed else 0

    def stop(self) -> None:
        self._stopped.set()
        if self._panel is not None:
            self._panel.stop()
        self._events.put(None)

    def post(self, event: Callable[[], None]) -> None:
        """Run ``event`` in the tray's thread."""
        self._events.put(event)

    # ---- the main thread -------------------------------------------------------------------------------------------

    def _wait_for_panel(self) -> str:
        """Why there is no tray (empty: there is one).  At login the panel may start after us."""
        end = time.monotonic() + PANEL_PATIENCE
        why = self._desk.why_no_tray()
        while why and time.monotonic() < end and not self._stopped.wait(0.5):
            why = self._desk.why_no_tray()
        if why:
            return why
        try:
            pystray = load_pystray(self._desk.prepare())
        except HostError as error:
            return self._words("The tray icon cannot be shown: {why}.", why=error.advice)
        self._panel = PanelIcon(pystray, self._desk, self._act, rtl=self._words.rtl)
        return ""

    def _with_panel(self) -> None:
        panel = self._panel
        if panel is None:
            return
        if not panel.has_menu:
            self._tell(marked("The icon has no menu on this desktop, so a small window holds it."))
            self.post(self._open_window)
        try:
            panel.run(self._shown)
        except (RuntimeError, OSError) as error:  # GLib.Error is a RuntimeError: no session bus, for one
            self._panel = None
            self._without_panel(self._words("The tray icon cannot be shown: {why}.", why=error))
            return
        self._stopped.set()  # The desktop's loop has ended: so has the session.

    def _without_panel(self, why: str) -> None:
        """Notices and the small window serve until a panel appears.  Said once, never as an error box."""
        self._tell(why)
        self.post(self._open_window)
        while not self._stopped.wait(PANEL_LOOK):
            if self._desk.tray_available() and not self._desk.prepare():
                self.post(self._close_window)
                return

    def _tell(self, why: str) -> None:
        """Say once why there is no full tray, and what serves instead."""
        if self._told_no_tray:
            return
        self._told_no_tray = True
        log.warning("no tray: %s", why)
        text = self._words("{why} You can also type “fairtime status”.", why=self._words(why))
        self._notices.show(NoticeWords(self._words("Fairtime is here"), text, urgent=False, countdown=False))

    # ---- from other threads ----------------------------------------------------------------------------------------

    def _on_status(self, status: Status) -> None:
        self.post(lambda: self._new_status(status))

    def _on_notice(self, event: Notify) -> None:
        self.post(lambda: self._new_notice(event))

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            self.post(lambda: self._new_status(None))

    def _act(self, act: Act) -> None:
        self.post(lambda: self._deeds.do(act, self._status))

    # ---- the tray's thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._failed = True
        try:
            self._handle()
            self._failed = False
        finally:
            if self._failed:
                self.stop()
            self._deeds.close()
            for window in (self._window, self._countdown):
                if window is not None:
                    window.close()

    def _handle(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=STALE)
            except queue.Empty:
                self._refresh()
                self._tell_idle()
                continue
            if event is None:
                return
            event()
            if time.monotonic() - self._heard > STALE:
                self._refresh()
            self._tell_idle()

    def _tell_idle(self) -> None:
        if self._status is not None and self._status.role == "child":
            self._hands.tell()

    def _refresh(self) -> None:
        """No news for a while: ask, so that a lost push never leaves an old number on the screen."""
        self._heard = time.monotonic()
        try:
            answer = self._link.call(GetStatus())
        except FairtimeError as error:
            log.info("the service does not answer: %s", error.title)
            self._new_status(None)
            return
        if isinstance(answer, Status):
            self._new_status(answer)

    def _new_status(self, status: Status | None) -> None:
        self._status = status
        for request in news(status, self._told):
            # Also at login: a request that nobody has answered is never silent.
            self._notices.show(question(request, self._words))
        if status is not None:
            self._told = frozenset(r.id for state in status.children for r in state.requests)
        self._heard = time.monotonic()
        self._shown = view(status, self._words)
        if self._panel is not None:
            self._panel.show(self._shown)
        if self._window is not None:
            self._window.send(self._sheet())
        self._follow()

    def _new_notice(self, event: Notify) -> None:
        if event.kind == "ask" and self._status is not None and self._status.role in ADULT:
            return  # the request itself tells a guardian, with what there is to answer
        words = notice(event, self._words)
        self._notices.show(words)
        if words.countdown and not event.program and event.left:
            self._count_down(words, event.left / 1000)
        elif event.kind in ("granted", "up"):
            self._end_countdown()

    def _count_down(self, words: NoticeWords, seconds: float) -> None:
        sheet = {"title": words.title, "text": words.text, "seconds": seconds, "rtl": self._words.rtl}
        if self._countdown is not None and self._countdown.open and self._countdown.send(sheet):
            return
        self._countdown = spawn.Window("countdown", sheet, on_sheet=lambda _: None, on_end=self._countdown_ended)

    def _countdown_ended(self, code: int) -> None:
        if code == spawn.NO_TOOLKIT:
            log.warning("the countdown needs tkinter; notices alone tell of the last minute")

    def _follow(self) -> None:
        """More time, a pause or free time ends the countdown."""
        if self._countdown is None or not self._countdown.open:
            return
        face = self._shown.face
        if face.kind in ("paused", "free", "unlimited", "away") or (face.minutes or 0) > 1:
            self._end_countdown()

    def _end_countdown(self) -> None:
        if self._countdown is not None:
            self._countdown.send({"closed": True})
            self._countdown = None

    # ---- the small window ------------------------------------------------------------------------------------------

    def _sheet(self, *, raised: bool = False) -> spawn.Sheet:
        shown = self._shown
        text = shown.tooltip.removeprefix(shown.headline).lstrip(".。 ")
        return {
            "title": "Fairtime",
            "headline": shown.headline,
            "text": text,
            "rows": _sheet_rows(tuple(row for row in shown.rows if row.act is None or row.act.name != "state")),
            "raise": raised,
            "rtl": self._words.rtl,
        }

    def _open_window(self) -> None:
        if self._window is not None and self._window.open and self._window.send(self._sheet(raised=True)):
            return
        self._window = spawn.Window("window", self._sheet(), on_sheet=self._window_said, on_end=self._window_ended)

    def _close_window(self) -> None:
        if self._window is not None:
            self._window.close()
            self._window = None

    def _window_said(self, sheet: spawn.Sheet) -> None:
        self._act(msgspec.json.decode(str(sheet["key"]), type=Act))

    def _window_ended(self, code: int) -> None:
        if code == spawn.NO_TOOLKIT:
            text = self._words("Neither a tray nor a window can be shown here. Type “fairtime status” in a terminal.")
            self._notices.show(NoticeWords("Fairtime", text, urgent=False, countdown=False))

    # ---- ways to show a notice when the desktop takes none ---------------------------------------------------------

    def _balloon(self, words: NoticeWords) -> bool:
        return self._panel is not None and self._panel.notify(words)

    def _notice_window(self, words: NoticeWords) -> bool:
        ended = threading.Event()
        codes: list[int] = []

        def done(_: spawn.Sheet | None, code: int) -> None:
            codes.append(code)
            ended.set()

        sheet = {"title": words.title, "text": f"{words.title}\n\n{words.text}", "ok": self._words("Close")}
        spawn.ask("text", {**sheet, "rtl": self._words.rtl}, done)
        # A window that cannot be shown says so at once; one that stays is being read.
        return not ended.wait(2) or codes[0] != spawn.NO_TOOLKIT


def _sheet_rows(rows: tuple[Row, ...]) -> list[spawn.Sheet]:
    return [
        {
            "label": row.label,
            "enabled": row.enabled,
            "key": msgspec.json.encode(row.act).decode() if row.act else "",
            "rows": _sheet_rows(row.rows),
        }
        for row in rows
    ]


def run(socket: str | None = None, *, show: bool = False) -> int:
    """``fairtime tray``.  0 at the end of the session, or when this session already has a tray; ``show``: then a window says
    what it shows, because somebody asked for it from the desktop's menu."""
    from agent.ipc.client import Client
    from agent.platforms import desk

    here = desk()
    words = session_words(here.languages())
    if not here.claim():
        print(words("Fairtime's tray already runs in this session."))
        return _in_a_window(Client(socket, via="tray"), words) if show else 0
    return Tray(lambda: Client(socket, via="tray"), here, words).run()


def _in_a_window(link: Link, words: Words) -> int:
    """Show the state once, until the window is closed."""
    try:
        answer = link.call(GetStatus())
    except FairtimeError as error:
        log.info("the service does not answer: %s", error.title)
        answer = None
    link.close()
    shown = view(answer if isinstance(answer, Status) else None, words)
    ended = threading.Event()
    sheet = {"title": "Fairtime", "text": shown.tooltip, "ok": words("Close"), "rtl": words.rtl}
    spawn.ask("text", sheet, lambda _, code: ended.set())
    ended.wait()
    return 0
