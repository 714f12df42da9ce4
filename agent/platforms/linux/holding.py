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

The place where a process came from is kept at its cgroup (``user.fairtime.origin``, xattr(7)), so that a service that was
killed and started again can put it back; and who holds it (``user.fairtime.holder``), so that a second one beside it, a
trial for instance, leaves it alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError
from agent.platforms.linux import procfs

log = logging.getLogger(__name__)

ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
"""Where cgroup v2 is mounted: alone, or beside version 1 (systemd's "hybrid" layout)."""
ORIGIN = "user.fairtime.origin"
HOLDER = "user.fairtime.holder"
LOOK = 0.05
"""Seconds between two looks at what only a signal holds."""
BREAKS = 3
"""So often may something else let a program go on before it is killed."""
_NAME = re.compile(r"fairtime-held-(\d+)-(\d+)$")
_SLICE = re.compile(r"/user-(\d+)\.slice/")
_ROUNDS = 10

Key = tuple[int, int]


class _Poll(Protocol):
    """``select.epoll``, which type checkers know on Linux only."""

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
    place: Path | None
    """Its frozen cgroup; ``None`` where a signal holds it."""
    events: int = -1
    """``cgroup.events``, open."""
    breaks: int = 0


class Holder:
    """What stands still.  ``broke_out`` is told of a process that left alive and was killed."""

    def __init__(self, broke_out: Callable[[int, int], None] = _nobody, roots: Iterable[Path] = ROOTS) -> None:
        self._broke_out = broke_out
        self._roots = tuple(roots)
        self._held: dict[Key, _One] = {}
        self._poll: _Poll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look: asyncio.TimerHandle | None = None
        self._released: set[Path] = set()
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
        for place in (*root.glob("fairtime-held-*"), *root.glob("user.slice/user-*.slice/fairtime-held-*")):
            if _held_by_another(place):
                continue
            match = _NAME.search(place.name)
            if match is None or not self._take(int(match[1]), int(match[2]), place):
                self._discard(place)

    def close(self) -> None:
        """End: what is held is killed, because nobody would ever let it go on."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for key in list(self._held):
            self.kill(*key)
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
            _send(pidfd, signal.SIGSTOP)
        root = self.root()
        if root is not None:
            try:
                self._freeze(pid, started, self._parent(root, uid))
                # The gate stops a program inside of ``exec``, terminal or not.
                _send(pidfd, signal.SIGCONT)
                os.close(pidfd)
                return
            except OSError as error:
                log.warning("process %s cannot be frozen, so a signal holds it: %s", pid, error.strerror)
        for member in self._tree(pid):
            _send_to(member, signal.SIGSTOP)
        self._held[(pid, started)] = _One(pid, started, pidfd, None)
        self._look_later()

    def release(self, pid: int, started: int) -> None:
        """Let it go on; success when it is gone or was not held."""
        one = self._held.pop((pid, started), None)
        if one is None:
            return
        self._forget_events(one)
        try:
            if one.place is None:
                for member in self._tree(pid):
                    _send_to(member, signal.SIGCONT)
            else:
                self._let_go(one.place)
        finally:
            os.close(one.pidfd)

    def kill(self, pid: int, started: int) -> None:
        """Kill what is held, with everything in its cgroup."""
        one = self._held.pop((pid, started), None)
        if one is None:
            return
        self._forget_events(one)
        _send(one.pidfd, signal.SIGKILL)
        os.close(one.pidfd)
        if one.place is not None:
            self._discard(one.place)

    def sweep(self, seated: Callable[[int], bool] | None = None) -> None:
        """Clear away the cgroups of programs that have ended; with ``seated`` (whether a uid has a session), also end what
        was let go on in place and outlived its session: nothing else of the session does."""
        for key, one in list(self._held.items()):
            stat = procfs.stat(one.pid)
            if stat is None or stat.started != one.started or stat.state in "ZX":
                self.kill(*key)
            elif one.place is not None and not procfs.unified(one.pid).endswith(one.place.name):
                self._out(key)  # and left others behind, so that its cgroup did not empty
        for place in list(self._released):
            owner = _SLICE.search(str(place))
            if _rmdir(place):
                self._released.discard(place)
            elif owner is not None and seated is not None and not seated(int(owner[1])):
                self._discard(place)

    # ---- the frozen cgroup ---------------------------------------------------------------------------------------

    @staticmethod
    def _parent(root: Path, uid: int) -> Path:
        slice_ = root / "user.slice" / f"user-{uid}.slice"
        return slice_ if slice_.is_dir() else root

    def _freeze(self, pid: int, started: int, parent: Path) -> None:
        place = parent / f"fairtime-held-{pid}-{started}"
        origin = procfs.unified(pid)
        place.mkdir(mode=0o755, exist_ok=True)
        try:
            os.setxattr(place, ORIGIN, os.fsencode(origin))
            os.setxattr(place, HOLDER, _own_name())
        except OSError as error:
            log.info("the place of process %s is not kept: %s", pid, error.strerror)
        try:
            (place / "cgroup.freeze").write_text("1", encoding="ascii")
            (place / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError:
            _rmdir(place)
            raise
        # What it had forked in the meantime comes too; what it forks from now on is born there.
        for _ in range(_ROUNDS):
            outside = [member for member in self._tree(pid) if not procfs.unified(member).endswith(place.name)]
            for member in outside:
                _move(place, member)
            if not outside:
                break
        if not self._take(pid, started, place):
            self._discard(place)

    def _take(self, pid: int, started: int, place: Path) -> bool:
        """Keep watch over a frozen cgroup; False when its process is gone."""
        if self._poll is None:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        stat = procfs.stat(pid)
        if stat is None or stat.started != started or not procfs.unified(pid).endswith(place.name):
            os.close(pidfd)
            return False
        events = os.open(place / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        self._poll.register(events, select.EPOLLPRI | select.EPOLLERR)
        self._held[(pid, started)] = _One(pid, started, pidfd, place, events)
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
            stat = procfs.stat(one.pid)
            if stat is not None and stat.started == one.started and stat.state not in "ZX":
                self._out(key)
            else:
                self.kill(*key)

    def _out(self, key: Key) -> None:
        log.warning("process %s was moved out of its cgroup while it was held; it is killed", key[0])
        self.kill(*key)
        self._broke_out(*key)

    def _let_go(self, place: Path) -> None:
        """Back to where it came from; where that is gone, it goes on in place."""
        root = self.root()
        try:
            origin = os.fsdecode(os.getxattr(place, ORIGIN))
        except OSError:
            origin = ""
        # ``..``: it came from outside of what this service sees of the tree.
        home = root / origin.lstrip("/") if root is not None and origin and ".." not in origin else None
        for _ in range(_ROUNDS):
            members = _members(place)
            if not members:
                break
            if home is None or not all(_move(home, member) for member in members):
                break
        if not _rmdir(place):
            try:
                (place / "cgroup.freeze").write_text("0", encoding="ascii")
            except OSError as error:
                raise HostError(
                    f"The kernel refused to let a program go on: {error.strerror}", "Close it and start it again."
                ) from error
            self._released.add(place)

    def _discard(self, place: Path) -> None:
        """Kill whatever is in a cgroup, and remove it (at once, or when it is empty)."""
        try:
            (place / "cgroup.kill").write_text("1", encoding="ascii")
        except OSError:  # before Linux 5.14, or gone
            for member in _members(place):
                _send_to(member, signal.SIGKILL)
        if not _rmdir(place):
            self._released.add(place)

    # ---- by signal only ------------------------------------------------------------------------------------------

    def _look_later(self) -> None:
        if self._look is None and self._loop is not None and any(one.place is None for one in self._held.values()):
            self._look = self._loop.call_later(LOOK, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        for key, one in list(self._held.items()):
            if one.place is not None:
                continue
            stat = procfs.stat(one.pid)
            if stat is None or stat.started != one.started or stat.state in "ZX":
                self.kill(*key)
            elif stat.state not in "Tt":
                one.breaks += 1
                if one.breaks >= BREAKS:
                    log.warning("process %s was let go on again and again while it was held; it was killed", one.pid)
                    self.kill(*key)
                    self._broke_out(*key)
                else:
                    _send(one.pidfd, signal.SIGSTOP)
        self._look_later()

    # ---- within --------------------------------------------------------------------------------------------------

    @staticmethod
    def _tree(pid: int) -> list[int]:
        tree = [pid]
        for member in tree:
            tree += [child for child in procfs.children(member) if child not in tree]
        return tree

    def _forget_events(self, one: _One) -> None:
        if one.events >= 0 and self._poll is not None:
            self._poll.unregister(one.events)
            os.close(one.events)


def _own_name() -> bytes:
    own = procfs.stat(os.getpid())
    return f"{os.getpid()} {own.started if own is not None else 0}".encode()


def _held_by_another(place: Path) -> bool:
    """Whether a living process other than this one holds it."""
    try:
        name = os.getxattr(place, HOLDER)
    except OSError:
        return False
    pid, _, started = name.partition(b" ")
    if name == _own_name() or not pid.isdigit():
        return False
    stat = procfs.stat(int(pid))
    return stat is not None and str(stat.started).encode() == started


def _members(place: Path) -> list[int]:
    try:
        return [int(word) for word in (place / "cgroup.procs").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _move(place: Path, pid: int) -> bool:
    """Whether a process is there now, or gone."""
    try:
        (place / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return True


def _rmdir(place: Path) -> bool:
    try:
        place.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _send(pidfd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return  # it ended by itself
    except PermissionError:
        log.warning("a program that must wait could not be held: the service lacks the right")


def send(pid: int, started: int, number: signal.Signals) -> None:
    """A signal to this very process, if it is there."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        stat = procfs.stat(pid)
        if stat is not None and stat.started == started:
            _send(pidfd, number)
    finally:
        os.close(pidfd)


def _send_to(pid: int, number: signal.Signals) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        _send(pidfd, number)
    finally:
        os.close(pidfd)
