"""End a program and everything it started, without ever hitting a stranger.

Signals go through pidfds, so a pid that was used again is never touched.  A member is taken only if it belongs to the
account of the tree's root and did not start before it; process 1 and this service are never members.

Linux has no "please close" for a program without knowing its display, so the ladder is: SIGTERM (desktop programs save
and quit) with SIGCONT (so that a stopped one can hear it) → after 2 s SIGTERM again and SIGHUP (an interactive shell ignores
the first and obeys the second) → before 5 s have passed SIGKILL.  Meanwhile the kernel tells of each fork (see ``starts``),
so that what detaches (double fork, ``setsid``) stays a member; where it does not, the tree is read again every 100 ms, and
who detaches faster than that is left to the next scan.  Before a kill the members are stopped, so that none can fork while
the rest dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError
from agent.platforms.linux import procfs

log = logging.getLogger(__name__)

ASK_AGAIN = 2.0
"""Seconds after the first request."""
KILL = 4.8
"""Seconds after the first request; everything is gone before the fifth."""
_WATCH = 0.1
_ROUNDS = 20
"""How often a dying tree is read again for members that were forked meanwhile."""
_HOLD = 200
"""Members held by a descriptor.  A flood of forks has more: those are opened when needed, or it would use up the service's
descriptors, of which systemd gives 1,024 by default."""
_NOT_HELD = -1

Owns = Callable[[int], bool]
"""Whether a uid is the account's."""


class Forks(Protocol):
    """Who tells of new processes: ``starts.StartEvents``."""

    def follow(self, forked: Callable[[int, int], None] | None) -> None: ...

    def drain(self) -> None: ...


@dataclass(slots=True)
class Tree:
    """A process and its descendants, each held by a pidfd."""

    pid: int
    started: int
    owns: Owns
    _held: dict[tuple[int, int], int] = field(default_factory=dict)
    _open: int = 0
    """How many of them."""
    _line: set[int] = field(default_factory=set)
    """Every pid that was a member, or descends from one, since the stop began; parents of new ones."""
    _borrowed: bool = False
    """Another account's program waits for the root: ``su``, ``sudo``, a login."""

    def forked(self, parent: int, child: int) -> None:
        """The kernel tells of a fork; ``child`` may be gone already, and its children still come."""
        if parent in self._line:
            self._line.add(child)
            stat = procfs.stat(child)
            if stat is not None and stat.started >= self.started and self._owned(child):
                self._take(child, stat.started)
        else:
            # The pid of a member that died was given to a stranger's child.
            self._line.discard(child)

    def collect(self) -> int:
        """Add every present descendant; how many members are new."""
        before = len(self._held)
        root = procfs.stat(self.pid)
        if root is not None and root.started == self.started:
            self._take(self.pid, self.started)
            self._borrowed = root.parent > 1 and not self._owned(root.parent)
        seen: set[int] = set()
        queue = [pid for pid, _ in self._held]
        while queue:
            pid = queue.pop()
            if pid in seen:
                continue
            seen.add(pid)
            for child in procfs.children(pid):
                stat = procfs.stat(child)
                # A member that has died may have left its pid to a stranger: children must point back to it.
                if stat is not None and stat.parent == pid and stat.started >= self.started and child not in seen:
                    if self._owned(child):
                        self._take(child, stat.started)
                    queue.append(child)
        return len(self._held) - before

    def send(self, number: signal.Signals, spared: tuple[int, int] | None = None) -> None:
        for key, pidfd in list(self._held.items()):
            if key == spared:
                continue
            try:
                # An owner may change (sudo): a process that became another account's is left alone.
                if not self._owned(key[0]):
                    continue
                if pidfd == _NOT_HELD:
                    _send_once(key, number)
                else:
                    signal.pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                self._let_go(key)
            except PermissionError as error:
                raise HostError(
                    f"Fairtime may not stop process {key[0]}", "Run the service with the rights of the system."
                ) from error

    def kill(self, forks: Forks | None = None) -> None:
        """SIGKILL to all, with everything they fork meanwhile."""
        for _ in range(_ROUNDS):
            # ``su`` stops itself when it sees its program stopped, and would wait for a dead one for ever: that one is not.
            self.send(signal.SIGSTOP, spared=(self.pid, self.started) if self._borrowed else None)
            before = len(self._held)
            if forks is not None:
                forks.drain()
            if not self.collect() and len(self._held) == before:
                break
        self.send(signal.SIGKILL)

    def alive(self) -> bool:
        """Whether any member still runs; those that do not are let go."""
        for key in list(self._held):
            stat = procfs.stat(key[0])
            if stat is None or stat.started != key[1] or stat.state in "ZX":
                if stat is not None and stat.started == key[1] and stat.threads > 1:
                    continue  # the main thread ended, others run on
                self._let_go(key)
        return bool(self._held)

    def pids(self) -> set[int]:
        """Everyone who is, or was, a member."""
        return {self.pid} | self._line

    def close(self) -> None:
        for key in list(self._held):
            self._let_go(key)

    def _let_go(self, key: tuple[int, int]) -> None:
        pidfd = self._held.pop(key)
        if pidfd != _NOT_HELD:
            os.close(pidfd)
            self._open -= 1

    def _owned(self, pid: int) -> bool:
        uid = procfs.owner(pid)
        return uid is not None and self.owns(uid)

    def _take(self, pid: int, started: int) -> None:
        if (pid, started) in self._held or pid <= 1 or pid == os.getpid():
            return
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        again = procfs.stat(pid)
        if again is None or again.started != started or not self._owned(pid):
            os.close(pidfd)
            return
        self._line.add(pid)
        if self._open >= _HOLD:
            os.close(pidfd)
            pidfd = _NOT_HELD
        else:
            self._open += 1
        self._held[(pid, started)] = pidfd


def _send_once(key: tuple[int, int], number: signal.Signals) -> None:
    """To a member that is not held; ``ProcessLookupError`` when it is gone."""
    pidfd = os.pidfd_open(key[0])
    try:
        stat = procfs.stat(key[0])
        if stat is None or stat.started != key[1]:
            raise ProcessLookupError
        signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


class Stopping:
    """The stops that are under way.  ``forks`` tells of new processes while there are any."""

    def __init__(self, forks: Forks | None = None) -> None:
        self._forks = forks
        self._trees: dict[tuple[int, int], Tree] = {}
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._ended: set[int] = set()

    def touched(self) -> set[int]:
        """Pids that are being stopped, or were since this was last asked: what a scan must look at again, because a dead
        process that its parent has not collected yet keeps its place in ``/proc``."""
        pids, self._ended = self._ended, set()
        for tree in self._trees.values():
            pids |= tree.pids()
        return pids

    def stop(self, pid: int, started: int, owns: Owns, *, at_once: bool) -> None:
        """Begin to stop (or hasten) the tree of ``(pid, started)``; success when it is gone already."""
        key = (pid, started)
        tree = self._trees.get(key)
        if tree is None:
            stat = procfs.stat(pid)
            if stat is None or stat.started != started or (stat.state in "ZX" and stat.threads <= 1):
                return
            uid = procfs.owner(pid)
            if uid is None:
                return
            if pid <= 1 or pid == os.getpid() or not owns(uid):
                raise HostError(
                    f"Process {pid} does not belong to a watched account, so it is left alone",
                    "Only programs of children's accounts are ever stopped.",
                )
            tree = Tree(pid, started, owns)
            self._trees[key] = tree
            if self._forks is not None and len(self._trees) == 1:
                self._forks.follow(self._forked)
            tree.collect()
            self._tasks[key] = asyncio.create_task(self._run(key, tree, at_once), name=f"stop {pid}")
            if at_once:
                tree.kill(self._forks)
            else:
                tree.send(signal.SIGTERM)
                tree.send(signal.SIGCONT)
        elif at_once:
            tree.kill(self._forks)

    async def close(self) -> None:
        """Leave no step half done: what was asked to stop and has not is killed now."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tree in self._trees.values():
            tree.kill(self._forks)
            tree.close()
        if self._trees and self._forks is not None:
            self._forks.follow(None)
        self._trees.clear()
        self._tasks.clear()

    def _forked(self, parent: int, child: int) -> None:
        for tree in list(self._trees.values()):
            tree.forked(parent, child)

    def _end(self, key: tuple[int, int]) -> None:
        self._ended |= self._trees.pop(key).pids()
        self._tasks.pop(key, None)
        if not self._trees and self._forks is not None:
            self._forks.follow(None)

    async def _run(self, key: tuple[int, int], tree: Tree, at_once: bool) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        asked_again = at_once
        killed = at_once
        while True:
            await asyncio.sleep(_WATCH)
            tree.collect()
            if not tree.alive():
                break
            passed = loop.time() - begun
            try:
                if not asked_again and passed >= ASK_AGAIN:
                    asked_again = True
                    tree.send(signal.SIGHUP)
                    tree.send(signal.SIGTERM)
                    tree.send(signal.SIGCONT)
                if killed or passed >= KILL - _WATCH:
                    killed = True
                    tree.kill(self._forks)
            except HostError as error:
                log.warning("%s", error)
                break
        tree.close()
        self._end(key)
