"""Who sits at this PC: from logind where there is one, else from what can be seen without it.

Without logind an account counts as having one active session (id ``account:NAME``, kind ``unspecified``) while it has a
process with a terminal or a display.  (Not from utmp: a display manager may leave it out, and distributions are dropping
it because its times end in 2038.)  Such a session can be logged out (its programs are stopped) but not locked.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Container, Iterable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Millis
from agent.errors import HostError
from agent.model.program import Process
from agent.model.snapshot import Session, SessionKind
from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Owners
from agent.platforms.linux.logind import Login, Logind

log = logging.getLogger(__name__)

LOCKS_WITHIN: Millis = 3 * SECOND
"""A desktop that has not set its lock hint this long after the request does not lock."""
GRAPHICAL = frozenset({"x11", "wayland", "mir"})
"""logind's types whose sessions may have a screen locker; a lock request to another one does nothing."""
_KINDS: dict[str, SessionKind] = {"x11": "x11", "wayland": "wayland", "mir": "mir", "tty": "tty"}
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def session_of(login: Login, account: str, frozen: Container[int] = frozenset()) -> Session:
    """The model's session of a logind one, without evidence.  One whose uid is ``frozen`` is in nobody's use."""
    still = login.uid in frozen
    return Session(
        id=login.id,
        account=account,
        kind="remote" if login.remote else _KINDS.get(login.kind, "unspecified"),
        # A remote session has no seat to be in front of: whoever is connected uses it.
        active=(login.active or login.remote) and not still,
        frozen=still,
        locked_hint=login.locked_hint,
        idle_hint=login.idle_hint,
    )


def watched(logins: Iterable[Login], owners: Owners) -> list[tuple[Login, str]]:
    """The people's sessions of watched accounts, each with its account's name as it is watched."""
    found = []
    for login in logins:
        person = owners.by_uid(login.uid)
        if person is not None and login.is_person:
            found.append((login, person.name))
    return found


class Locks:
    """Remembers when a lock was asked for, to tell a desktop that does not lock from one that needs a moment."""

    def __init__(self) -> None:
        self._asked: dict[str, Millis] = {}

    def settle(self, logins: Iterable[Login]) -> None:
        """Forget requests that were honoured or whose session is gone."""
        waiting = {login.id for login in logins if not login.locked_hint}
        self._asked = {session: at for session, at in self._asked.items() if session in waiting}

    async def ask(self, logind: Logind, login: Login, now: Millis, later: Callable[[], None]) -> None:
        """Ask ``login`` to lock; ``HostError`` when it was asked before and has not locked in time.

        ``later`` is called on the first request, so that the caller can look again when the time is up.
        """
        asked = self._asked.get(login.id)
        if asked is not None and not login.locked_hint and now - asked >= LOCKS_WITHIN:
            raise HostError(
                f"The desktop of session {login.id} does not lock the screen",
                "Fairtime logs the session out instead. Most desktops lock after installing a screen locker "
                "(light-locker, xscreensaver); or choose logout as the ending in the policy.",
            )
        await logind.lock(login)
        if asked is None:
            self._asked[login.id] = now
            later()


class Fallback:
    """Sessions without logind."""

    def __init__(self) -> None:
        self._display: dict[tuple[int, int], bool] = {}
        self._of: tuple[Process, ...] = ()
        self._shown: frozenset[str] = frozenset()

    def sessions(
        self, owners: Owners, processes: tuple[Process, ...], tty: Callable[[str], bool], frozen: Container[int]
    ) -> tuple[Session, ...]:
        """One session for each watched account that is at work.  ``tty``: whether an account has a process on one;
        ``frozen``: uids that stand still."""
        if processes is not self._of:
            known, self._of = self._display, processes
            self._display = {p.key: known[p.key] if p.key in known else has_display(p) for p in processes}
            self._shown = frozenset(p.account for p in processes if self._display[p.key])
        accounts = sorted(name for name in owners.people if name in self._shown or tty(name))
        still = {name for name in accounts if owners.people[name].uid in frozen}
        return tuple(
            Session(id=fallback_id(name), account=name, active=name not in still, frozen=name in still)
            for name in accounts
        )


def fallback_id(account: str) -> str:
    return f"account:{account}"


def has_display(process: Process) -> bool:
    return bool(procfs.environ(process.pid, *_DISPLAYS))
