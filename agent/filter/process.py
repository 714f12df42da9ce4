"""The resolver as a process: a line to the service, a lane for each child, one loop.

It begins by giving up every right that it has.  It ends when the service hangs up or says what makes no sense; then names do
not resolve for the children until the service has started the next one.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from time import time

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.process is for Linux")

from agent.core.sites import NO_NAMES, Names
from agent.errors import FairtimeError, PolicyError
from agent.filter import line, memory, ports, safesearch, sandbox
from agent.filter.control import (
    Answered,
    Ask,
    Lists,
    Ping,
    Pong,
    Serve,
    Serving,
    ToResolver,
    ToService,
    Trouble,
    Troubles,
    Used,
)
from agent.filter.datagrams import Datagrams
from agent.filter.forward import Forwarder
from agent.filter.lane import Lane
from agent.filter.lists.book import Book
from agent.filter.loop import BATCH, Loop
from agent.filter.page import Languages, Outcome
from agent.filter.wire import OUR_SIZE
from agent.model.site import SiteLane, SiteUse, WatchedUse
from agent.resources import folder

MOST_CHILDREN = 32
_MINUTE = 60


def main(words: list[str]) -> int:
    """Run on the connected socket with the number ``words[0]``."""
    if len(words) != 1 or not words[0].isdigit():
        return 2
    end = socket.socket(fileno=int(words[0]))
    safe = safesearch.read(folder("policies") / "safesearch.toml")
    languages = Languages(folder("assets") / "words")
    sandbox.enter()
    resolver = Resolver(line.for_resolver(end), safe, languages)
    gc.collect()
    gc.freeze()
    # Nothing here refers in circles on the way of a packet; what little does is looked for once a minute.
    gc.disable()
    memory.give_back()
    resolver.run()
    return 0


class Resolver:
    """What ``main`` runs."""

    def __init__(self, to_service: line.Line, safe: safesearch.SafeSearch, languages: Languages) -> None:
        self.loop = Loop()
        self._room = Datagrams(BATCH, OUR_SIZE)
        self._line = to_service
        self._safe = safe
        self._languages = languages
        self._forwarder = Forwarder(self.loop, self._tell)
        self._lanes: dict[str, Lane] = {}
        self._wanted: tuple[SiteLane, ...] = ()
        self._names: Names | None = None
        self._registrable: Callable[[str], str] = roughly_registrable
        self._six = ports.has_six()
        self._own: list[Trouble] = []
        self._told: tuple[Trouble, ...] = ()
        self._asked: dict[int, Callable[[Outcome], None]] = {}
        self._asks = 0
        self._minute = int(time()) // _MINUTE

    def run(self) -> None:
        """Until the service hangs up."""
        self.loop.watch(self._line.fileno(), self._hear)
        self.loop.later(self._rest(), self._minute_over)
        self.loop.run()
        self._line.close()

    # ---- the service ---------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            for message, file in self._line.receive():
                self._obey(message, file)
        except (EOFError, FairtimeError):
            # Gone, or of another version: whoever started this process sees its end, and nothing is open any more.
            self.loop.end()

    def _obey(self, message: ToResolver | ToService, file: int) -> None:
        match message:
            case Serve():
                self._serve(message)
            case Lists():
                self._read(message, file)
            case Answered():
                waiting = self._asked.pop(message.number, None)
                if waiting is not None:
                    waiting(message.outcome)
            case Ping():
                sandbox.lives()
                self._say(Pong(number=message.number))
            case _:
                self.loop.end()

    def _say(self, message: ToService) -> None:
        try:
            self._line.send(message)
        except FairtimeError:
            self.loop.end()
            return
        self._watch_line()

    def _watch_line(self) -> None:
        self.loop.watch(self._line.fileno(), self._hear, self._flush if self._line.waiting else None)

    def _flush(self) -> None:
        try:
            self._line.flush()
        except FairtimeError:
            self.loop.end()
            return
        self._watch_line()

    # ---- what is served ------------------------------------------------------------------------------------------

    def _serve(self, message: Serve) -> None:
        self._own = [trouble for trouble in self._own if trouble.kind == "lists"]
        self._wanted = message.lanes[:MOST_CHILDREN]
        try:
            self._forwarder.use(message.upstreams)
        except PolicyError as error:
            self._own.append(Trouble(kind="upstream", about="", text=error.title))
        if not self._six:
            text = "This PC has no IPv6 of its own: names are looked up over IPv4 only."
            self._own.append(Trouble(kind="no-ipv6", about="", text=text))
        children = {lane.plan.child for lane in self._wanted}
        for child in list(self._lanes.keys() - children):
            self._lanes.pop(child).close()
        for lane in self._wanted:
            child = lane.plan.child
            if child not in self._lanes:
                self._lanes[child] = Lane(
                    self.loop, self._room, self._forwarder, self._safe, self._languages, child, self._asker(child)
                )
            self._lanes[child].adopt(lane, self._names, six=self._six)
        self._say(Serving(lanes=tuple(lane.served for lane in self._lanes.values()), ipv6=self._six))
        self._tell()

    def _read(self, message: Lists, file: int) -> None:
        self._own = [trouble for trouble in self._own if trouble.kind != "lists"]
        try:
            if file < 0:
                if message.name:
                    raise PolicyError(f"The compiled lists ({message.name}) did not come with their message")
                self._names, self._registrable = NO_NAMES, roughly_registrable
            else:
                book = Book.of(file, message.name)
                self._names, self._registrable = book, book.registrable
        except (FairtimeError, OSError) as error:
            title = error.title if isinstance(error, FairtimeError) else str(error)
            self._own.append(Trouble(kind="lists", about=message.name, text=title))
        finally:
            if file >= 0:
                os.close(file)
        for lane in self._wanted:
            self._lanes[lane.plan.child].adopt(lane, self._names, six=self._six)
        self._tell()
        memory.give_back()

    def _tell(self) -> None:
        """What is wrong, when that has changed."""
        found = [*self._own, *self._forwarder.troubles()]
        for lane in self._lanes.values():
            found += lane.troubles()
        now = tuple(dict.fromkeys(found))
        if now != self._told:
            self._told = now
            self._say(Troubles(now=now))

    def _asker(self, child: str) -> Callable[[str, Callable[[Outcome], None]], None]:
        def ask(host: str, said: Callable[[Outcome], None]) -> None:
            self._asks += 1
            if len(self._asked) >= 4 * MOST_CHILDREN:
                del self._asked[next(iter(self._asked))]
            self._asked[self._asks] = said
            self._say(Ask(number=self._asks, child=child, host=host))

        return ask

    # ---- use -----------------------------------------------------------------------------------------------------

    def _rest(self) -> float:
        """Seconds until the minute of the clock is over, and a little."""
        return _MINUTE - time() % _MINUTE + 0.05

    def _minute_over(self) -> None:
        minute, self._minute = self._minute, int(time()) // _MINUTE
        self.loop.later(self._rest(), self._minute_over)
        sites: list[SiteUse] = []
        watched: list[WatchedUse] = []
        for lane in self._lanes.values():
            lane.answers.forget_hot()
            watched += lane.answers.uses.watched()
            sites += lane.answers.uses.take(self._registrable)
        for start in range(0, len(sites), _AT_ONCE):
            self._say(Used(minute=minute, sites=tuple(sites[start : start + _AT_ONCE]), watched=tuple(watched)))
            watched.clear()
        gc.collect()


_AT_ONCE = 500
"""Sites in one message: far below the longest that it may be."""


def roughly_registrable(host: str) -> str:
    """As ``Book.registrable``, without a list of public suffixes: two labels, or three where the second is short (co.uk)."""
    labels = host.split(".")
    keep = 3 if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 2
    return ".".join(labels[-keep:])
