"""Let programs stand still: their threads are suspended, and again twenty times a second.

Windows lets whoever owns a process let its threads go on.  So each look suspends them once more (Windows counts that, up to
127), and includes what the tree has started meanwhile.  That is a fence, no wall: what breaks through gains a twentieth of a
second, and the time that the program is held, it may be asked about.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.holding is for Windows")

from agent.platforms.windows.handles import SUSPEND, SYNCHRONIZE, Handle, opened
from agent.platforms.windows.systemlist import Entry

LOOK = 0.05
"""Seconds."""
_DEEPEST = 127
"""MAXIMUM_SUSPEND_COUNT."""

Key = tuple[int, int]
Descends = Callable[[Iterable[Key]], dict[Key, Entry]]


@dataclass(slots=True)
class _One:
    handle: Handle
    depth: int = 0
    """How often it was suspended here."""


class Holder:
    """``descends`` tells who runs of these processes and their offspring; ``ours`` whether one is a watched account's."""

    def __init__(self, descends: Descends, ours: Callable[[Key], bool]) -> None:
        self._descends = descends
        self._ours = ours
        self._roots: set[Key] = set()
        self._still: dict[Key, _One] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> frozenset[Key]:
        """Keys of what was held, each with its tree."""
        return frozenset(
            key for key in self._roots if (one := self._still.get(key)) is not None and not one.handle.ended()
        )

    def hold(self, key: Key) -> None:
        """Until ``release``; success when it is held already or gone."""
        self._roots.add(key)
        self._look()

    def release(self, key: Key) -> None:
        """Let it and its tree go on, but for what is held by itself."""
        self._roots.discard(key)
        wanted = self._descends(self._roots) if self._roots else {}
        for other in [other for other in self._still if other not in wanted]:
            self._let_go(other)

    def close(self) -> None:
        """Nothing may stand still for ever because nobody knows it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._roots.clear()
        for key in list(self._still):
            self._let_go(key)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        found = self._descends(self._roots)
        self._roots &= found.keys()
        for key in [key for key in self._still if key not in found]:
            self._let_go(key)
        for key in found:
            one = self._still.get(key)
            if one is None:
                handle = self._opened(key)
                if handle is None:
                    continue
                one = self._still[key] = _One(handle)
            if one.depth < _DEEPEST:
                one.depth += 1
            one.handle.suspend()
        if self._roots:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _opened(self, key: Key) -> Handle | None:
        if key not in self._roots and not self._ours(key):
            return None
        try:
            return opened(*key, SUSPEND | SYNCHRONIZE)
        except OSError:
            return None

    def _let_go(self, key: Key) -> None:
        one = self._still.pop(key)
        for _ in range(one.depth):
            one.handle.resume()
        one.handle.close()
