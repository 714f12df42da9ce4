"""Connections that others open to us: few at a time, and none longer than it is of use.

``Listener`` accepts; a ``Connection`` gets what comes and says when it is done.  One child's connections are that child's own
matter: when there are too many, the oldest is closed.
"""

from __future__ import annotations

import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.streams is for Linux")

from agent.filter.loop import Loop

MOST = 32
"""Open connections of one child and kind."""
IDLE = 10.0
"""Seconds without a whole request, after which a connection is closed."""
BACKLOG = 256 * 1024
"""Bytes that may wait to be read by the other side."""
_ACCEPT = 16
_READ = 16_384
_SWEEP = 2.0


class Connection(ABC):
    """One of them.  What speaks over it overrides ``heard``."""

    def __init__(self, loop: Loop, end: socket.socket) -> None:
        self.loop = loop
        self.since = loop.now
        """When it last did something of use."""
        self.silent = True
        """Nothing has come yet."""
        self._end = end
        self._out = bytearray()
        self._last = False
        loop.watch(end.fileno(), self._read)

    @property
    def closed(self) -> bool:
        return self._end.fileno() < 0

    @abstractmethod
    def heard(self, data: bytes) -> None:
        """What has come."""

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Send soon; close after the ``last``."""
        if self.closed:
            return
        self._out += data
        self._last = self._last or last
        if len(self._out) > BACKLOG:
            self.close()
        else:
            self._write()

    def _write(self) -> None:
        try:
            del self._out[: self._end.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._out:
            self.loop.watch(self._end.fileno(), self._read, self._write)
        elif self._last:
            # Not at once: what the other side still sends would be answered by a reset, which may overtake our words.
            self._half_close()
        else:
            self.loop.watch(self._end.fileno(), self._read)

    def _half_close(self) -> None:
        self.loop.watch(self._end.fileno(), self._drain)
        try:
            self._end.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def _drain(self) -> None:
        try:
            if not self._end.recv(_READ):
                self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> None:
        try:
            data = self._end.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.silent = False
            self.heard(data)
        else:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.loop.forget(self._end.fileno())
            self._end.close()


class Listener:
    """Accepts at ``sockets``; ``make`` makes a connection of an end."""

    def __init__(self, loop: Loop, sockets: list[socket.socket], make: Callable[[socket.socket], Connection]) -> None:
        self._loop = loop
        self._make = make
        self._open: list[Connection] = []
        self._sweeping = False
        for one in sockets:
            loop.watch(one.fileno(), partial(self._accept, one))

    def _accept(self, at: socket.socket) -> None:
        for _ in range(_ACCEPT):
            try:
                end, _ = at.accept()
            except OSError:  # none left, or the one who came is gone, or no descriptor is free: then it waits
                return
            end.setblocking(False)
            self._open = [one for one in self._open if not one.closed]
            if len(self._open) >= MOST:
                self._open.pop(0).close()
            self._open.append(self._make(end))
            if not self._sweeping:
                self._sweeping = True
                self._loop.later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        for one in self._open:
            if self._loop.now - one.since > IDLE:
                one.close()
        self._open = [one for one in self._open if not one.closed]
        self._sweeping = bool(self._open)
        if self._sweeping:
            self._loop.later(_SWEEP, self._sweep)

    def close_silent(self) -> None:
        """End what was opened and not used yet."""
        for one in self._open:
            if one.silent:
                one.close()

    def close(self) -> None:
        """End what is open (whoever made the sockets closes them)."""
        for one in self._open:
            one.close()
        self._open.clear()


class Questions(Connection):
    """DNS over TCP (RFC 7766): each message after its length."""

    WAITING = 16
    """Questions of one connection that may wait for an answer."""

    def __init__(
        self, loop: Loop, end: socket.socket, answer: Callable[[bytes, Callable[[bytes], object]], bytes | None]
    ) -> None:
        super().__init__(loop, end)
        self._answer = answer
        self._in = bytearray()
        self._waiting = 0

    def heard(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 2 and not self.closed:
            size = self._in[0] << 8 | self._in[1]
            if size < 12 or size > 4096:
                self.close()
                return
            if len(self._in) < 2 + size:
                return
            message = bytes(self._in[2 : 2 + size])
            del self._in[: 2 + size]
            self.since = self.loop.now
            if self._waiting >= self.WAITING:
                self.close()
                return
            found = self._answer(message, self._later)
            if found is not None:
                self._say(found)
            else:
                self._waiting += 1

    def _later(self, answer: bytes) -> None:
        self._waiting -= 1
        self._say(answer)

    def _say(self, answer: bytes) -> None:
        self.send(len(answer).to_bytes(2, "big") + answer)
