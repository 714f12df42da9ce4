"""Who is logged in, from Windows' own list of sessions (WTS), and how a session ends.

Whether a session is locked is said by Winlogon and no program of the child's: behind a locked screen nobody uses it.
"""

from __future__ import annotations

import ctypes
import logging
import struct
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from ctypes import wintypes
from dataclasses import dataclass
from typing import Any, Protocol

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.sessions is for Windows")

import pywintypes
import win32con
import win32gui
import win32ts

from agent.errors import HostError
from agent.platforms.windows.accounts import sid_of
from agent.platforms.windows.changes import CHANGES

log = logging.getLogger(__name__)

_ACTIVE, _CONNECTED = 0, 1
"""WTSActive, WTSConnected (WTS_CONNECTSTATE_CLASS)."""
_REMOTE = 2
"""WTSClientProtocolType of the Remote Desktop Protocol."""
_INFO_EX = 25
"""WTSSessionInfoEx."""
_FLAGS_AT = 16
"""WTSINFOEX: level, then (at 8) session id, state and SessionFlags."""
_LOCKED = 0
"""WTS_SESSIONSTATE_LOCK, from Windows 8 on."""
_ALL_SESSIONS = 1
"""NOTIFY_FOR_ALL_SESSIONS."""
_CHANGE = 0x2B1
"""WM_WTSSESSION_CHANGE."""
_MESSAGES_ONLY = -3
"""HWND_MESSAGE."""

_wts = ctypes.WinDLL("wtsapi32", use_last_error=True)
_wts.WTSQuerySessionInformationW.argtypes = [
    wintypes.HANDLE, wintypes.DWORD, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(wintypes.DWORD),
]  # fmt: skip
_wts.WTSFreeMemory.argtypes = [ctypes.c_void_p]


@dataclass(frozen=True, slots=True)
class Login:
    """One session that somebody is logged in to."""

    id: int
    sid: str
    connected: bool
    """Somebody is in front of it, at the PC or by Remote Desktop."""
    locked: bool
    remote: bool = False


class Sessions(Protocol):
    """What ``Presence`` asks for; ``Wts`` is Windows' own."""

    def open(self, loop: AbstractEventLoop, changed: Callable[[], None]) -> None:
        """Call ``changed``, on the loop, when a session begins, ends, is locked or unlocked."""

    def close(self) -> None: ...

    def logins(self) -> tuple[Login, ...] | None:
        """Who is logged in; ``None`` where Windows does not tell."""

    def disconnect(self, session: int) -> None:
        """To the login screen; its programs run on.  ``HostError`` when that cannot be."""

    def logoff(self, session: int) -> None:
        """End it and its programs; does not wait.  ``HostError`` when that cannot be."""


class Wts:
    """This PC's sessions."""

    def __init__(self) -> None:
        self._sids: dict[str, str | None] = {}
        self._window: int | None = None
        self._thread: threading.Thread | None = None
        self._deafen: Callable[[], None] | None = None

    def open(self, loop: AbstractEventLoop, changed: Callable[[], None]) -> None:
        if CHANGES.heard:
            # The system tells its services by themselves; no window is needed, and no thread.
            self._deafen = CHANGES.listen(lambda _: _call(loop, changed))
            return
        begun = threading.Event()
        self._thread = threading.Thread(
            target=self._listen, args=(loop, changed, begun), name="session changes", daemon=True
        )
        self._thread.start()
        begun.wait(10)

    def close(self) -> None:
        if self._deafen is not None:
            self._deafen()
            self._deafen = None
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._window is not None:
                win32gui.PostMessage(self._window, win32con.WM_CLOSE, 0, 0)
            thread.join(10)

    def logins(self) -> tuple[Login, ...] | None:
        try:
            rows = win32ts.WTSEnumerateSessions()
        except pywintypes.error as error:
            log.info("sessions cannot be listed: %s", error.strerror)
            return None
        if not rows:
            return None  # Windows always has the session of its services
        found = []
        for row in rows:
            login = self._login(int(row["SessionId"]), int(row["State"]))
            if login is not None:
                found.append(login)
        return tuple(found)

    def disconnect(self, session: int) -> None:
        with _said(f"session {session} cannot be put behind the login screen"):
            win32ts.WTSDisconnectSession(win32ts.WTS_CURRENT_SERVER_HANDLE, session, False)

    def logoff(self, session: int) -> None:
        with _said(f"session {session} cannot be logged out"):
            win32ts.WTSLogoffSession(win32ts.WTS_CURRENT_SERVER_HANDLE, session, False)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _login(self, session: int, state: int) -> Login | None:
        try:
            name = str(_ask(session, win32ts.WTSUserName))
            domain = str(_ask(session, win32ts.WTSDomainName))
            remote = int(_ask(session, win32ts.WTSClientProtocolType)) == _REMOTE
        except pywintypes.error:
            return None  # it has ended meanwhile
        sid = self._sid(domain, name) if name else None
        if sid is None:
            return None  # nobody is logged in to it: the login screen, or the services
        return Login(session, sid, state in (_ACTIVE, _CONNECTED), _is_locked(session), remote)

    def _sid(self, domain: str, name: str) -> str | None:
        full = f"{domain}\\{name}" if domain else name
        if self._sids.get(full) is None:
            self._sids[full] = sid_of(full)
        return self._sids[full]

    def _listen(self, loop: AbstractEventLoop, changed: Callable[[], None], begun: threading.Event) -> None:
        """In a thread of its own, which owns a window that nobody sees."""

        def told(window: int, message: int, first: int, second: int) -> int:
            if message == _CHANGE:
                _call(loop, changed)
            elif message == win32con.WM_CLOSE:
                win32ts.WTSUnRegisterSessionNotification(window)
                win32gui.DestroyWindow(window)
            elif message == win32con.WM_DESTROY:
                win32gui.PostQuitMessage(0)
            else:
                return int(win32gui.DefWindowProc(window, message, first, second))
            return 0

        try:
            kind: Any = win32gui.WNDCLASS()  # the stub knows its fields as read-only
            kind.lpszClassName = f"FairtimeSessions{id(self):x}"
            kind.lpfnWndProc = told
            name = win32gui.RegisterClass(kind)
            self._window = win32gui.CreateWindow(name, "", 0, 0, 0, 0, 0, _MESSAGES_ONLY, 0, 0, None)
            win32ts.WTSRegisterSessionNotification(self._window, _ALL_SESSIONS)
        except pywintypes.error as error:
            log.warning("session changes are not told, so they are found by looking: %s", error.strerror)
            return
        finally:
            begun.set()
        win32gui.PumpMessages()
        self._window = None
        win32gui.UnregisterClass(kind.lpszClassName, 0)


class _said:
    """What pywin32 raises within it becomes ``HostError``."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pywintypes.error):
            raise HostError(
                f"Windows says that {self._title}: {error.strerror}", "Run Fairtime as a service of the system."
            ) from error


def _call(loop: AbstractEventLoop, changed: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(changed)
    except RuntimeError:
        log.info("the loop has ended before the thread that tells of sessions")


def _ask(session: int, what: int) -> Any:
    return win32ts.WTSQuerySessionInformation(win32ts.WTS_CURRENT_SERVER_HANDLE, session, what)


def _is_locked(session: int) -> bool:
    buffer, length = ctypes.c_void_p(), wintypes.DWORD()
    if not _wts.WTSQuerySessionInformationW(None, session, _INFO_EX, ctypes.byref(buffer), ctypes.byref(length)):
        return False
    try:
        data = ctypes.string_at(buffer.value or 0, length.value)
    finally:
        _wts.WTSFreeMemory(buffer)
    return len(data) >= _FLAGS_AT + 4 and struct.unpack_from("<i", data, _FLAGS_AT)[0] == _LOCKED
