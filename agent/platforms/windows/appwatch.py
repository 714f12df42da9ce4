"""Listens to AppLocker's logs, and says what was denied, in the loop of whoever opened it.

Windows calls from a thread of its own (EvtSubscribe).  A log that is switched off or missing is said in ``why``.
"""

from __future__ import annotations

import logging
import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.appwatch is for Windows")

import pywintypes
import win32evtlog

from agent.platforms.windows.appevents import LOGS, QUERY, Denied, denied

log = logging.getLogger(__name__)


def places() -> dict[str, str]:
    """AppLocker's names for places on this PC."""
    windows = os.environ.get("SYSTEMROOT", r"C:\Windows")
    return {
        "%OSDRIVE%": windows[:2],
        "%WINDIR%": windows,
        "%SYSTEM32%": rf"{windows}\System32",
        "%PROGRAMFILES%": os.environ.get("PROGRAMFILES", r"C:\Program Files"),
    }


class AppWatch:
    """``heard`` gets every denial from ``open`` on."""

    def __init__(self, heard: Callable[[Denied], None]) -> None:
        self._heard = heard
        self._loop: AbstractEventLoop | None = None
        self._open: list[object] = []
        self._places = places()
        self.why = "Nothing was subscribed yet."

    def open(self, loop: AbstractEventLoop) -> None:
        """Begin; what cannot be listened to is in ``why``."""
        self._loop, self.why = loop, ""
        for name in LOGS:
            try:
                self._open.append(
                    win32evtlog.EvtSubscribe(
                        name, win32evtlog.EvtSubscribeToFutureEvents, None, Callback=self._told, Query=QUERY
                    )
                )
            except pywintypes.error as error:
                self.why = f"Windows' log “{name}” cannot be listened to: {error.strerror}"
                log.warning("%s", self.why)

    def close(self) -> None:
        """No more; a call that is under way is not waited for."""
        self._loop = None
        self._open.clear()

    def _told(self, action: int, _context: object, event: Any) -> int:
        """In a thread of Windows'."""
        if action == win32evtlog.EvtSubscribeActionDeliver:
            found = denied(str(win32evtlog.EvtRender(event, win32evtlog.EvtRenderEventXml)), self._places)
            loop = self._loop
            if found is not None and loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._heard, found)
        return 0
