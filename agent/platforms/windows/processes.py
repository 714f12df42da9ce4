"""Which processes watched accounts have.

Each scan asks Windows once for all processes (``systemlist``).  Who is new is opened once, to learn whose it is and what it
runs; neither can change while it lives: Windows has no ``exec``, and a process keeps its account.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.processes is for Windows")

from agent.model.program import Process, ProgramId
from agent.platforms.windows.accounts import Owners, Person
from agent.platforms.windows.handles import QUERY, SYNCHRONIZE, Handle, opened
from agent.platforms.windows.systemlist import Entry, tree
from agent.platforms.windows.systemquery import SystemList

Key = tuple[int, int]
Identify = Callable[[Handle, Person], ProgramId | None]
SidOf = Callable[[Handle], str]


class ProcessTable:
    """``identify`` is ``identity.Identifier.running``; ``sid_of`` tells whose a process is."""

    def __init__(self, identify: Identify, sid_of: SidOf = Handle.sid) -> None:
        self._identify = identify
        self._sid_of = sid_of
        self._system = SystemList()
        self._owners = Owners()
        self._others: set[Key] = set()
        """Who is no watched account's."""
        self._mine: dict[Key, Process] = {}
        self._sessions: dict[Key, int] = {}
        self._list: tuple[Process, ...] | None = None
        self.spent: dict[str, int] = {}
        """Processor time of each account's programs since the watch began, in 100 ns."""
        self._clocks: dict[Key, int] = {}
        self.refused = 0
        """How many of the last scan's processes did not let themselves be asked."""

    def watch(self, owners: Owners) -> None:
        """Whose processes count from now on; the next scan looks at everything anew."""
        self._owners = owners
        self.forget()

    def forget(self) -> None:
        self._others = set()
        self._mine.clear()
        self._sessions.clear()
        self._clocks.clear()
        self._list = None

    @property
    def processes(self) -> tuple[Process, ...]:
        if self._list is None:
            self._list = tuple(self._mine.values())
        return self._list

    def session_of(self, key: Key) -> int | None:
        """The number of Windows' session that a known process is in."""
        return self._sessions.get(key)

    def knows(self, key: Key) -> bool:
        return key in self._mine

    def scan(self) -> list[Process]:
        """Look at the whole PC; those that were not known before.  ``HostError`` when Windows does not tell."""
        entries = self._system.read()
        there = {entry.key for entry in entries}
        self._others = {key for key in self._others if key in there}
        for key in [key for key in self._mine if key not in there]:
            self._drop(key)
        self.refused = 0
        new = [found for entry in entries if (found := self._look(entry)) is not None]
        for entry in entries:
            process = self._mine.get(entry.key)
            if process is not None:
                more = entry.spent - self._clocks.get(entry.key, entry.spent)
                self._clocks[entry.key] = entry.spent
                self.spent[process.account] = self.spent.get(process.account, 0) + more
        return new

    def look(self, pid: int) -> tuple[Process | None, bool]:
        """The same for one pid that somebody told of, and whether to ask again soon: Windows tells of a process before it has
        an image."""
        for entry in self._system.read():
            if entry.pid == pid:
                found = self._look(entry)
                return found, entry.key not in self._mine and entry.key not in self._others
        return None, False

    def descends(self, roots: Iterable[Key]) -> dict[Key, Entry]:
        """These processes, as far as they run, and everything that they started."""
        return tree(self._system.read(), set(roots))

    def line(self, roots: Iterable[Key]) -> dict[Key, Entry]:
        """The same, also what those started that run no more; a handle must keep their pids from being used again."""
        wanted, entries = set(roots), self._system.read()
        gone = wanted - {entry.key for entry in entries}
        found = tree((*entries, *(Entry(pid, created, 0, 0, "") for pid, created in gone)), wanted)
        return {key: entry for key, entry in found.items() if key not in gone}

    def renew(self, path: str) -> list[Process]:
        """Identify again what runs from this file (its hash or its signature became known); those that changed."""
        changed, low = [], path.casefold()
        for key, old in list(self._mine.items()):
            if old.program.path.casefold() != low:
                continue
            person = self._owners.people.get(old.account)
            handle = _open(key)
            if handle is None or person is None:
                continue
            with handle:
                program = self._identify(handle, person)
            if program is not None and program != old.program:
                process = Process(pid=key[0], started=key[1], parent=old.parent, account=old.account, program=program)
                self._mine[key] = process
                self._list = None
                changed.append(process)
        return changed

    # ---- inside --------------------------------------------------------------------------------------------------

    def _look(self, entry: Entry) -> Process | None:
        key = entry.key
        if key in self._mine or key in self._others or not entry.pid:
            return None
        handle = _open(key)
        if handle is None:
            self.refused += 1  # asked again by the next scan, so that nobody slips through in a moment of its start
            return None
        with handle:
            if handle.ended():
                return None
            try:
                sid = self._sid_of(handle)
            except OSError:
                self.refused += 1
                return None
            person = self._owners.by_sid.get(sid)
            if person is None:
                self._others.add(key)
                return None
            program = self._identify(handle, person)
        if program is None:
            return None  # it ended meanwhile, or has no image yet: asked again by the next scan
        process = Process(
            pid=entry.pid, started=entry.created, parent=entry.parent, account=person.name, program=program
        )
        self._mine[key] = process
        self._sessions[key] = entry.session
        self._list = None
        return process

    def _drop(self, key: Key) -> None:
        self._sessions.pop(key, None)
        self._clocks.pop(key, None)
        if self._mine.pop(key, None) is not None:
            self._list = None


def _open(key: Key) -> Handle | None:
    try:
        return opened(*key, QUERY | SYNCHRONIZE)
    except OSError:
        return None
