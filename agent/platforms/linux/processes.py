"""The cheap scan: which processes watched accounts have, at a fraction of what a full reading costs.

Each scan lists the pids.  New ones are asked for their owner, and only those of watched accounts for more.  Known ones are
looked at again in rotation, all of them within ``ROTATION``: an ``exec`` changes a program under its pid, a login program
changes the owner under a pid, and a pid may be used again.  A process that is gone in mid-read is normal.

A new image (``exec``) is told from the old one by the kernel's address of the stack, random for each image, not by the
command line: that a program may rewrite, so it is read once per image.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.model.program import Process, ProgramId
from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Owners, Person

ROTATION = 4_000
"""Milliseconds within which every known process is looked at again (the promise is 5 s; a tick may come late)."""

Identify = Callable[[int, Person, str | None], ProgramId | None]


@dataclass(slots=True)
class _Known:
    process: Process
    image: int
    link: str
    terminal: bool


class ProcessTable:
    """Processes of the watched accounts.  ``identify`` is ``identity.Identifier.running``."""

    def __init__(self, identify: Identify) -> None:
        self._identify = identify
        self._owners = Owners()
        self._names: set[str] = set()
        self._again: set[str] = set()
        self._mine: dict[int, _Known] = {}
        self._turn: list[str] = []
        self._last: int | None = None
        self._list: tuple[Process, ...] | None = None

    def watch(self, owners: Owners) -> None:
        """Whose processes count from now on; the next scan looks at everything anew."""
        self._owners = owners
        self.forget()

    def forget(self) -> None:
        self._names.clear()
        self._again.clear()
        self._mine.clear()
        self._turn.clear()
        self._list = None
        self._last = None

    @property
    def processes(self) -> tuple[Process, ...]:
        if self._list is None:
            self._list = tuple(known.process for known in self._mine.values())
        return self._list

    def on_terminal(self, account: str) -> bool:
        """Whether a process of the account has a controlling terminal."""
        return any(known.terminal and known.process.account == account for known in self._mine.values())

    def scan(self, now: int, *, everything: bool = False) -> list[Process]:
        """Look at the machine at ``now`` (any steady milliseconds); the images that were not known before.

        ``everything`` looks at every process again, as after lost events.
        """
        names = set(os.listdir("/proc"))
        fresh = (names - self._names) | (self._again & names)
        self._again = set()
        for name in self._names - names:
            if name.isdigit():
                self._drop(int(name))
        self._names = names
        images = []
        for name in fresh:
            if name.isdigit():
                image = self.look(int(name))
                if image is not None:
                    images.append(image)
        for name in self._due(now, everything):
            if name not in fresh:
                image = self.look(int(name))
                if image is not None:
                    images.append(image)
        return images

    def look(self, pid: int) -> Process | None:
        """Read one process; returns it when its image was not known before.  The cheapest question comes first."""
        uid = procfs.owner(pid)
        person = self._owners.by_uid(uid) if uid is not None else None
        if person is None:
            self._drop(pid)
            return None
        return self.read(pid, person)

    def read(self, pid: int, person: Person) -> Process | None:
        """The same for a process that is known to be ``person``'s."""
        stat = procfs.stat(pid)
        known = self._mine.get(pid)
        if stat is None:
            self._drop(pid)
            return None
        if not stat.settled and stat.state not in "ZX":
            # In the middle of an ``exec`` (or a kernel thread, or not ours to look at): ask again next time.
            self._again.add(str(pid))
            return None
        same = known is not None and known.process.started == stat.started and known.process.account == person.name
        if known is not None and same and known.image == stat.image and stat.image:
            if known.process.parent != stat.parent:
                self._keep(pid, known.process, stat, known.link, parent=stat.parent)
            return None
        link = procfs.exe(pid)
        if link is None and stat.threads > 1:
            link = procfs.exe_of_threads(pid)
        if link is None:
            # A zombie, or one whose main thread ended while others run on: what we knew still holds for those.
            if not (known is not None and same and stat.threads > 1):
                self._drop(pid)
            return None
        if known is not None and same and stat.image == 0 and known.link == link:
            return None
        origin = None if same else self._mine.get(stat.parent)
        # A fork is its parent's image going on: nothing new was started, and who it is, is known already.
        forked = (
            origin is not None
            and stat.image != 0
            and (origin.image, origin.link, origin.process.account) == (stat.image, link, person.name)
        )
        program = origin.process.program if forked and origin is not None else self._identify(pid, person, link)
        if program is None:
            self._drop(pid)
            return None
        process = Process(pid=pid, started=stat.started, parent=stat.parent, account=person.name, program=program)
        self._keep(pid, process, stat, link)
        return None if forked else process

    def recheck(self, pids: set[int]) -> None:
        """Look at these in the next scan, whoever's turn it is."""
        self._again.update(map(str, pids))

    def drop(self, pid: int) -> None:
        """The process is no watched account's (any more)."""
        if pid in self._mine:
            self._drop(pid)

    def renew(self) -> list[Process]:
        """Identify every known process again (packages or hashes became known); those that changed."""
        changed = []
        for pid, known in list(self._mine.items()):
            person = self._owners.people.get(known.process.account)
            program = self._identify(pid, person, known.link) if person is not None else None
            if program is not None and program != known.process.program:
                old = known.process
                process = Process(pid=pid, started=old.started, parent=old.parent, account=old.account, program=program)
                known.process = process
                self._list = None
                changed.append(process)
        return changed

    # ---- inside --------------------------------------------------------------------------------------------------

    def _keep(self, pid: int, process: Process, stat: procfs.Stat, link: str, *, parent: int | None = None) -> None:
        if parent is not None:
            process = Process(
                pid=pid, started=process.started, parent=parent, account=process.account, program=process.program
            )
        self._mine[pid] = _Known(process, stat.image, link, stat.tty != 0)
        self._names.add(str(pid))
        self._list = None

    def _drop(self, pid: int) -> None:
        if self._mine.pop(pid, None) is not None:
            self._list = None

    def _due(self, now: int, everything: bool) -> list[str]:
        """Who is looked at again in this scan."""
        passed = ROTATION if self._last is None else now - self._last
        self._last = now
        if everything:
            self._turn = []
            return [name for name in self._names if name.isdigit()]
        if not self._turn:
            self._turn = [name for name in self._names if name.isdigit()]
        share = ceil(len(self._names) * max(passed, 0) / ROTATION)
        due, self._turn = self._turn[:share], self._turn[share:]
        return [name for name in due if name in self._names]
