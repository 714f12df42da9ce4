"""One server that is asked: its address, its health, and the sockets from which it is asked.

An answer is believed by three things that somebody who cannot see the question has to guess: the server's address (the socket
is connected, so the kernel drops what comes from elsewhere), the port, and the number.  Ports are the kernel's random choice,
and are given up after a few questions.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import TYPE_CHECKING

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.upstream is for Linux")

from agent.errors import PolicyError

if TYPE_CHECKING:
    from agent.filter.forward import Question

PORTS = 16
"""Sockets of one server that are open for new questions."""
USES = 32
"""Questions that are sent from one socket."""
PATIENCE = 2
"""Questions in a row without an answer, after which a server is asked last."""
PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds until it is tried again, doubled each time."""


class Upstream:
    """A server by its address, as ``control.Serve`` writes them.  Raises ``PolicyError`` when it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        host, port = _split(text)
        self.family = socket.AF_INET6 if host.version == 6 else socket.AF_INET
        self.address = (str(host), port)
        self.ports: list[Port] = []
        self._failures = 0
        self._failed_at = 0.0
        self._answered_at = 0.0
        self.until = 0.0
        """When it may be tried again, while it is ``silent``."""

    @property
    def silent(self) -> bool:
        """It has not answered lately."""
        return self._failures >= PATIENCE

    def answered(self, now: float) -> None:
        """It lives."""
        self._failures = 0
        self._answered_at = now

    def failed(self, asked: float, now: float) -> None:
        """What was ``asked`` then was not answered.  What went out together counts once, and not if it answered since."""
        if asked < max(self._answered_at, self._failed_at):
            return
        self._failed_at = now
        self._failures += 1
        if self.silent:
            self.pause(now)

    def pause(self, now: float) -> None:
        """Not to be tried for a while."""
        self.until = now + min(LONGEST_PAUSE, PAUSE * 2 ** min(self._failures - PATIENCE, 8))


class Port:
    """A socket to one server, with the questions that wait at it."""

    __slots__ = ("socket", "upstream", "uses", "waiting")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.waiting: dict[bytes, Question] = {}
        self.uses = 0
        self.socket = socket.socket(upstream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self.socket.connect(upstream.address)
        except OSError:
            self.socket.close()
            raise


class Dice:
    """Random bytes, fetched from the kernel by the page."""

    __slots__ = ("_at", "_bytes")

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def two(self) -> bytes:
        """Two of them."""
        at = self._at
        if at >= len(self._bytes):
            self._bytes = os.urandom(4096)
            at = 0
        self._at = at + 2
        return self._bytes[at : at + 2]


def _split(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    host, port = text, "53"
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError(port)
        return ipaddress.ip_address(host), number
    except ValueError as error:
        raise PolicyError(f"“{text}” is no address of a name server", "Write one such as 192.0.2.1.") from error
