"""The cheap scan: which processes watched accounts have, at a fraction of what a full reading costs.

New pids are asked for their owner, and only those of watched accounts for more.  Known ones are looked at again in
rotation: an ``exec`` changes a program under its pid, a login program changes the owner under a pid, and a pid may be used
again.  A process that is gone in mid-read is normal.

By itself a scan lists the pids each time, and the rotation takes ``ROTATION``.  While the kernel tells of each new image and
owner as it happens (``told``; see ``starts``), the scan asks for what is left in the cheapest way: a poll of the pidfds says
what ended, the newest pid of the machine (the kernel hands them out in order) says which pids are new; and listing and
rotation are only the net below that, with ``NET`` to go round.

A new image (``exec``) is told from the old one by the kernel's address of the stack, random for each image, not by the
command line: that a program may rewrite, so it is read once per image.
"""

from __future__ import annotations

import errno
import os
import selectors
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

NET = 60_000
"""The same while the kernel tells of new images and owners: then only what it failed to tell for want of memory is left."""
MOST_NEW = 256
"""Pids handed out since the last scan that are cheaper to ask for one by one than to list all."""
TRIES = 3
"""Readings of a process that runs something new by the end of each; who goes on so is judged by the last."""
MOST_HELD = 512
"""Descriptors that a child's processes may take here; beyond, the scan lists and rotates as if nothing was told."""
_NO_PROCESS = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
"""What pidfd_open(2) says of a pid that is gone, and of a thread's."""

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
        self._pids: set[int] = set()
        self._again: set[int] = set()
        self._mine: dict[int, _Known] = {}
        self._ends: dict[int, int] = {}
        """Pid → pidfd of those in ``_mine``: readable once the process has ended."""
        self._over: selectors.BaseSelector | None = None
        """Tells of the pidfds that are readable."""
        self._newest: int | None = None
        self._turn: list[int] = []
        self._last: int | None = None
        self._list: tuple[Process, ...] | None = None
        self._on_terminal: frozenset[str] = frozenset()

    def watch(self, owners: Owners) -> None:
        """Whose processes count from now on; the next scan looks at everything anew."""
        self._owners = owners
        self.forget()

    def forget(self) -> None:
        for pid in list(self._ends):
            self._let_go(pid)
        if self._over is not None:
            self._over.close()
            self._over = None
        self._pids.clear()
        self._again.clear()
        self._mine.clear()
        self._turn.clear()
        self._list = self._newest = self._last = None

    @property
    def processes(self) -> tuple[Process, ...]:
        if self._list is None:
            self._list = tuple(known.process for known in self._mine.values())
            self._on_terminal = frozenset(known.process.account for known in self._mine.values() if known.terminal)
        return self._list

    def on_terminal(self, account: str) -> bool:
        """Whether a process of the account has a controlling terminal."""
        return bool(self.processes) and account in self._on_terminal

    def scan(self, now: int, *, told: bool = False, everything: bool = False) -> list[Process]:
        """Look at the machine at ``now`` (any steady milliseconds); the images that were not known before.

        ``told``: every new image and change of owner since the scan before was handed to ``read``, ``look`` or ``drop``.
        ``everything`` looks at every process again, as after lost events.
        """
        due, self._again = self._again, set()
        due |= self._ended()
        told = told and not everything and len(self._ends) == len(self._mine)
        newest, before = procfs.newest_pid(), self._newest
        self._newest = newest
        if told and self._turn and before is not None and 0 <= newest - before <= MOST_NEW:
            due.update(range(before + 1, newest + 1))
        else:
            due |= self._listed()
        due.update(self._due(now, NET if told else ROTATION, everything))
        images = []
        for pid in due:
            image = self.look(pid)
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

    def read(self, pid: int, person: Person, tries: int = TRIES) -> Process | None:
        """The same for a process that is known to be ``person``'s."""
        stat = procfs.stat(pid)
        known = self._mine.get(pid)
        if stat is None or (known is not None and known.process.started != stat.started):
            self._drop(pid)
            known = None
        if stat is None:
            return None
        if not stat.settled and stat.state not in "ZX":
            # In the middle of an ``exec`` (or a kernel thread, or not ours to look at): ask again next time.
            self._again.add(pid)
            return None
        same = known is not None and known.process.account == person.name
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
        if pid not in self._ends and not self._hold(pid):
            return None
        origin = None if same else self._mine.get(stat.parent)
        # A fork is its parent's image going on: nothing new was started, and who it is, is known already.
        forked = (
            origin is not None
            and stat.image != 0
            and (origin.image, origin.link, origin.process.account) == (stat.image, link, person.name)
        )
        if forked and origin is not None:
            program: ProgramId | None = origin.process.program
        else:
            program = self._identify(pid, person, link)
            after = procfs.stat(pid)
            if after is None or (after.state in "ZX" and after.threads < 2):
                program = None  # it ended meanwhile, and what was read of it may be half of the truth
            elif not _still(stat, after) and tries > 1:
                return self.read(pid, person, tries - 1)
        if program is None:
            self._drop(pid)
            return None
        process = Process(pid=pid, started=stat.started, parent=stat.parent, account=person.name, program=program)
        self._keep(pid, process, stat, link)
        return None if forked else process

    def recheck(self, pids: set[int]) -> None:
        """Look at these in the next scan, whoever's turn it is."""
        self._again |= pids

    def drop(self, pid: int) -> None:
        """The process is no watched account's (any more)."""
        self._drop(pid)

    def renew(self) -> list[Process]:
        """Identify every known process again (packages or hashes became known); those that changed."""
        changed = []
        for pid, known in list(self._mine.items()):
            person = self._owners.people.get(known.process.account)
            program = self._identify(pid, person, known.link) if person is not None else None
            if program is not None and program != known.process.program:
                old = known.process
                stat = procfs.stat(pid)
                if stat is None or stat.started != old.started or not stat.settled or stat.image != known.image:
                    self._again.add(pid)
                    continue
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
        self._pids.add(pid)
        self._list = None

    def _drop(self, pid: int) -> None:
        self._let_go(pid)
        if self._mine.pop(pid, None) is not None:
            self._list = None

    def _hold(self, pid: int) -> bool:
        """Be told of its end; False when there is no such process (a thread's pid looks like one in /proc)."""
        try:
            end = os.pidfd_open(pid)
        except OSError as error:
            return error.errno not in _NO_PROCESS
        if len(self._ends) >= MOST_HELD:
            os.close(end)
        else:
            if self._over is None:
                self._over = selectors.DefaultSelector()
            self._ends[pid] = end
            self._over.register(end, selectors.EVENT_READ, pid)
        return True

    def _let_go(self, pid: int) -> None:
        end = self._ends.pop(pid, None)
        if end is not None and self._over is not None:
            self._over.unregister(end)
            os.close(end)

    def _ended(self) -> set[int]:
        """Forget what ended; its pids, in case something else has them by now."""
        pids = {key.data for key, _ in self._over.select(0)} if self._over is not None else set()
        for pid in pids:
            self._drop(pid)
        return pids

    def _listed(self) -> set[int]:
        """List the pids; the new ones."""
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        for pid in self._pids - pids:
            self._drop(pid)
        new = pids - self._pids
        self._pids = pids
        return new

    def _due(self, now: int, round_: int, everything: bool) -> list[int]:
        """Who is looked at again in this scan, so that a round takes ``round_`` milliseconds."""
        passed = round_ if self._last is None else now - self._last
        self._last = now
        if everything or not self._turn:
            self._turn = list(self._pids)
        share = len(self._turn) if everything else ceil(len(self._pids) * max(passed, 0) / round_)
        due, self._turn = self._turn[:share], self._turn[share:]
        return due


def _still(before: procfs.Stat, after: procfs.Stat) -> bool:
    """Whether what was read in between is of one image: executable, command line and environment are files of their own,
    and an ``exec`` between two of them would join the shell of before to the words of its successor."""
    return (before.started, before.image, before.settled) == (after.started, after.image, after.settled)
