"""One child's lane: the sockets at which this child's questions arrive, and what is done with them."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from functools import partial

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.lane is for Linux")

from agent.core.sites import Names
from agent.filter import ports
from agent.filter.answers import Answers
from agent.filter.asking import AskOf, Desk, Visit
from agent.filter.control import Served, Trouble
from agent.filter.datagrams import Address, Datagrams
from agent.filter.forward import Forwarder
from agent.filter.loop import Loop
from agent.filter.page import Languages
from agent.filter.safesearch import SafeSearch
from agent.filter.streams import Listener, Questions
from agent.model.site import SiteLane


class Lane:
    """Made once for each child; ``adopt`` gives it its rules, and again when they change."""

    def __init__(
        self,
        loop: Loop,
        room: Datagrams,
        forwarder: Forwarder,
        safe: SafeSearch,
        languages: Languages,
        child: str,
        ask: AskOf,
    ) -> None:
        self.child = child
        self.answers = Answers(loop, forwarder, safe, child)
        self._loop = loop
        self._room = room
        self._desk = Desk(loop, languages, self.answers.ruling, self.answers.refused, ask)
        self._dns: ports.Sockets | None = None
        self._pages: ports.Sockets | None = None
        self._listeners: list[Listener] = []
        self._visits: Listener | None = None
        self._wanted: tuple[int, int] | None = None
        self._troubles: list[Trouble] = []

    @property
    def served(self) -> Served:
        """Where; 0 is nowhere."""
        return Served(
            child=self.child,
            dns_port=self._dns.port if self._dns is not None else 0,
            page_port=self._pages.port if self._pages is not None else 0,
        )

    def troubles(self) -> Iterator[Trouble]:
        """What is wrong with its ports and groups."""
        yield from self._troubles
        matcher = self.answers.matcher
        for group in matcher.missing if matcher is not None else ():
            text = f"No list has the group “{group}”, which the rules of {self.child} name."
            yield Trouble(kind="group", about=group, text=text)

    def adopt(self, lane: SiteLane, names: Names | None, *, six: bool) -> None:
        """Serve by this from now on, at the same ports as before if they are still wished for."""
        self.answers.adopt(lane.plan, names)
        wanted = (lane.dns_port, lane.page_port)
        at = self.served
        if self._dns is not None and wanted in (self._wanted, (at.dns_port, at.page_port)):
            # Browsers open a second connection to a host for the next page: of one that is open now it would lead here.
            if self._visits is not None:
                self._visits.close_silent()
            return
        self._wanted = wanted
        self.close()
        self._troubles.clear()
        self._dns = self._take("names", lane.dns_port, datagrams=True, six=six)
        self._pages = self._take("pages", lane.page_port, datagrams=False, six=False)
        if self._dns is not None:
            for one in self._dns.udp:
                self._loop.watch(one.fileno(), partial(self._datagrams, one))
            self._listeners.append(Listener(self._loop, self._dns.tcp, self._questions))
        if self._pages is not None:
            self._visits = Listener(self._loop, self._pages.tcp, self._visit)
            self._listeners.append(self._visits)

    def _take(self, what: str, wanted: int, *, datagrams: bool, six: bool) -> ports.Sockets | None:
        try:
            taken = ports.take(wanted, datagrams=datagrams, six=six)
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            text = f"There is no port for the {what} of {self.child} ({why}): nothing is open to them."
            self._troubles.append(Trouble(kind="no-port", about=self.child, text=text))
            return None
        if wanted and taken.port != wanted:
            text = f"Port {wanted} is taken by another program; the {what} of {self.child} are at {taken.port}."
            self._troubles.append(Trouble(kind="port", about=str(wanted), text=text))
        return taken

    def _datagrams(self, at: socket.socket) -> None:
        """Answer what has come, as much as has room at once: then it is the next child's turn."""
        room, answers, hot, now = self._room, self.answers, self.answers.hot, self._loop.now
        answered: list[int] = []
        replies: list[bytes] = []
        for one, data in enumerate(room.receive(at)):
            known = hot.get(data[2:])
            if known is not None and known[0] > now:
                reply: bytes | None = data[:2] + known[1]
                if known[2] is not None:
                    known[2].times += 1
            else:
                reply = answers.quick(data) or answers.answer(
                    data, partial(_send_to, at, room.asker(one)), datagram=True
                )
            if reply is not None:
                answered.append(one)
                replies.append(reply)
        if replies:
            room.send(answered, replies)

    def _questions(self, end: socket.socket) -> Questions:
        return Questions(self._loop, end, partial(self.answers.answer, datagram=False))

    def _visit(self, end: socket.socket) -> Visit:
        return Visit(self._loop, end, self._desk)

    def close(self) -> None:
        """Serve nowhere."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._visits = None
        for sockets in (self._dns, self._pages):
            for one in sockets or ():
                self._loop.forget(one.fileno())
                one.close()
        self._dns = self._pages = None


def _send_to(at: socket.socket, asker: Address, reply: bytes) -> None:
    try:
        at.sendto(reply, asker)
    except OSError:
        pass  # its queue is full, or it is gone: who still waits asks again
