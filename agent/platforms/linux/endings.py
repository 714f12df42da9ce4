"""The ends of sessions on a PC with logind: lock, log out, freeze, and what runs beside the sessions.

A *log-out* asks at once (SIGTERM by systemd to the session and, when it was the account's last, to its services) and kills
what is left before five seconds have passed; systemd itself would wait for ninety.  A *freeze* first puts the login screen in
front of the session, because a display server that stands still holds the keyboard with it; programs outside the account's slice
are moved into it (a transient scope, systemd's own way).  What is undone is done again by whoever looks: the tick for sessions,
``keep`` for what is frozen.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Millis
from agent.errors import HostError
from agent.model.policy import Ending
from agent.model.program import Process
from agent.model.snapshot import Session
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.background import Background
from agent.platforms.linux.cgroups import Groups
from agent.platforms.linux.freezing import Freezer
from agent.platforms.linux.logind import Login, Logind
from agent.platforms.linux.places import Places, Stray, on_screen
from agent.platforms.linux.sessions import GRAPHICAL, Locks
from agent.platforms.linux.stopping import KILL, Stopping

log = logging.getLogger(__name__)

_WATCH = 0.1
AGAIN: Millis = 2 * SECOND
"""A frozen session that came to the front is put behind the login screen again this often."""


class Endings:
    """Ends sessions of ``owners``; ``look`` tells it what there is."""

    def __init__(
        self, stopping: Stopping, freezer: Freezer, groups: Groups | None = None, places: Places | None = None
    ) -> None:
        self._stopping = stopping
        self._freezer = freezer
        self._groups = groups or Groups()
        self._places = places or Places()
        self._locks = Locks()
        self._owners = Owners()
        self._outside: dict[str, tuple[Person, tuple[Stray, ...]]] = {}
        self._leaving: set[str] = set()
        """Ids of sessions that were told to end."""
        self._following: dict[tuple[int, str], Logind] = {}
        """Log-outs under way: uid and session, which is empty for what an account runs without one."""
        self._work = Background("a session was not ended to the last")
        self._kept: Millis | None = None

    # ---- seeing --------------------------------------------------------------------------------------------------

    def watch(self, owners: Owners) -> None:
        """Whose sessions these are; whoever is none of them any more goes on."""
        uids = {person.uid for person in owners.people.values()}
        gone = [person for person in self._owners.people.values() if person.uid not in uids]
        self._owners = owners
        self.thaw(gone)

    def look(self, processes: tuple[Process, ...], logins: Iterable[Login]) -> None:
        """Take note of what runs where, and of which locks were honoured."""
        logins = tuple(logins)
        self._places.look(processes, self._owners)
        self._locks.settle(logins)
        self._leaving &= {login.id for login in logins}

    def outside(self, frozen: frozenset[int]) -> list[Session]:
        """Programs of watched accounts in other accounts' sessions, or on a screen of no session, as sessions."""
        found: dict[str, tuple[Person, list[Stray]]] = {}
        for person in self._owners.people.values():
            for stray in self._places.strays(person.name, person.uid):
                if stray.within or on_screen(stray.process):
                    id_ = f"outside:{person.name}" + (f":{stray.within}" if stray.within else "")
                    found.setdefault(id_, (person, []))[1].append(stray)
        self._outside = {id_: (person, tuple(strays)) for id_, (person, strays) in found.items()}
        return [
            Session(id=id_, account=person.name, within=strays[0].within, active=not still, frozen=still)
            for id_, (person, strays) in self._outside.items()
            for still in [person.uid in frozen and all(stray.gathered for stray in strays)]
        ]

    def leftovers(self, logins: Iterable[Login]) -> tuple[str, ...]:
        """Accounts that run something and have no session."""
        logins = tuple(logins)
        found = []
        for person in self._owners.people.values():
            mine = {login.id for login in logins if login.uid == person.uid and login.lives}
            if not mine and self._places.leftovers(person.name, person.uid, mine):
                found.append(person.name)
        return tuple(found)

    # ---- ending --------------------------------------------------------------------------------------------------

    async def end(self, logind: Logind, login: Login, ending: Ending, now: Millis, later: Callable[[], None]) -> None:
        """End one login; ``later`` as for ``Locks.ask``."""
        if ending == "lock":
            await self._lock(logind, login, now, later)
        elif ending == "logout":
            await self._logout(logind, login)
        else:
            await self._freeze(logind, login)

    async def end_outside(self, logind: Logind, id_: str, ending: Ending) -> bool:
        """End programs that are in no session of their account; False when there are none by this id."""
        person, strays = self._outside.get(id_, (None, ()))
        if person is None:
            return False
        if ending == "lock":
            raise HostError(
                f"Programs of {person.name} outside a session of its own cannot be locked",
                "Fairtime stops them instead.",
            )
        if ending == "freeze":
            await self._gather(logind, person, strays)
            self._freezer.freeze(person.uid)
        else:
            await self._stop(person, strays)
        return True

    async def clear(self, logind: Logind, person: Person) -> None:
        """Stop an account's services, and what it runs in nobody's slice; kill in time."""
        await self._stop(person, [s for s in self._places.strays(person.name, person.uid) if not s.within])
        if not self._alone(logind, person.uid):
            return
        await self._stop_services(logind, person.uid)
        self._follow(logind, person.uid, "")

    async def close(self) -> None:
        """Finish at once what was begun, and let go what is frozen: nobody would do it later."""
        await self._work.close()
        for (uid, session), logind in self._following.items():
            self._kill(logind, uid, session)
        self._following.clear()
        self.thaw(self._owners.people.values())

    # ---- frozen --------------------------------------------------------------------------------------------------

    def frozen(self) -> frozenset[int]:
        """Uids that stand still."""
        return frozenset(p.uid for p in self._owners.people.values() if self._freezer.frozen(p.uid))

    def thaw(self, people: Iterable[Person]) -> None:
        """Let these go on; what cannot be thawed is logged."""
        for person in people:
            try:
                self._freezer.thaw(person.uid)
            except HostError as error:
                log.warning("%s: %s", person.name, error)

    def keep(self, logind: Logind, frozen: frozenset[int], now: Millis) -> None:
        """What is frozen stays away from the keyboard, and whole."""
        if not frozen or self._work.busy or (self._kept is not None and now - self._kept < AGAIN):
            return
        in_front = [login for login in logind.logins.values() if login.uid in frozen and login.active and login.seat]
        people = [p for p in self._owners.people.values() if p.uid in frozen]
        loose = [(p, self._nobodys(p)) for p in people]
        if in_front or any(strays for _, strays in loose):
            self._kept = now
            self._work.begin(self._keep(logind, in_front, loose))

    async def _keep(self, logind: Logind, in_front: list[Login], loose: list[tuple[Person, list[Stray]]]) -> None:
        try:
            for login in in_front:
                await logind.leave(login)
            for person, strays in loose:
                await self._gather(logind, person, strays)
        except HostError as error:
            log.warning("%s", error)

    # ---- inside --------------------------------------------------------------------------------------------------

    async def _lock(self, logind: Logind, login: Login, now: Millis, later: Callable[[], None]) -> None:
        if login.kind not in GRAPHICAL:
            raise HostError(
                f"Session {login.id} has no screen that locks", "Fairtime logs it out instead, after the time to save."
            )
        if login.locked_hint:
            # It says so, and is used all the same.
            await logind.leave(login)
        else:
            await self._locks.ask(logind, login, now, later)

    async def _logout(self, logind: Logind, login: Login) -> None:
        person = self._owners.by_uid(login.uid)
        if self._freezer.frozen(login.uid):
            self._freezer.thaw(login.uid)  # a frozen program would not hear the request
        await logind.terminate(login)
        self._leaving.add(login.id)
        if person is not None and self._alone(logind, login.uid):
            await self._stop_services(logind, login.uid)
            await self._stop(person, [s for s in self._places.strays(person.name, person.uid) if not s.within])
        self._follow(logind, login.uid, login.id)

    async def _freeze(self, logind: Logind, login: Login) -> None:
        person = self._owners.by_uid(login.uid)
        self._freezer.check(login.uid)
        if login.active and login.seat:
            await logind.leave(login)
        if person is not None:
            await self._gather(logind, person, self._nobodys(person))
        self._freezer.freeze(login.uid)

    def _nobodys(self, person: Person) -> list[Stray]:
        """What runs in nobody's slice and must be brought into the account's own."""
        return [s for s in self._places.strays(person.name, person.uid) if not s.within and not s.gathered]

    async def _gather(self, logind: Logind, person: Person, strays: Iterable[Stray]) -> None:
        pids = [stray.process.pid for stray in strays if not stray.gathered]
        if pids:
            await logind.adopt(person.uid, pids)

    async def _stop(self, person: Person, strays: Iterable[Stray]) -> None:
        for stray in strays:
            self._stopping.stop(stray.process.pid, stray.process.started, person.owns, at_once=False)

    async def _stop_services(self, logind: Logind, uid: int) -> None:
        try:
            await logind.stop_services(uid)
        except HostError as error:
            log.info("%s", error)  # it has none, or they end with the kill

    def _alone(self, logind: Logind, uid: int) -> bool:
        """Whether an account has no session but those that were told to end."""
        return not any(
            login.uid == uid and login.lives and login.id not in self._leaving for login in logind.logins.values()
        )

    def _follow(self, logind: Logind, uid: int, session: str) -> None:
        if (uid, session) not in self._following:
            self._following[uid, session] = logind
            self._work.begin(self._kill_in_time(logind, uid, session))

    async def _kill_in_time(self, logind: Logind, uid: int, session: str) -> None:
        """Wait until a session (and, when it was the last, its account) runs nothing; kill before the fifth second."""
        loop, groups = asyncio.get_running_loop(), self._groups
        deadline = loop.time() + KILL
        while loop.time() < deadline:
            await asyncio.sleep(_WATCH)
            whole = groups.account(uid) if self._alone(logind, uid) else groups.session(uid, session)
            if not groups.populated(whole):
                break
        else:
            self._kill(logind, uid, session)
        self._following.pop((uid, session), None)

    def _kill(self, logind: Logind, uid: int, session: str) -> None:
        if session:
            self._groups.kill(self._groups.session(uid, session))
        # Somebody may have given time meanwhile, and the child may have logged in again.
        if self._alone(logind, uid):
            self._groups.kill(self._groups.account(uid))
