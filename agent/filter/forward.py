"""Questions that others are asked: sent, waited for, sent to the next when there is no answer, asked over TCP when it is cut.

Everything is bounded: each child may have ``IN_FLIGHT`` questions out and ``WAITERS`` for the answer to one, and each try has
``TIMEOUT`` seconds.  What a child floods the resolver with fills that child's places only.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.forward is for Linux")

from msgspec import Struct

from agent.filter import wire
from agent.filter.control import Trouble
from agent.filter.loop import BATCH, Loop
from agent.filter.upstream import PORTS, USES, Dice, Port, Upstream

TIMEOUT = 2.0
"""Seconds that a server has for an answer."""
TRIES = 2
"""Servers that are asked one after the other at least (the same again where there is one only); most programs wait for five
seconds."""
MOST_TRIES = 3
MOST_UPSTREAMS = 8
IN_FLIGHT = 256
WAITERS = 16
_SWEEP = 0.1
_READ = 4096
_TRY_NEXT = (wire.SERVFAIL, wire.REFUSED, wire.NOTIMP)


class Reply(Struct, frozen=True):
    """What a server answered: checked, and an answer to the question."""

    data: bytes
    records: tuple[wire.Record, ...]


Done = Callable[[Reply | None], None]


class Asker:
    """Somebody with questions: one child."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[bytes, Question] = {}


class Question:
    """One that is out.  ``done`` are all who wait for its answer."""

    __slots__ = ("asked", "asker", "best", "done", "number", "place", "query", "tried", "until", "upstream")

    def __init__(self, query: wire.Query, asker: Asker | None, done: list[Done]) -> None:
        self.query = query
        self.asker = asker
        self.done = done
        self.tried: list[Upstream] = []
        self.upstream: Upstream | None = None
        self.place: Port | _Stream | None = None
        self.number = b""
        self.asked = 0.0
        self.until = 0.0
        self.best: Reply | None = None
        """An answer that is better than none: "I cannot", or a part of it."""


class Forwarder:
    """``changed`` is called when ``troubles`` may have changed."""

    def __init__(self, loop: Loop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._upstreams: list[Upstream] = []
        self._out: dict[Question, None] = {}
        """In the order in which their time runs out."""
        self._sweeping = False
        self._dice = Dice()
        self._told: tuple[Trouble, ...] = ()

    def use(self, upstreams: Sequence[str]) -> None:
        """Whom to ask, best first.  Raises ``PolicyError`` for what is no address; then nothing changes."""
        known = {upstream.text: upstream for upstream in self._upstreams}
        wanted = [known.get(text) or Upstream(text) for text in list(dict.fromkeys(upstreams))[:MOST_UPSTREAMS]]
        for upstream in self._upstreams:
            if upstream not in wanted:
                for port in list(upstream.ports):
                    self._retire(port)
        self._upstreams = wanted
        self._tell()

    def troubles(self) -> Iterator[Trouble]:
        """What is wrong with those who are asked."""
        silent = [upstream for upstream in self._upstreams if upstream.silent]
        for upstream in silent:
            yield Trouble(
                kind="upstream", about=upstream.text, text=f"The name server {upstream.text} does not answer."
            )
        if len(silent) == len(self._upstreams):
            known = "No name server answers" if silent else "No name server is known"
            yield Trouble(
                kind="no-upstream", about="", text=f"{known}: pages that are allowed cannot be opened either."
            )

    def _tell(self) -> None:
        now = tuple(self.troubles())
        if now != self._told:
            self._told = now
            self._changed()

    # ---- asking --------------------------------------------------------------------------------------------------

    def ask(self, query: wire.Query, asker: Asker, done: Done) -> bool:
        """Ask, and call ``done`` once, later, with the answer or ``None``.  False: not asked, too many wait already."""
        key = query.key
        same = asker.waiting.get(key)
        if same is not None:
            if len(same.done) >= WAITERS:
                return False
            same.done.append(done)
            return True
        if len(asker.waiting) >= IN_FLIGHT or not self._upstreams:
            return False
        question = asker.waiting[key] = Question(query, asker, [done])
        self._send(question)
        now = self._loop.now
        for upstream in self._upstreams:
            if upstream.silent and upstream.until <= now and upstream is not question.upstream:
                # Try whether it is back with a question whose answer nobody waits for.
                upstream.pause(now)
                self._send_to(Question(query, None, []), upstream)
        return True

    def _send(self, question: Question) -> None:
        """To the best server that was not asked yet."""
        while True:
            upstream = self._choose(question)
            if upstream is None:
                self._finish(question, question.best)
                return
            if self._send_to(question, upstream):
                return

    def _choose(self, question: Question) -> Upstream | None:
        tried = question.tried
        if len(tried) >= min(MOST_TRIES, max(TRIES, len(self._upstreams))):
            return None
        best: Upstream | None = None
        for upstream in self._upstreams:
            if not upstream.silent and upstream not in tried:
                return upstream
            if best is None or (tried.count(upstream), upstream.until) < (tried.count(best), best.until):
                best = upstream
        return best

    def _send_to(self, question: Question, upstream: Upstream) -> bool:
        question.tried.append(upstream)
        now = self._loop.now
        query = question.query
        port: Port | None = None
        try:
            port = self._port(upstream)
            number = self._dice.two()
            while number in port.waiting:
                number = self._dice.two()
            port.socket.send(wire.write_query(number, query.flags, query.wire, edns=query.edns, dnssec=query.dnssec))
        except OSError:  # no way there, or (an earlier question's) nobody at that port
            if port is not None:
                self._retire(port)
            upstream.failed(now, now)
            self._tell()
            return False
        port.uses += 1
        port.waiting[number] = question
        question.upstream, question.place, question.number, question.asked = upstream, port, number, now
        self._wait(question)
        if port.uses >= USES:
            upstream.ports.remove(port)
        return True

    def _port(self, upstream: Upstream) -> Port:
        ports = upstream.ports
        if len(ports) >= PORTS:
            return ports[self._dice.two()[0] % PORTS]
        port = Port(upstream)
        self._loop.watch(port.socket.fileno(), lambda: self._read(port))
        ports.append(port)
        return port

    def _wait(self, question: Question) -> None:
        self._out.pop(question, None)
        question.until = self._loop.now + TIMEOUT
        self._out[question] = None
        if not self._sweeping:
            self._sweeping = True
            self._loop.later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.now
        late = []
        for question in self._out:
            if question.until > now:
                break
            late.append(question)
        for question in late:
            self._fail(question)
        self._sweeping = bool(self._out)
        if self._sweeping:
            self._loop.later(_SWEEP, self._sweep)

    def _fail(self, question: Question) -> None:
        """Its server did not answer: the next one."""
        if question.upstream is not None:
            question.upstream.failed(question.asked, self._loop.now)
            self._tell()
        self._let_go(question)
        if question.asker is not None:
            self._send(question)
        else:
            self._out.pop(question, None)

    # ---- answers -------------------------------------------------------------------------------------------------

    def _read(self, port: Port) -> None:
        for _ in range(BATCH):
            try:
                data = port.socket.recv(_READ)
            except BlockingIOError:
                return
            except OSError:
                # Nobody listens there (ICMP), for any of them.
                if port in port.upstream.ports:
                    port.upstream.ports.remove(port)
                for waiting in list(port.waiting.values()):
                    self._fail(waiting)
                self._retire(port)
                return
            question = port.waiting.get(data[:2])
            if question is None:
                continue  # too late, or somebody guesses
            try:
                records = wire.read_answer(data, question.query.wire)
            except wire.Malformed:
                continue  # the real one may still come
            self._hear(question, Reply(data, records))
            if port.socket.fileno() < 0:
                return

    def _hear(self, question: Question, reply: Reply) -> None:
        upstream = question.upstream
        if upstream is not None and upstream.silent:
            upstream.answered(self._loop.now)
            self._tell()
        elif upstream is not None:
            upstream.answered(self._loop.now)
        if question.asker is None:
            self._let_go(question)
            self._out.pop(question, None)
        elif wire.truncated(reply.data) and not isinstance(question.place, _Stream):
            question.best = reply
            self._let_go(question)
            self._ask_stream(question)
        elif wire.code_of(reply.data) in _TRY_NEXT:
            question.best = reply
            self._let_go(question)
            self._send(question)
        else:
            self._let_go(question)
            self._finish(question, reply)

    def _ask_stream(self, question: Question) -> None:
        upstream = question.upstream
        assert upstream is not None
        try:
            question.place = _Stream(self._loop, upstream, question, self._dice.two(), self._hear, self._fail)
        except OSError:
            self._send(question)
            return
        question.asked = self._loop.now
        self._wait(question)

    def _let_go(self, question: Question) -> None:
        place, question.place = question.place, None
        if isinstance(place, _Stream):
            place.close()
        elif place is not None:
            place.waiting.pop(question.number, None)
            if not place.waiting:
                self._retire(place)  # the next question has a port that nobody knows yet

    def _retire(self, port: Port) -> None:
        """No new questions there; closed once none waits."""
        if port in port.upstream.ports:
            port.upstream.ports.remove(port)
        if not port.waiting and port.socket.fileno() >= 0:
            self._loop.forget(port.socket.fileno())
            port.socket.close()

    def _finish(self, question: Question, reply: Reply | None) -> None:
        self._out.pop(question, None)
        if question.asker is not None:
            question.asker.waiting.pop(question.query.key, None)
        done, question.done = question.done, []
        for one in done:
            one(reply)


class _Stream:
    """One question over TCP (RFC 7766), on a connection of its own."""

    def __init__(
        self,
        loop: Loop,
        upstream: Upstream,
        question: Question,
        number: bytes,
        hear: Callable[[Question, Reply], None],
        fail: Callable[[Question], None],
    ) -> None:
        self._loop = loop
        self._question = question
        self._hear = hear
        self._fail = fail
        self._number = number
        query = question.query
        data = wire.write_query(number, query.flags, query.wire, edns=query.edns, dnssec=query.dnssec)
        self._out = struct.pack(">H", len(data)) + data
        self._in = bytearray()
        self._socket = socket.socket(upstream.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(upstream.address)
        except BlockingIOError:
            pass
        except OSError:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), self._read, self._write)

    def _write(self) -> None:
        try:
            self._out = self._out[self._socket.send(self._out) :]
        except BlockingIOError:
            return
        except OSError:
            self._fail(self._question)
            return
        if not self._out:
            self._loop.watch(self._socket.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        size = int.from_bytes(self._in[:2], "big") if len(self._in) >= 2 else 65_536
        if len(self._in) >= 2 + size:
            answer = bytes(self._in[2 : 2 + size])
            try:
                records = wire.read_answer(answer, self._question.query.wire)
                if answer[:2] != self._number or wire.truncated(answer):
                    raise wire.Malformed("not what was asked for")
            except wire.Malformed:
                self._fail(self._question)
                return
            self._hear(self._question, Reply(answer, records))
        elif not data:
            self._fail(self._question)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
