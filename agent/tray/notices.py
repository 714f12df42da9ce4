"""Shows notices: the desktop's own, then the tray icon's balloon, then a small window.  Never the tray icon alone.

desktop-notifier needs a running asyncio loop, which lives in a thread of its own here.  It logs a failure and returns as if
all were well; only ``on_dispatched`` tells that the desktop took the notice.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from agent.tray.lettering import led
from agent.tray.news import NoticeWords

if TYPE_CHECKING:
    from desktop_notifier import DesktopNotifier

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds the desktop gets to take a notice before the next way is tried."""

Way = Callable[[NoticeWords], bool]
"""Shows a notice; False when this way cannot."""


class Notices:
    """Call ``show`` from any thread; ``fallbacks`` are tried in order when the desktop does not take a notice."""

    def __init__(
        self,
        fallbacks: tuple[Way, ...] = (),
        *,
        icon: Path | None = None,
        first: Way | None = None,
        rtl: bool = False,
    ) -> None:
        self._fallbacks = fallbacks
        self._icon = icon
        self._rtl = rtl
        self._first = first
        self._notifier: DesktopNotifier | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fairtime-notices", daemon=True)
        self._thread.start()

    def show(self, words: NoticeWords) -> None:
        """Show a notice soon; returns at once."""
        asyncio.run_coroutine_threadsafe(self._show(words), self._loop).add_done_callback(_tell)

    def close(self) -> None:
        """Stop after what is under way, or after ``PATIENCE``.  Notices on the screen stay there."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
            self._thread.join(PATIENCE + 1)

    async def _finish(self) -> None:
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if under_way:
            await asyncio.wait(under_way, timeout=PATIENCE)
        self._loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _show(self, words: NoticeWords) -> None:
        if await (self._try(self._first, words) if self._first else self._desktop(words)):
            return
        for way in self._fallbacks:
            if await self._try(way, words):
                return
        log.error("a notice could not be shown at all: %s", words.title)

    async def _try(self, way: Way, words: NoticeWords) -> bool:
        try:
            return await asyncio.to_thread(way, words)
        except (OSError, RuntimeError) as error:
            log.warning("a way to show notices failed: %s", error)
            return False

    async def _desktop(self, words: NoticeWords) -> bool:
        taken = threading.Event()
        try:
            from desktop_notifier import DEFAULT_SOUND, Icon, Urgency
            from desktop_notifier import DesktopNotifier as Notifier

            if self._notifier is None:
                icon = Icon(path=self._icon) if self._icon and self._icon.is_file() else None
                self._notifier = Notifier("Fairtime", icon)
                # Its warning is a page of traceback; ours below is one line.
                logging.getLogger("desktop_notifier").setLevel(logging.ERROR)
            async with asyncio.timeout(PATIENCE):
                await self._notifier.send(
                    led(plain(words.title), rtl=self._rtl),
                    led(plain(words.text), rtl=self._rtl),
                    urgency=Urgency.Critical if words.urgent else Urgency.Normal,
                    sound=DEFAULT_SOUND if words.urgent else None,
                    on_dispatched=taken.set,
                )
        except (ImportError, OSError, RuntimeError, TimeoutError) as error:
            log.warning("the desktop did not take a notice: %s", error)
        if not taken.is_set():
            log.warning("no notice service on this desktop; another way is tried")
            self._forget()
        return taken.is_set()

    def _forget(self) -> None:
        """Let go of a connection that reached no notice service: desktop-notifier 6.2 opens one for each try."""
        backend = getattr(self._notifier, "_backend", None)
        bus = getattr(backend, "bus", None)
        if bus is not None:
            bus.disconnect()
        self._notifier = None


def _tell(shown: Future[None]) -> None:
    """Nobody waits for a notice, so what nobody thought of is told here."""
    if not shown.cancelled() and (error := shown.exception()) is not None:
        log.error("a notice was lost", exc_info=error)


def plain(text: str) -> str:
    """Text that no notification daemon takes for markup.

    The body of a notice may be markup (Desktop Notifications 1.2), and a program's name is the child's to choose.  Daemons
    without markup would show ``&lt;`` as it stands, so the signs are replaced by their look-alikes instead of escaped.
    """
    return text.replace("<", "‹").replace(">", "›")
