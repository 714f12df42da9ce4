"""One child's sockets: UDP and TCP under one number, on 127.0.0.1 and ::1.

A number that somebody else has is not fought for: another is taken, and it is said.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.ports is for Linux")

FOUR, SIX = "127.0.0.1", "::1"
_TRIES = 32
_BACKLOG = 64
_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Sockets:
    """Bound, and listening where they are of TCP."""

    def __init__(self, port: int, *, datagrams: bool, six: bool) -> None:
        """Raises ``OSError`` when one of them cannot be had; port 0 is any."""
        self.port = port
        self.udp: list[socket.socket] = []
        self.tcp: list[socket.socket] = []
        try:
            for address in (FOUR, SIX) if six else (FOUR,):
                if datagrams:
                    self.udp.append(self._bound(address, socket.SOCK_DGRAM))
                self.tcp.append(self._bound(address, socket.SOCK_STREAM))
        except OSError:
            self.close()
            raise

    def _bound(self, address: str, kind: int) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if address == SIX else socket.AF_INET, kind | _FLAGS)
        try:
            if address == SIX:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # Connections of a process that was here before may still be ending.
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, self.port))
            if kind == socket.SOCK_STREAM:
                made.listen(_BACKLOG)
        except OSError:
            made.close()
            raise
        self.port = int(made.getsockname()[1])
        return made

    def __iter__(self) -> Iterator[socket.socket]:
        return iter((*self.udp, *self.tcp))

    def close(self) -> None:
        """All of them."""
        for one in self:
            one.close()


def take(wanted: int, *, datagrams: bool, six: bool) -> Sockets:
    """Sockets under ``wanted``, or else under another number.  Raises ``OSError`` when there are none at all."""
    if wanted:
        with contextlib.suppress(OSError):
            return Sockets(wanted, datagrams=datagrams, six=six)
    for _ in range(_TRIES - 1):
        # A number that is free for one kind may be taken for another.
        with contextlib.suppress(OSError):
            return Sockets(0, datagrams=datagrams, six=six)
    return Sockets(0, datagrams=datagrams, six=six)


def has_six() -> bool:
    """Whether ::1 can be bound here."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.bind((SIX, 0))
    except OSError:
        return False
    return True
