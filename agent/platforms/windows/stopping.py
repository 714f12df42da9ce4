"""End a program and everything it started, without ever hitting a stranger.

Every member is held by a handle from the moment it is found until the end, and so long no other process gets its pid; a member
is taken only if it belongs to the account and is not older than its parent.  The ladder: its windows are asked to close → after
2 s once more, or, where there is no window that could be asked, it ends → before 5 s have passed all ends.  Before they end the
members are suspended, so that none can start another while the rest goes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.stopping is for Windows")

from agent.errors import HostError
from agent.platforms.windows import closing
from agent.platforms.windows.handles import SUSPEND, SYNCHRONIZE, TERMINATE, Handle, opened
from agent.platforms.windows.systemlist import Entry

log = logging.getLogger(__name__)

ASK_AGAIN = 2.0
"""Seconds after the first request."""
KILL = 4.8
"""Seconds after the first request; everything is gone before the fifth."""
_WATCH = 0.1
_ROUNDS = 20
_RIGHTS = TERMINATE | SUSPEND | SYNCHRONIZE

Key = tuple[int, int]
Owns = Callable[[Handle], bool]
"""Whether a process is the account's."""
Line = Callable[[Iterable[Key]], dict[Key, Entry]]
Ask = Callable[[Collection[int]], int]


@dataclass(slots=True)
class Tree:
    """A process and its descendants."""

    key: Key
    owns: Owns
    line: Line
    _held: dict[Key, Handle] = field(default_factory=dict)
    _denied: set[Key] = field(default_factory=set)

    def collect(self) -> int:
        """Add every present descendant, also of members that have ended; how many members are new."""
        before = len(self._held)
        for key in self.line({self.key, *self._held}):
            if key not in self._held and key not in self._denied:
                self._take(key)
        return len(self._held) - before

    def pids(self) -> frozenset[int]:
        return frozenset(pid for (pid, _), handle in self._held.items() if not handle.ended())

    def kill(self) -> None:
        """End all, with everything they start meanwhile.  ``HostError`` when one cannot be."""
        for _ in range(_ROUNDS):
            for handle in self._held.values():
                handle.suspend()
            if not self.collect():
                break
        wrong: list[OSError] = []
        for handle in self._held.values():
            try:
                handle.terminate()
            except OSError as error:
                wrong.append(error)
        if wrong:
            raise HostError(
                f"Fairtime may not stop process {self.key[0]}: {wrong[0].strerror}",
                "Run the service with the rights of the system.",
            )

    def alive(self) -> bool:
        """Whether any member still runs."""
        return any(not handle.ended() for handle in self._held.values())

    def close(self) -> None:
        for handle in self._held.values():
            handle.close()
        self._held.clear()

    def _take(self, key: Key) -> None:
        if key[0] == os.getpid():
            self._denied.add(key)
            return
        try:
            handle = opened(*key, _RIGHTS)
        except OSError as error:
            log.warning("process %s cannot be opened: %s", key[0], error.strerror)
            self._denied.add(key)
            return
        if handle is None:
            return
        if self.owns(handle):
            self._held[key] = handle
        else:
            handle.close()
            self._denied.add(key)


class Stopping:
    """The stops that are under way.  ``line`` tells who runs of these processes' offspring, whether they run or not."""

    def __init__(self, line: Line, ask: Ask = closing.ask) -> None:
        self._line = line
        self._ask = ask
        self._trees: dict[Key, Tree] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def stop(self, pid: int, started: int, owns: Owns, *, at_once: bool) -> None:
        """Begin to stop (or hasten) the tree of ``(pid, started)``; success when it is gone already."""
        key = (pid, started)
        tree = self._trees.get(key)
        if tree is not None:
            if at_once:
                tree.kill()
            return
        if not self._there(key, owns):
            return
        tree = self._trees[key] = Tree(key, owns, self._line)
        tree.collect()
        asked = 0 if at_once else self._ask(tree.pids())
        self._tasks[key] = asyncio.create_task(self._run(key, tree, at_once, asked > 0), name=f"stop {pid}")
        if at_once:
            tree.kill()

    async def close(self) -> None:
        """Leave no step half done: what was asked to stop and has not is ended now."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tree in self._trees.values():
            try:
                tree.kill()
            except HostError as error:
                log.warning("%s", error)
            tree.close()
        self._trees.clear()
        self._tasks.clear()

    def _there(self, key: Key, owns: Owns) -> bool:
        try:
            handle = opened(*key, SYNCHRONIZE)
        except OSError as error:
            raise _stranger(key[0]) from error
        if handle is None:
            return False
        with handle:
            if handle.ended():
                return False
            if key[0] == os.getpid() or not owns(handle):
                raise _stranger(key[0])
        return True

    async def _run(self, key: Key, tree: Tree, killed: bool, asked: bool) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        again = killed
        while True:
            await asyncio.sleep(_WATCH)
            tree.collect()
            if not tree.alive():
                break
            passed = loop.time() - begun
            try:
                if not again and passed >= ASK_AGAIN:
                    again = True
                    # A question whether to save may have come up, which is a window, too.
                    killed = not self._ask(tree.pids()) and not asked
                if killed or passed >= KILL - _WATCH:
                    killed = True
                    tree.kill()
            except HostError as error:
                log.warning("%s", error)
                break
        tree.close()
        self._trees.pop(key, None)
        self._tasks.pop(key, None)


def _stranger(pid: int) -> HostError:
    return HostError(
        f"Process {pid} does not belong to a watched account, so it is left alone",
        "Only programs of children's accounts are ever stopped.",
    )
