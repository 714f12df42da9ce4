"""End a program and everything it started: SIGTERM, after 2 s again with SIGHUP, before 5 s have passed SIGKILL."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos sends POSIX signals")

from agent.errors import HostError
from agent.platforms.macos.trees import Tree

log = logging.getLogger(__name__)

ASK_AGAIN = 2.0
"""Seconds after the first request."""
KILL = 4.6
"""Seconds after the first request; everything is gone before the fifth."""
_WATCH = 0.1

Key = tuple[int, int]


class Stopping:
    """The stops that are under way."""

    def __init__(self) -> None:
        self._trees: dict[Key, Tree] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def stop(self, key: Key, tree: Tree, *, at_once: bool) -> None:
        """Begin to stop (or hasten) the tree of ``key``."""
        known = self._trees.get(key)
        if known is not None:
            if at_once:
                known.kill()
            return
        self._trees[key] = tree
        tree.collect()
        if at_once:
            tree.kill()
        else:
            tree.send(signal.SIGTERM)
            tree.send(signal.SIGCONT)
        self._tasks[key] = asyncio.create_task(self._run(key, tree, at_once), name=f"stop {key[0]}")

    async def close(self) -> None:
        """Leave no step half done: what was asked to stop and has not is killed now."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tree in self._trees.values():
            tree.kill()
        self._trees.clear()
        self._tasks.clear()

    async def _run(self, key: Key, tree: Tree, killed: bool) -> None:
        loop = asyncio.get_running_loop()
        begun, asked_again = loop.time(), killed
        try:
            while tree.alive():
                await asyncio.sleep(_WATCH)
                tree.collect()
                passed = loop.time() - begun
                if not asked_again and passed >= ASK_AGAIN:
                    asked_again = True
                    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
                        tree.send(number)
                if killed or passed >= KILL:
                    killed = True
                    tree.kill()
        except HostError as error:
            log.warning("%s", error)
        self._trees.pop(key, None)
        self._tasks.pop(key, None)
