"""A loop of one thread: descriptors that can be read or written, and a few things that are due later.

Not asyncio: with it this process would hold four megabytes more than all it does, and answer a third slower.
"""

from __future__ import annotations

import heapq
import select
import sys
from collections.abc import Callable
from time import monotonic

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.loop is for Linux")

BATCH = 64
"""Datagrams that one socket may have answered before it is the next one's turn: no flood at one port starves another."""

Act = Callable[[], None]


class Loop:
    """``now`` is the time of this turn, in seconds (monotonic): one reading for all that is done in it."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._watched: dict[int, tuple[Act, Act | None]] = {}
        self._due: list[tuple[float, int, Act]] = []
        self._serial = 0
        self._ended = False
        self.now = monotonic()

    def watch(self, fd: int, readable: Act, writable: Act | None = None) -> None:
        """Call ``readable`` when there is something to read or the other side is gone, ``writable`` (if any) when
        something can be written.

        Also to replace what was said for ``fd`` before."""
        mask = select.EPOLLIN | (select.EPOLLOUT if writable is not None else 0)
        if fd in self._watched:
            self._poll.modify(fd, mask)
        else:
            self._poll.register(fd, mask)
        self._watched[fd] = (readable, writable)

    def forget(self, fd: int) -> None:
        """Before ``fd`` is closed."""
        if self._watched.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def later(self, seconds: float, act: Act) -> None:
        """Call ``act`` once; there is no taking back, so it looks whether there is still something to do."""
        self._serial += 1
        heapq.heappush(self._due, (monotonic() + seconds, self._serial, act))

    def end(self) -> None:
        """Leave ``run`` after this turn."""
        self._ended = True

    def close(self) -> None:
        """Let go of everything."""
        self._watched.clear()
        self._poll.close()

    def run(self) -> None:
        """Until ``end``."""
        while not self._ended:
            self.turn(self._due[0][0] - monotonic() if self._due else None)

    def turn(self, timeout: float | None) -> None:
        """Wait for something to do, ``timeout`` seconds at most, and do it."""
        ready = self._poll.poll(None if timeout is None else max(0.0, timeout))
        self.now = monotonic()
        for fd, mask in ready:
            watched = self._watched.get(fd)  # none: what was done before in this turn has closed it
            if watched is None:
                continue
            readable, writable = watched
            if mask & ~select.EPOLLOUT:
                readable()
            if writable is not None and mask & select.EPOLLOUT and self._watched.get(fd) is watched:
                writable()
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()
