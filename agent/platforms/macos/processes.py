"""The scan: which processes watched accounts have, through psutil (proc_pidinfo and sysctl on macOS).

New pids are asked for their owner, and only those of watched accounts for more.  Known ones are looked at again in rotation:
an ``exec`` changes a program under its pid, a login changes the owner under a pid, and a pid may be used again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import psutil

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos asks for POSIX processes")

from agent.clock import SECOND, Millis
from agent.model.program import Process, ProgramId
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.identity import Running

ROTATION: Millis = 4 * SECOND
"""Within which every process is looked at again (the promise is 5 s; a tick may come late)."""
GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, ProcessLookupError)

Identify = Callable[[Running, Person], ProgramId]


@dataclass(slots=True)
class _Known:
    handle: psutil.Process
    process: Process
    image: Running


class ProcessTable:
    """Processes of the watched accounts.  ``scan`` may run in a thread."""

    def __init__(self, identify: Identify) -> None:
        self._identify = identify
        self._lock = threading.Lock()
        self._owners: Mapping[int, Person] = {}
        self._mine: dict[int, _Known] = {}
        self._turn: list[int] = []
        """Every pid, the one that was looked at last at the end."""
        self._last: Millis | None = None
        self._list: tuple[Process, ...] = ()
        self.hidden = False
        """A watched account's process could not be looked at: this is not root."""

    def watch(self, owners: Mapping[int, Person]) -> None:
        """Whose processes count from now on."""
        with self._lock:
            self._owners = owners
            self._turn, self._last = [], None
            self._mine.clear()
            self._list = ()
            self.hidden = False

    @property
    def processes(self) -> tuple[Process, ...]:
        """The same tuple while nothing started or ended."""
        return self._list

    def scan(self, now: Millis) -> list[Process]:
        """Look at the machine at ``now`` (any steady milliseconds); the images that were not known before."""
        with self._lock:
            return self._scan(now)

    def _scan(self, now: Millis) -> list[Process]:
        pids = frozenset(psutil.pids())
        for pid, known in tuple(self._mine.items()):
            if pid not in pids or _ended(known.handle):
                del self._mine[pid]
        due = self._due(now, pids)
        images = [image for pid in due if (image := self._look(pid)) is not None]
        listed = tuple(known.process for known in self._mine.values())
        if listed != self._list:
            self._list = listed
        return images

    def started(self, pid: int) -> int | None:
        """The start of the process that has ``pid`` now, as ``Process.started`` has it; ``None`` when there is none."""
        try:
            known = self._mine.get(pid)
            if known is not None and known.handle.is_running():
                return known.process.started
            return _started(psutil.Process(pid))
        except GONE:
            return None

    def _look(self, pid: int) -> Process | None:
        known = self._mine.get(pid)
        try:
            # Its start is told in the wall's time: read once, and the handle knows whether the pid is still the same process.
            same = known is not None and known.handle.is_running()
            handle = psutil.Process(pid)  # a new one: psutil remembers the executable, and an exec would go unseen
            with handle.oneshot():
                person = self._owners.get(handle.uids().real)
                if person is None:
                    self._mine.pop(pid, None)
                    return None
                if handle.status() == psutil.STATUS_ZOMBIE:
                    self._mine.pop(pid, None)
                    return None
                image = _image(handle)
                parent = handle.ppid()
        except GONE:
            self._mine.pop(pid, None)
            return None
        except psutil.AccessDenied:
            self.hidden = True
            return None
        if known is not None and same and known.image == image and known.process.account == person.name:
            if known.process.parent == parent:
                return None
            program, started, new = known.process.program, known.process.started, False
        else:
            program, new = self._identify(image, person), True
            started = known.process.started if known is not None and same else _started(handle)
        process = Process(pid=pid, started=started, parent=parent, account=person.name, program=program)
        self._mine[pid] = _Known(known.handle if known is not None and same else handle, process, image)
        return process if new else None

    def _due(self, now: Millis, pids: frozenset[int]) -> list[int]:
        """The new ones, and who is looked at again in this scan, so that a round takes ``ROTATION``: the longest not looked at
        first."""
        passed = ROTATION if self._last is None else now - self._last
        self._last = now
        known = [pid for pid in self._turn if pid in pids]
        new = pids.difference(known)
        share = ceil(len(known) * max(passed, 0) / ROTATION)
        due = [*known[:share], *new]
        self._turn = [*known[share:], *due]
        return due


def _ended(handle: psutil.Process) -> bool:
    """Whether it has ended, though its parent has not asked how (a zombie): its number is still there."""
    try:
        return bool(handle.status() == psutil.STATUS_ZOMBIE)
    except GONE:
        return True
    except psutil.AccessDenied:
        return False


def _started(handle: psutil.Process) -> int:
    return round(handle.create_time() * 1000)


def _image(handle: psutil.Process) -> Running:
    exe, argv = handle.exe(), tuple(handle.cmdline())
    return Running(exe, argv, "" if all(word.startswith(("/", "-")) for word in argv[1:]) else handle.cwd())
