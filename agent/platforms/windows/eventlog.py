"""Windows' event log as the place of the service's log: what an administrator looks at first.

Texts are shown through the message file of EventCreate.exe, whose numbers 1 to 1000 stand for any text (its messages are
"%1"); so no library of our own is needed for it, and reading the log loads nothing of ours.
"""

from __future__ import annotations

import logging
import sys
import time
import winreg

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.eventlog is for Windows")

import pywintypes
import win32evtlog

SOURCE = "Fairtime"
KEY = rf"SYSTEM\CurrentControlSet\Services\EventLog\Application\{SOURCE}"
MESSAGES = r"%SystemRoot%\System32\EventCreate.exe"
EVENT = 1
MOST = 8000
"""Characters of an entry (a string of the log holds 31,839)."""
BURST, EVERY = 40, 30.0
"""Entries at once, and seconds until there may be one more: what a child does must not fill the log."""
_KINDS = (
    (logging.ERROR, win32evtlog.EVENTLOG_ERROR_TYPE),
    (logging.WARNING, win32evtlog.EVENTLOG_WARNING_TYPE),
    (0, win32evtlog.EVENTLOG_INFORMATION_TYPE),
)


def register() -> None:
    """Make the source known; as administrator."""
    with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, KEY, 0, winreg.KEY_SET_VALUE) as key:
        winreg.SetValueEx(key, "EventMessageFile", 0, winreg.REG_EXPAND_SZ, MESSAGES)
        winreg.SetValueEx(key, "TypesSupported", 0, winreg.REG_DWORD, 7)
        winreg.SetValueEx(key, "CustomSource", 0, winreg.REG_DWORD, 1)


def forget() -> None:
    """Take the source away; success when there is none."""
    try:
        winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, KEY)
    except FileNotFoundError:
        return


class EventLog(logging.Handler):
    """Writes to the event log; what is too much is counted, and told with the next entry."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._source = win32evtlog.RegisterEventSource(None, SOURCE)
        self._tokens = float(BURST)
        self._asked = time.monotonic()
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        self._tokens = min(float(BURST), self._tokens + (now - self._asked) / EVERY)
        self._asked = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        text = self.format(record)[:MOST].replace("\0", " ")
        if self._left_out:
            text += f"\n({self._left_out} entries before this one were left out.)"
        kind = next(kind for level, kind in _KINDS if record.levelno >= level)
        try:
            win32evtlog.ReportEvent(self._source, kind, 0, EVENT, None, (text,), None)
        except pywintypes.error:
            self.handleError(record)  # logging's own way: told on stderr, and nothing ends because of it
            return
        self._left_out = 0
