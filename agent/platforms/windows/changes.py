"""Changes of sessions and of power, from whoever hears them (the service's control handler) to whoever wants to know."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass


class Change(enum.IntEnum):
    """What became of a session (WTS_* of winuser.h), and the PC's waking up."""

    CONSOLE_CONNECT = 1
    CONSOLE_DISCONNECT = 2
    REMOTE_CONNECT = 3
    REMOTE_DISCONNECT = 4
    LOGON = 5
    LOGOFF = 6
    LOCK = 7
    UNLOCK = 8
    REMOTE_CONTROL = 9
    CREATE = 10
    TERMINATE = 11
    RESUMED = 100
    """Not of a session: the PC sleeps no longer."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One change; ``session`` is the system's number, 0 where it is of none."""

    change: Change
    session: int


class Changes:
    """Safe from any thread.  Listeners are called in the thread that tells, and must be quick."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: tuple[Callable[[Changed], None], ...] = ()
        self.heard = False
        """Whether somebody tells at all: a service of the system's does, a program in a terminal does not."""

    def listen(self, listener: Callable[[Changed], None]) -> Callable[[], None]:
        """Call ``listener`` at each change; what is returned ends that."""
        with self._guard:
            self._listeners = (*self._listeners, listener)
        return lambda: self._drop(listener)

    def tell(self, change: int, session: int) -> None:
        """Pass on what the system says; what this version does not know is left out."""
        try:
            told = Changed(Change(change), session)
        except ValueError:
            return
        for listener in self._listeners:
            listener(told)

    def _drop(self, listener: Callable[[Changed], None]) -> None:
        with self._guard:
            self._listeners = tuple(one for one in self._listeners if one != listener)


CHANGES = Changes()
"""Those of this process."""
