"""Who is at this PC and how their sessions end: by Windows' list of sessions, and without one, by what runs.

A session that is locked, or whose person has left it for the login screen, is in nobody's use: Winlogon says so, no program of the
child's.  A lock is a disconnect: the PC shows the login screen, and the programs run on.
"""

from __future__ import annotations

import sys
from asyncio import get_running_loop
from collections.abc import Callable

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.presence is for Windows")

from msgspec.structs import replace

from agent.clock import SECOND, Millis
from agent.errors import HostError
from agent.model.policy import Ending
from agent.model.snapshot import Session
from agent.platforms.waking import Waking
from agent.platforms.windows import display
from agent.platforms.windows.accounts import Owners
from agent.platforms.windows.processes import ProcessTable
from agent.platforms.windows.sessions import Login, Sessions, Wts
from agent.platforms.windows.work import Work

NO_LIST = "Windows does not list its sessions."
_FRESH: Millis = SECOND
"""So long a list is believed that nothing was told against."""


class Presence:
    """``stop_all`` stops every program of an account; ``system`` stands for Windows' sessions, for tests."""

    def __init__(
        self, table: ProcessTable, waking: Waking, stop_all: Callable[[str], None], system: Sessions | None = None
    ) -> None:
        self._table = table
        self._waking = waking
        self._stop_all = stop_all
        self._system: Sessions = system or Wts()
        self._owners = Owners()
        self._logins: tuple[Login, ...] | None = None
        self._read: Millis | None = None
        self._seen: frozenset[str] = frozenset()
        self._work = Work()

    # ---- life ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Listen to changes; on the running loop."""
        self._system.open(get_running_loop(), self._changed)
        self._logins = self._system.logins()

    def close(self) -> None:
        self._system.close()
        self._logins, self._read = None, None

    def watch(self, owners: Owners) -> None:
        """Whose sessions count from now on."""
        self._owners = owners

    # ---- seeing --------------------------------------------------------------------------------------------------

    @property
    def why(self) -> str:
        """Why sessions are guessed; empty when Windows tells them."""
        return NO_LIST if self._logins is None else ""

    def sids(self) -> frozenset[str]:
        """Of everybody who is logged in."""
        return frozenset(login.sid for login in self._logins or ())

    def sessions(self, now: Millis) -> tuple[Session, ...]:
        """The sessions of watched accounts; a new one wakes the loop again soon."""
        if self._read is None or now - self._read >= _FRESH:
            self._read, self._logins = now, self._system.logins()
        found = self._used(self._guessed() if self._logins is None else self._listed(self._logins), now)
        ids = frozenset(session.id for session in found)
        if not ids <= self._seen:
            self._waking.soon()
        self._seen = ids
        return found

    def leftovers(self) -> tuple[str, ...]:
        """Accounts that run something and have no session."""
        if self._logins is None:
            return ()
        sids = self.sids()
        running = {process.account for process in self._table.processes}
        people = self._owners.people
        return tuple(sorted(name for name in running if name in people and people[name].sid not in sids))

    # ---- ending --------------------------------------------------------------------------------------------------

    def end(self, session: str, ending: Ending) -> None:
        """``HostError`` when there is no such session, or Windows cannot do that."""
        if session not in self._seen:
            raise HostError(f"There is no session {session} of a watched account", "It has probably ended already.")
        if ending == "freeze":
            raise HostError("Windows cannot freeze a session", "Choose lock or logout as the ending in the policy.")
        if self._logins is None:
            if ending == "lock":
                raise HostError(
                    f"This PC cannot lock a session. {NO_LIST}", "Choose logout as the ending in the policy."
                )
            self._stop_all(session.partition(":")[2])
            return
        if ending == "lock":
            self._system.disconnect(int(session))
        else:
            self._system.logoff(int(session))
        self._read = None

    # ---- inside --------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._read = None
        self._waking.now()

    def _listed(self, logins: tuple[Login, ...]) -> tuple[Session, ...]:
        return tuple(
            Session(
                id=str(login.id),
                account=person.name,
                kind="remote" if login.remote else "windows",
                active=login.connected and not login.locked,
                locked_hint=login.locked or not login.connected,
            )
            for login in logins
            if (person := self._owners.by_sid.get(login.sid)) is not None
        )

    def _used(self, sessions: tuple[Session, ...], now: Millis) -> tuple[Session, ...]:
        """With what is seen of their use.  What keeps the display on plays; silence proves nothing."""
        self._work.keep(frozenset(session.account for session in sessions))
        kept_on = bool(sessions) and display.kept_on()
        return tuple(
            replace(
                session,
                playing=True if kept_on and session.active else None,
                busy=self._work.busy(session.account, self._table.spent.get(session.account, 0), now),
            )
            for session in sessions
        )

    def _guessed(self) -> tuple[Session, ...]:
        names = sorted({process.account for process in self._table.processes})
        return tuple(Session(id=f"account:{name}", account=name) for name in names)
