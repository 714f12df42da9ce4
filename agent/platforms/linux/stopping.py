"""End a program and everything it started, without ever hitting a stranger.

Signals go through pidfds, so a pid that was used again is never touched.  A member is taken only if it belongs to the
account of the tree's root and did not start before it; process 1 and this service are never members.

Linux has no "please close" for a program without knowing its display, so the ladder is: SIGTERM (desktop programs save
and quit) with SIGCONT (so that a stopped one can hear it) → after 2 s SIGTERM again and SIGHUP (an interactive shell ignores
the first and obeys the second) → before 5 s have passed SIGKILL.  Between the steps the tree is read again every 100 ms,
so that a child that forks and detaches (double fork, ``setsid``) is known before its parent is gone.  Before a kill the
members are stopped, so that none can fork while the rest dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

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

Owns = Callable[[int], bool]
"""Whether a uid is the account's."""


@dataclass(slots=True)
class Tree:
    """A process and its descendants, each held by a pidfd."""

    pid: int
    started: int
    owns: Owns
    _held: dict[tuple[int, int], int] = field(default_factory=dict)

    def collect(self) -> int:
        """Add every present descendant; how many members are new."""
        before = len(self._held)
        root = procfs.stat(self.pid)
        if root is not None and root.started == self.started:
            self._take(self.pid, self.started)
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

    def send(self, number: signal.Signals) -> None:
        for key, pidfd in list(self._held.items()):
            try:
                # An owner may change (sudo): a process that became another account's is left alone.
                if self._owned(key[0]):
                    signal.pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                os.close(self._held.pop(key))
            except PermissionError as error:
                raise HostError(
                    f"Fairtime may not stop process {key[0]}", "Run the service with the rights of the system."
                ) from error

    def kill(self) -> None:
        """SIGKILL to all, with everything they fork meanwhile."""
        for _ in range(_ROUNDS):
            self.send(signal.SIGSTOP)
            if not self.collect():
                break
        self.send(signal.SIGKILL)

    def alive(self) -> bool:
        """Whether any member still runs; those that do not are let go."""
        for key, pidfd in list(self._held.items()):
            stat = procfs.stat(key[0])
            if stat is None or stat.started != key[1] or stat.state in "ZX":
                if stat is not None and stat.started == key[1] and stat.threads > 1:
                    continue  # the main thread ended, others run on
                os.close(pidfd)
                del self._held[key]
        return bool(self._held)

    def close(self) -> None:
        for pidfd in self._held.values():
            os.close(pidfd)
        self._held.clear()

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
        if again is not None and again.started == started and self._owned(pid):
            self._held[(pid, started)] = pidfd
        else:
            os.close(pidfd)


class Stopping:
    """The stops that are under way."""

    def __init__(self) -> None:
        self._trees: dict[tuple[int, int], Tree] = {}
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}

    async def stop(self, pid: int, started: int, owns: Owns, *, at_once: bool) -> None:
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
            tree.collect()
            self._trees[key] = tree
            self._tasks[key] = asyncio.create_task(self._run(key, tree, at_once), name=f"stop {pid}")
            if at_once:
                tree.kill()
            else:
                tree.send(signal.SIGTERM)
                tree.send(signal.SIGCONT)
        elif at_once:
            tree.kill()

    async def close(self) -> None:
        """Leave no step half done: what was asked to stop and has not is killed now."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tree in self._trees.values():
            tree.kill()
            tree.close()
        self._trees.clear()
        self._tasks.clear()

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
                    tree.kill()
            except HostError as error:
                log.warning("%s", error)
                break
        tree.close()
        self._trees.pop(key, None)
        self._tasks.pop(key, None)
