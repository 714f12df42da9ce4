"""A real resolver process as tests see it: told what holds, asked over UDP, TCP and HTTP."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dns.exception
import dns.message
import dns.query

from agent.filter import line
from agent.filter.command import command
from agent.filter.control import Lists, Serve, Served, Serving, ToResolver, ToService, Troubles
from agent.model.site import HostRule, SiteLane, SitePlan

LONG = 20.0
"""Seconds after which something that should happen soon counts as not happening."""
M = TypeVar("M")


def plan(child: str = "mia", *, allow: tuple[str, ...] = (), block: tuple[str, ...] = (), **more: Any) -> SitePlan:
    """A plan with these hosts; everything else is blocked unless ``otherwise`` says so."""
    hosts = [HostRule(host=host, action="allow", rule=f"site:{host}") for host in allow]
    hosts += [HostRule(host=host, action="block", rule=f"site:{host}", reason=more.pop("reason", "")) for host in block]
    return SitePlan(child=child, hosts=tuple(hosts), **more)


def lane(plan: SitePlan, dns_port: int = 0, page_port: int = 0) -> SiteLane:
    return SiteLane(plan=plan, accounts=(plan.child,), dns_port=dns_port, page_port=page_port)


class Resolver:
    """The process, and this test as its service."""

    def __init__(
        self, *lanes: SiteLane, upstreams: tuple[str, ...] = (), book: Path | None = None, lists: bool = True
    ) -> None:
        self.heard: list[ToService | ToResolver] = []
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(command(theirs.fileno()), pass_fds=[theirs.fileno()], cwd="/")
        self.line = line.for_service(ours)
        if lists:
            self.lists(book)
        self.served: dict[str, Served] = {}
        self.serve(*lanes, upstreams=upstreams)

    def lists(self, book: Path | None) -> None:
        if book is None:
            self.line.send(Lists())
        else:
            with book.open("rb") as file:
                self.line.send(Lists(name=book.name), file.fileno())

    def serve(self, *lanes: SiteLane, upstreams: tuple[str, ...] = ()) -> Serving:
        self.heard = [message for message in self.heard if not isinstance(message, Serving)]
        self.line.send(Serve(lanes=lanes, upstreams=upstreams))
        serving = self.wait(Serving)
        self.served = {one.child: one for one in serving.lanes}
        return serving

    def listen(self, seconds: float) -> bool:
        """Take what has come, waiting for it so long at most."""
        if not select.select([self.line], [], [], seconds)[0]:
            return False
        self.heard += [message for message, _ in self.line.receive()]
        return True

    def wait(self, kind: type[M], fits: Callable[[M], bool] = lambda _: True) -> M:
        """The first message of this kind that fits, of those not taken yet."""
        until = time.monotonic() + LONG
        while True:
            for message in self.heard:
                if isinstance(message, kind) and fits(message):
                    self.heard.remove(message)
                    return message
            assert self.listen(until - time.monotonic()), f"no {kind.__name__} among {self.heard}"

    def trouble(self, kind: str, *, there: bool = True) -> Troubles:
        return self.wait(Troubles, lambda message: any(one.kind == kind for one in message.now) is there)

    def ask(
        self, name: str, kind: str = "A", child: str = "mia", *, tcp: bool = False, at: str = "127.0.0.1", **more: Any
    ) -> dns.message.Message:
        message = dns.message.make_query(name, kind, **({"use_edns": 0, "payload": 1232} | more))
        port = self.served[child].dns_port
        if tcp:
            return dns.query.tcp(message, at, timeout=LONG, port=port)
        for _ in range(4):
            with contextlib.suppress(dns.exception.Timeout):
                # As programs do: a datagram may be lost, when a queue is full.
                return dns.query.udp(message, at, timeout=LONG / 4, port=port)
        raise AssertionError(f"no answer for {name}")

    def http(self, text: bytes, child: str = "mia") -> bytes:
        """The whole answer to a whole request."""
        with socket.create_connection(("127.0.0.1", self.served[child].page_port), LONG) as end:
            end.sendall(text)
            parts = []
            while part := end.recv(65_536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> int:
        self.line.close()
        return self.process.wait(LONG)


@contextlib.contextmanager
def resolver(*lanes: SiteLane, **more: Any) -> Iterator[Resolver]:
    """One, for as long as the block runs; it must end well."""
    made = Resolver(*lanes, **more)
    try:
        yield made
    finally:
        assert made.close() == 0


def addresses(message: dns.message.Message) -> list[str]:
    return sorted(item.to_text() for rrset in message.answer for item in rrset if rrset.rdtype in (1, 28))


def framed(data: bytes) -> bytes:
    """For TCP."""
    return struct.pack(">H", len(data)) + data
