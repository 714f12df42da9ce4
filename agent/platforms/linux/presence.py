"""Who is at this PC and how their sessions end: by logind, and where there is none, by what can be seen without it."""

from __future__ import annotations

import sys
from collections.abc import Callable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import Millis
from agent.errors import HostError
from agent.model.policy import Ending
from agent.model.snapshot import Session
from agent.platforms.linux.accounts import Owners
from agent.platforms.linux.endings import Endings
from agent.platforms.linux.evidence import Evidence
from agent.platforms.linux.freezing import Freezer
from agent.platforms.linux.logind import Login, Logind
from agent.platforms.linux.processes import ProcessTable
from agent.platforms.linux.sessions import LOCKS_WITHIN, Fallback, fallback_id, session_of, watched
from agent.platforms.linux.stopping import Stopping
from agent.platforms.waking import Waking

_FIRST_PERSON, _NOBODY = 1000, 65534


class Presence:
    """``stop_all`` stops every program of an account; ``address`` names another bus than the system's, for tests."""

    def __init__(
        self,
        table: ProcessTable,
        stopping: Stopping,
        freezer: Freezer,
        waking: Waking,
        *,
        stop_all: Callable[[str], None],
        address: str | None = None,
    ) -> None:
        self.evidence = Evidence()
        self.logind: Logind | None = None
        self._table = table
        self._freezer = freezer
        self._endings = Endings(stopping, freezer)
        self._fallback = Fallback()
        self._waking = waking
        self._stop_all = stop_all
        self._address = address
        self._owners = Owners()
        self._seen: frozenset[str] = frozenset()

    # ---- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen to logind."""
        self.logind = Logind(self._waking.now, address=self._address)
        await self.logind.open()

    async def close(self) -> None:
        """Finish what was begun, and let go what is frozen."""
        await self._endings.close()
        if self.logind is not None:
            await self.logind.close()
        self.evidence.close()
        self.logind = None

    def watch(self, owners: Owners) -> None:
        """Whose sessions count from now on."""
        self._owners = owners
        self._endings.watch(owners)

    # ---- seeing --------------------------------------------------------------------------------------------------

    @property
    def why(self) -> str:
        """Why logind cannot be asked; empty when it can."""
        if self.logind is None:
            return "Fairtime is closed."
        return "" if self.logind.present else self.logind.why

    def sessions(self, now: Millis) -> tuple[Session, ...]:
        """The sessions of watched accounts; a new one wakes the loop again soon."""
        found = self._sessions(now)
        ids = frozenset(session.id for session in found)
        if not ids <= self._seen:
            self._waking.soon()
        self._seen = ids
        return found

    def leftovers(self) -> tuple[str, ...]:
        """Accounts that run something and have no session."""
        logind = self._reached()
        return self._endings.leftovers(logind.logins.values()) if logind is not None else ()

    def logged(self) -> tuple[Login, ...]:
        """Sessions of people, not of the system's own accounts."""
        logins = () if self.logind is None else tuple(self.logind.logins.values())
        return tuple(
            login for login in logins if login.is_person and login.uid >= _FIRST_PERSON and login.uid != _NOBODY
        )

    def _reached(self) -> Logind | None:
        return self.logind if self.logind is not None and self.logind.present else None

    def _sessions(self, now: Millis) -> tuple[Session, ...]:
        logind = self._reached()
        if logind is not None:
            self._endings.look(self._table.processes, logind.logins.values())
            frozen = self._endings.frozen()
            self._endings.keep(logind, frozen, now)
            mine = watched(logind.logins.values(), self._owners)
            seen = [
                self.evidence.of(session_of(login, name, frozen), login.uid, seated=bool(login.seat), now=now)
                for login, name in mine
            ]
            return (*seen, *self._endings.outside(frozen))
        people, still = self._owners.people, self._endings.frozen()
        found = self._fallback.sessions(self._owners, self._table.processes, self._table.on_terminal, still)
        return tuple(self.evidence.of(one, people[one.account].uid, seated=True, now=now) for one in found)

    # ---- ending --------------------------------------------------------------------------------------------------

    async def end(self, session: str, ending: Ending, now: Millis) -> None:
        """A lock that is asked for a second time, three seconds after the first and without effect, is a ``HostError``;
        ``wake`` is called when the three seconds are over."""
        logind = self._reached()
        if logind is None:
            self._end_account(session, ending)
            return
        found = next((one for one, _ in watched(logind.logins.values(), self._owners) if one.id == session), None)
        if found is not None:
            await self._endings.end(logind, found, ending, now, self._look_at_locks)
        elif not await self._endings.end_outside(logind, session, ending):
            raise _no_session(session)

    async def clear(self, account: str) -> None:
        """Stop what an account without a session runs."""
        logind, person = self._reached(), self._owners.people.get(account)
        if person is None:
            return
        if logind is not None:
            await self._endings.clear(logind, person)
        else:
            self._stop_all(account)

    def _end_account(self, session: str, ending: Ending) -> None:
        """Without logind: log out by stopping what the account runs."""
        name = next((name for name in self._owners.people if fallback_id(name) == session), None)
        if name is None or session not in self._seen:
            raise _no_session(session)
        if ending == "freeze" and self._freezer.present:
            self._freezer.freeze(self._owners.people[name].uid)
            return
        if ending != "logout":
            why = self.logind.why if self.logind is not None else ""
            raise HostError(
                f"This PC cannot {ending} a session: {why or 'logind is not there'}",
                "Choose logout as the ending in the policy, or use a system with systemd-logind.",
            )
        self._stop_all(name)

    def _look_at_locks(self) -> None:
        self._waking.after((LOCKS_WITHIN + 100) / 1000)


def _no_session(session: str) -> HostError:
    return HostError(f"There is no session {session} of a watched account", "It has probably ended already.")
