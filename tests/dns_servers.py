"""Name servers on loopback that answer as a test says, well or badly; made with dnspython, which shares no code with ours."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Sender = Callable[[bytes], object]
Behaviour = Callable[[dns.message.Message, Sender, bool], None]
"""``(question, send, over TCP?)``: sends what it likes, as often as it likes."""


def good(message: dns.message.Message, *records: tuple[str, int, str, str], code: int = dns.rcode.NOERROR) -> bytes:
    """An answer: ``records`` are ``(name, ttl, type, data)``."""
    reply = dns.message.make_response(message, recursion_available=True)
    reply.set_rcode(dns.rcode.Rcode(code))
    for name, ttl, kind, data in records:
        reply.answer.append(dns.rrset.from_text(f"{name.rstrip('.')}.", ttl, "IN", kind, data))
    return reply.to_wire(max_size=65_535)


def zone(names: dict[str, str], *, ttl: int = 300) -> Behaviour:
    """Answers A questions from a table; NXDOMAIN for the rest."""

    def behave(message: dns.message.Message, send: Sender, _stream: bool) -> None:
        asked = message.question[0]
        name = asked.name.to_text().lower()
        address = names.get(name.rstrip("."))
        if address is None:
            send(good(message, code=dns.rcode.NXDOMAIN))
        elif asked.rdtype == 1:
            send(good(message, (name, ttl, "A", address)))
        else:
            send(good(message))

    return behave


class Server:
    """UDP and TCP on one port of 127.0.0.1; ``seen`` are the questions that came, with the ports they came from."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.seen: list[tuple[dns.message.Message, int, bool]] = []
        self.came = threading.Event()
        while True:
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.bind(("127.0.0.1", 0))
            self.port = self._udp.getsockname()[1]
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._tcp.bind(("127.0.0.1", self.port))
            except OSError:
                self._udp.close()
                self._tcp.close()
                continue
            break
        self._tcp.listen(16)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._datagrams, self._streams)]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, asker = self._udp.recvfrom(4096)
                if not data:
                    return
                message = dns.message.from_wire(data)
                self.seen.append((message, asker[1], False))
                self.came.set()
                self.behave(message, lambda answer, asker=asker: self._udp.sendto(answer, asker), False)  # type: ignore[misc]  # mypy infers no lambda with a default

    def _streams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, asker = self._tcp.accept()
                with end, contextlib.suppress(OSError, struct.error):
                    end.settimeout(3)
                    (size,) = struct.unpack(">H", end.recv(2, socket.MSG_WAITALL))
                    message = dns.message.from_wire(end.recv(size, socket.MSG_WAITALL))
                    self.seen.append((message, asker[1], True))
                    self.behave(
                        message, lambda answer, end=end: end.sendall(struct.pack(">H", len(answer)) + answer), True
                    )  # type: ignore[misc]  # mypy infers no lambda with a default

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        self._tcp.close()
        self._udp.close()


@contextlib.contextmanager
def server(behave: Behaviour) -> Iterator[Server]:
    """One, for as long as the block runs."""
    made = Server(behave)
    try:
        yield made
    finally:
        made.close()
