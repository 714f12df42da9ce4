"""Hold a program still so that its own account cannot let it go on: in a frozen cgroup that belongs to root.

SIGSTOP alone would not do: whoever may signal a process may send SIGCONT too (kill(2)).  A cgroup below the account's slice
that this service made and froze (cgroup v2, Linux 5.2) holds whatever the account signals, traces or nices; moving a
process out of it takes the right to write to a cgroup above both places (cgroups(7), delegation), which is root's.  One way
remains: systemd moves a process on behalf of its owner (``AttachProcessesToUnit``).  The kernel tells at once when a held
cgroup empties (``cgroup.events``), and what left it alive is killed.

A process that has no terminal is stopped by signal for the milliseconds that the move takes (``cgroup_threadgroup_rwsem``
waits for an RCU grace period); with a terminal it is not, because its shell would take it for a stopped job.  Where the exec
gate has stopped it before its first instruction, a shell does so all the same; ``fg`` takes it back.

Where cgroup v2 is missing, SIGSTOP it is, looked at every 50 ms; what was let go on is stopped again, and killed the
third time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError
from agent.platforms.linux import procfs, signals
from agent.platforms.linux.cells import Cell, tree

log = logging.getLogger(__name__)

ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
"""Where cgroup v2 is mounted: alone, or beside version 1 (systemd's "hybrid" layout)."""
LOOK = 0.05
"""Seconds between two looks at what only a signal holds."""
BREAKS = 3
"""So often may something else let a program go on before it is killed."""
_DYING = 1.0
"""Seconds that what was killed may take to be gone before its cgroup is left to the next start of the service."""

Key = tuple[int, int]


class _Poll(Protocol):
    """``select.epoll``, whose name type checkers know on Linux only, even behind the test above."""

    def fileno(self) -> int: ...
    def register(self, fd: int, eventmask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


def _nobody(pid: int, started: int) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class _One:
    """A held process."""

    pid: int
    started: int
    pidfd: int
    cell: Cell | None
    """Its frozen cgroup; ``None`` where a signal holds it."""
    events: int = -1
    """``cgroup.events``, open."""
    breaks: int = 0

    @property
    def state(self) -> str:
        """The letter of proc_pid_stat(5); empty when it has ended."""
        stat = procfs.stat(self.pid)
        return "" if stat is None or stat.started != self.started or stat.state in "ZX" else stat.state


class Holder:
    """What stands still.  ``broke_out`` is told of a process that left alive and was killed."""

    def __init__(self, broke_out: Callable[[int, int], None] = _nobody, roots: Iterable[Path] = ROOTS) -> None:
        self._broke_out = broke_out
        self._roots = tuple(roots)
        self._held: dict[Key, _One] = {}
        self._poll: _Poll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look: asyncio.TimerHandle | None = None
        self._released: set[Cell] = set()
        """Cgroups that go on in place, because where their program came from is gone, and those that are being emptied."""

    # ---- life ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take up what an earlier run held; needs a running loop."""
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._loop.add_reader(self._poll.fileno(), self._changed)
        root = self.root()
        if root is None:
            return
        for cell in Cell.left(root):
            if cell.held_by_another():
                continue
            if cell.key is None or not self._take(*cell.key, cell):
                self._discard(cell)

    def close(self) -> None:
        """End: what is held is killed, because nobody would ever let it go on."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        cells = [one.cell for one in self._held.values() if one.cell is not None]
        for key in list(self._held):
            self.kill(*key)
        # The dying need a moment, and nobody comes after us to clear their cgroups away.
        deadline = time.monotonic() + _DYING
        while not all(cell.remove() for cell in cells) and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._loop is not None and self._poll is not None:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
        self._loop = self._poll = None

    # ---- holding -------------------------------------------------------------------------------------------------

    @property
    def held(self) -> frozenset[Key]:
        """Keys of the processes that were asked to be held; those that they had started are held with them."""
        return frozenset(self._held)

    def root(self) -> Path | None:
        """Where cgroup v2 is and may be written to."""
        for root in self._roots:
            if (root / "cgroup.controllers").exists() and os.access(root / "cgroup.procs", os.W_OK):
                return root
        return None

    def hold(self, pid: int, started: int, uid: int) -> None:
        """Let a process and what it started stand still; success when it is held already or gone."""
        if self._loop is None:
            raise HostError("Fairtime is closed, so it holds nothing", "Open the host first.")
        if (pid, started) in self._held:
            return
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        stat = procfs.stat(pid)
        if stat is None or stat.started != started:
            os.close(pidfd)
            return
        if not stat.tty:
            signals.send(pidfd, signal.SIGSTOP)
        root = self.root()
        if root is not None:
            try:
                cell = Cell.of(root, pid, started, uid)
                cell.take_in(pid)
                if not self._take(pid, started, cell):
                    self._discard(cell)
                # The gate stops a program inside of ``exec``, terminal or not.
                signals.send(pidfd, signal.SIGCONT)
                os.close(pidfd)
                return
            except OSError as error:
                log.warning("process %s cannot be frozen, so a signal holds it: %s", pid, error.strerror)
        for member in tree(pid):
            signals.send_to(member, signal.SIGSTOP)
        self._held[(pid, started)] = _One(pid, started, pidfd, None)
        self._look_later()

    def release(self, pid: int, started: int) -> None:
        """Let it go on; success when it is gone or was not held."""
        one = self._held.pop((pid, started), None)
        if one is None:
            return
        self._forget_events(one)
        try:
            if one.cell is None:
                for member in tree(pid):
                    signals.send_to(member, signal.SIGCONT)
            elif not one.cell.let_out(self.root()):
                self._released.add(one.cell)
        finally:
            os.close(one.pidfd)

    def kill(self, pid: int, started: int) -> None:
        """Kill what is held, with everything in its cgroup."""
        one = self._held.pop((pid, started), None)
        if one is None:
            return
        self._forget_events(one)
        signals.send(one.pidfd, signal.SIGKILL)
        os.close(one.pidfd)
        if one.cell is not None:
            self._discard(one.cell)

    def sweep(self, seated: Callable[[int], bool] | None = None) -> None:
        """Clear away the cgroups of programs that have ended; with ``seated`` (whether a uid has a session), also end what
        was let go on in place and outlived its session: nothing else of the session does."""
        for key, one in list(self._held.items()):
            if not one.state:
                self.kill(*key)
            elif one.cell is not None and not one.cell.holds(one.pid):
                self._out(key)  # and left others behind, so that its cgroup did not empty
        for cell in list(self._released):
            if cell.remove():
                self._released.discard(cell)
            elif cell.owner is not None and seated is not None and not seated(cell.owner):
                self._discard(cell)

    # ---- the frozen cgroup ---------------------------------------------------------------------------------------

    def _take(self, pid: int, started: int, cell: Cell) -> bool:
        """Keep watch over a frozen cgroup; False when its process is gone."""
        if self._poll is None:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        stat = procfs.stat(pid)
        if stat is None or stat.started != started or not cell.holds(pid):
            os.close(pidfd)
            return False
        events = os.open(cell.place / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        self._poll.register(events, select.EPOLLPRI | select.EPOLLERR)
        self._held[(pid, started)] = _One(pid, started, pidfd, cell, events)
        return True

    def _changed(self) -> None:
        """A held cgroup emptied: its program has ended, or something moved it out."""
        if self._poll is None:
            return
        ready = {fd for fd, _ in self._poll.poll(0)}
        for key, one in list(self._held.items()):
            if one.events not in ready:
                continue
            try:
                emptied = b"populated 0" in os.pread(one.events, 256, 0)
            except OSError:
                # The cgroup is gone (ENODEV).  Only root removes it: another service took it up and let the program go on.
                self._forget_events(one)
                os.close(self._held.pop(key).pidfd)
                continue
            if not emptied:
                continue
            if one.state:
                self._out(key)
            else:
                self.kill(*key)

    def _out(self, key: Key) -> None:
        log.warning("process %s was moved out of its cgroup while it was held; it is killed", key[0])
        self.kill(*key)
        self._broke_out(*key)

    def _discard(self, cell: Cell) -> None:
        """Kill whatever is in a cgroup, and remove it (at once, or when it is empty)."""
        if not cell.kill():
            self._released.add(cell)

    # ---- by signal only ------------------------------------------------------------------------------------------

    def _look_later(self) -> None:
        if self._look is None and self._loop is not None and any(one.cell is None for one in self._held.values()):
            self._look = self._loop.call_later(LOOK, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        for key, one in list(self._held.items()):
            if one.cell is not None:
                continue
            state = one.state
            if not state:
                self.kill(*key)
            elif state not in "Tt":
                one.breaks += 1
                if one.breaks >= BREAKS:
                    log.warning("process %s was let go on again and again while it was held; it was killed", one.pid)
                    self.kill(*key)
                    self._broke_out(*key)
                else:
                    signals.send(one.pidfd, signal.SIGSTOP)
        self._look_later()

    def _forget_events(self, one: _One) -> None:
        if one.events >= 0 and self._poll is not None:
            self._poll.unregister(one.events)
            os.close(one.events)
