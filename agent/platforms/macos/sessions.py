"""Who sits at this Mac: the graphical sessions that the I/O Registry tells of, and who came in from elsewhere (utmpx)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import psutil

from agent.clock import SECOND, Millis
from agent.errors import HostError
from agent.model.snapshot import Session
from agent.platforms.macos import registry
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.commands import Run
from agent.platforms.macos.registry import Login

log = logging.getLogger(__name__)

LOOK_EVERY: Millis = 2 * SECOND


Visits = tuple[tuple[str, str], ...]
"""``(account, terminal)`` of those who came in from elsewhere."""


def visits() -> Visits:
    """From utmpx, as psutil has it."""
    return tuple((row.name, row.terminal or "") for row in psutil.users() if row.host)


class Sessions:
    """What was seen at the last look; ``away`` lists who came in from elsewhere."""

    def __init__(self, run: Run, away: Callable[[], Visits] = visits) -> None:
        self._run = run
        self._visits = away
        self._looked: Millis | None = None
        self.logins: tuple[Login, ...] = ()
        self._away: Visits = ()
        self._idle: Millis | None = None
        self.why = ""
        """Why sessions cannot be seen; empty when they can."""
        self.idle_why = ""
        """The same of the last key or pointer."""

    def due(self, now: Millis) -> bool:
        return self._looked is None or now - self._looked >= LOOK_EVERY

    def forget(self) -> None:
        """Something was done to a session: look again the next time."""
        self._looked = None

    def look(self, now: Millis) -> bool:
        """Ask the system; whether somebody came, went, locked or changed places.  For a thread: it starts two commands."""
        before = (self.logins, self._away)
        self._looked = now
        try:
            self.logins, self.why = registry.logins(self._run), ""
        except HostError as error:
            # Who sat here goes on sitting here: a question that failed must not end anybody's minutes.
            self.why = f"{error.title}. {error.advice}"
            log.warning("sessions cannot be seen: %s", error.title)
        try:
            self._idle = registry.input_idle(self._run)
            self.idle_why = "" if self._idle is not None else "No keyboard or pointer is seen."
        except HostError as error:
            self._idle, self.idle_why = None, f"{error.title}. {error.advice}"
        self._away = self._visits()
        return before != (self.logins, self._away)

    def of(self, owners: Mapping[int, Person]) -> tuple[Session, ...]:
        """The watched accounts' sessions, as of the last look."""
        seated = [
            Session(
                id=login.id, account=owners[login.uid].name, kind="quartz", active=login.in_front,
                locked_hint=login.locked, input_idle=self._idle if login.in_front else None,
            )
            for login in self.logins if login.uid in owners
        ]  # fmt: skip
        names = {person.name for person in owners.values()}
        away = [
            Session(id=f"tty:{terminal}", account=name, kind="remote") for name, terminal in self._away if name in names
        ]
        return (*seated, *away)
