"""Let programs stand still by SIGSTOP.  Their own account can let them go on (SIGCONT), so they are stopped again twenty times
a second, with what they started meanwhile."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos sends POSIX signals")

from agent.errors import HostError
from agent.platforms.macos.stopping import Key
from agent.platforms.macos.trees import Tree

log = logging.getLogger(__name__)

_AGAIN = 0.05
"""Seconds between two looks."""


class Holding:
    """``held`` is what stands still."""

    def __init__(self) -> None:
        self._trees: dict[Key, Tree] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> frozenset[Key]:
        """Keys of the roots that live; those that have ended are let go."""
        for key in [key for key, tree in self._trees.items() if not tree.alive()]:
            del self._trees[key]
        return frozenset(self._trees)

    def hold(self, key: Key, tree: Tree) -> None:
        """From now on; success when it is held already."""
        if key in self._trees:
            return
        self._trees[key] = tree
        tree.still()
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="hold")

    def release(self, key: Key) -> None:
        """Let it go on; success when it is not held."""
        tree = self._trees.pop(key, None)
        if tree is not None:
            tree.send(signal.SIGCONT)

    def forget(self, key: Key) -> None:
        """It is being stopped: nobody needs to hold it."""
        self._trees.pop(key, None)

    async def close(self) -> None:
        """End: what is held is killed, because nobody would ever let it go on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for tree in self._trees.values():
            tree.kill()
        self._trees.clear()

    async def _keep(self) -> None:
        while self.held:
            await asyncio.sleep(_AGAIN)
            for key, tree in list(self._trees.items()):
                try:
                    tree.still()
                except HostError as error:
                    log.warning("%s", error)
                    self._trees.pop(key, None)
        self._task = None
