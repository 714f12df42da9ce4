"""The service's ear: a local socket or pipe, many callers, each known by the operating system, none able to hold up the others.

Limits: ``MAX_CONNECTIONS`` in all, ``PER_ACCOUNT`` for one account (so that a child cannot take every place), ``STRANGERS``
for everybody that the policy does not name (a child may own thousands of unnamed uids, subuid(5)).  Calls of a connection
are answered one after the other, those of an account at ``RATE`` a second after a burst; a whole frame must arrive within
``TIMEOUT``, and what is sent must be taken within it.  A subscriber that is slow gets the newest state only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from agent.core.authorize import ADULT, Who, may
from agent.errors import FairtimeError, HostError, ProtocolError, Refused
from agent.ipc import frames
from agent.ipc.answers import Event, Failure, Reply, Result, Welcome
from agent.ipc.chosen import transport
from agent.ipc.peer import Peer, Uid
from agent.ipc.protocol import MAX_CONNECTIONS, MAX_MESSAGE, TIMEOUT, VERSION, Body, Hello, tag_of
from agent.ipc.transport import Transport

log = logging.getLogger(__name__)

PER_ACCOUNT = 8
RESERVED = 8
"""Places that only guardians and administrators may take."""
STRANGERS = 4
BURST = 40
RATE = 10.0
"""Calls a second that one account may make for long, on all its connections together."""
BACKLOG = MAX_MESSAGE + 512 * 1024
"""Bytes that may wait for a reader before it is let go: one answer, and notices meanwhile."""


@dataclass(slots=True)
class Pace:
    """How fast somebody calls: a bucket that fills with ``RATE`` tokens a second."""

    tokens: float = BURST
    asked: float = field(default_factory=time.monotonic)

    def take(self) -> float:
        """Take a token; seconds to wait until it is there."""
        now = time.monotonic()
        self.tokens = min(float(BURST), self.tokens + (now - self.asked) * RATE) - 1
        self.asked = now
        return max(0.0, -self.tokens / RATE)


@dataclass(eq=False, slots=True)
class Connection:
    """One caller."""

    peer: Peer
    who: Who
    writer: asyncio.StreamWriter
    via: str = "cli"
    greeted: bool = False
    subscribed: bool = False
    proven_until: int = 0
    """Boot milliseconds until which the guardian's rights are open on this connection."""
    pieces: list[str] = field(default_factory=list)
    """What has come of a policy so far (``Install``)."""
    pace: Pace = field(default_factory=Pace)
    newest: bytes | None = None
    """The newest state, while an older one has not been taken yet."""
    catching_up: asyncio.Task[None] | None = None

    def send(self, frame: bytes) -> None:
        """Queue a frame; a caller that does not read is let go."""
        if self.writer.is_closing():
            return
        self.writer.write(frame)
        if self.writer.transport.get_write_buffer_size() > BACKLOG:
            self.drop()

    def offer(self, frame: bytes, *, state: bool) -> None:
        """Send a pushed frame; a state waits, and a newer one takes its place, while the caller is slow."""
        if state and self.waiting:
            self.newest = frame
        else:
            self.send(frame)
        if self.waiting and self.catching_up is None and not self.writer.is_closing():
            self.catching_up = asyncio.create_task(self._catch_up(), name="fairtime-catch-up")

    @property
    def waiting(self) -> bool:
        """Something that was sent has not been taken yet."""
        return self.writer.transport.get_write_buffer_size() > 0

    async def taken(self) -> None:
        """Return when everything sent was taken by the system; ``TimeoutError`` after ``TIMEOUT`` without that."""
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()

    def drop(self) -> None:
        """Let go of a caller that does not read."""
        log.info("%s does not read; letting it go", self.peer.account)
        self.writer.transport.abort()

    async def _catch_up(self) -> None:
        try:
            while self.waiting:
                await self.taken()
                frame, self.newest = self.newest, None
                if frame is not None:
                    self.send(frame)
        except TimeoutError:
            self.drop()
        except ConnectionError:
            return  # it has hung up
        finally:
            self.catching_up = None


Answerer = Callable[[Connection, Body], Awaitable[Result]]


class Server:
    """Serves ``path``.  ``who`` says who a peer is now; ``now`` gives boot milliseconds for the age of rights; ``meant`` makes
    the policy's name for a child of the one that somebody typed."""

    def __init__(
        self,
        path: Path,
        answer: Answerer,
        who: Callable[[Peer], Who],
        now: Callable[[], int],
        *,
        meant: Callable[[str], str] = str,
        mode: int = 0o666,
        by: Transport | None = None,
    ) -> None:
        by = by or transport()
        self._ear = by.ear(path, mode)
        self._answer = answer
        self._who = who
        self._now = now
        self._meant = meant
        self._own = by.own
        self._paces: dict[Uid, Pace] = {}
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen.  ``StoreError`` when somebody else does, or the place cannot be used."""
        await self._ear.open(self._accept)

    async def close(self) -> None:
        """Stop listening and let everybody go."""
        self._ear.deafen()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ear.close()

    @property
    def subscribers(self) -> Iterable[Connection]:
        """Connections that want events."""
        return tuple(c for c in self._connections if c.subscribed)

    def push(self, event_for: Callable[[Connection], Event | None]) -> None:
        """Send each subscriber its event, by who it is now: a new policy may have made it somebody else.

        Never raises for what an event holds: the tick calls this.
        """
        for connection in self.subscribers:
            connection.who = self._who(connection.peer)
            event = event_for(connection) if connection.who.role != "nobody" else None
            if event is None:
                continue
            try:
                frame = frames.pack(event)
            except ProtocolError as error:
                log.error("an event for %s was not sent: %s", connection.peer.account, error.title)
                continue
            connection.offer(frame, state=event.notice is None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # ``drain`` then waits until the system has taken everything, not only until less than 64 KiB are left.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except HostError as error:
            log.error("a caller is not known: %s", error.title)
        finally:
            self._tasks.discard(task)
            # Not ``close`` alone: with bytes that nobody takes it would keep the descriptor for good.
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = await self._ear.peer_of(writer)
        connection = Connection(peer, self._who(peer), writer)
        full = self._full(connection)
        if full:
            connection.send(frames.pack(Failure(id=0, code="refused", title=full, advice="Close other windows.")))
            return
        connection.pace = self._pace_of(connection)
        self._connections.add(connection)
        try:
            while (body := await self._next(reader, connection)) is not None:
                await self._handle(connection, body)
                await connection.taken()
        except TimeoutError:
            connection.drop()
        except ProtocolError as error:
            log.info("%s broke the protocol: %s", peer.account, error.title)
            connection.send(frames.pack(Failure(id=0, code=error.code, title=error.title, advice=error.advice)))
        finally:
            self._connections.discard(connection)
            if connection.catching_up is not None:
                connection.catching_up.cancel()

    def _pace_of(self, connection: Connection) -> Pace:
        """One pace for all connections of an account, or calling again on a new one would begin a new burst."""
        if connection.peer.uid == self._own:
            return connection.pace
        uid = -1 if connection.who.role == "nobody" else connection.peer.uid
        return self._paces.setdefault(uid, connection.pace)

    async def _next(self, reader: asyncio.StreamReader, connection: Connection) -> bytes | None:
        if connection.greeted:
            return await frames.read(reader)
        # A caller that has not said hello may not stay for long.
        async with asyncio.timeout(TIMEOUT):
            return await frames.read(reader)

    def _full(self, new: Connection) -> str:
        if sum(c.peer.uid == new.peer.uid for c in self._connections) >= PER_ACCOUNT and new.peer.uid != self._own:
            return "This account has too many connections"
        strangers = sum(c.who.role == "nobody" for c in self._connections)
        if new.who.role == "nobody" and strangers >= STRANGERS:
            return "The service has too many connections"
        adult = new.who.role in ADULT
        if len(self._connections) >= MAX_CONNECTIONS - (0 if adult else RESERVED):
            return "The service has too many connections"
        return ""

    async def _handle(self, connection: Connection, body: bytes) -> None:
        call = frames.call_of(body)
        # A flood is slowed down, not answered faster: the caller waits, nobody else does.
        await asyncio.sleep(connection.pace.take())
        try:
            result = await self._ruled(connection, call.body)
            frame = frames.pack(Reply(id=call.id, result=result))
        except FairtimeError as error:
            failure = Failure(
                id=call.id,
                code=error.code,
                title=error.title,
                advice=error.advice,
                retry_after=getattr(error, "retry_after", None),
                said=error.said if isinstance(error, Refused) else None,
            )
            frame = frames.pack(failure)
        except Exception:
            # A bug in one answer must not end limits for everybody; it is logged whole and named to the caller.
            log.exception("a call failed: %s", type(call.body).__name__)
            title = "The service made a mistake in answering"
            frame = frames.pack(Failure(id=call.id, code="error", title=title, advice="Its log says more."))
        connection.send(frame)

    async def _ruled(self, connection: Connection, body: Body) -> Result:
        connection.who = self._who(connection.peer)  # a new policy may have made it somebody else
        if isinstance(body, Hello):
            return self._welcome(connection, body)
        if not connection.greeted:
            raise ProtocolError("The first call must be hello", "Use Fairtime's own client.")
        proven = self._now() < connection.proven_until
        about: str | None = getattr(body, "child", None)
        if about is not None and (name := self._meant(about)) != about:
            about, body = name, replace(body, child=name)
        ruling = may(connection.who, tag_of(body), about, proven=proven)
        if not ruling.allowed:
            raise Refused(ruling.why, ruling.advice)
        return await self._answer(connection, body)

    def _welcome(self, connection: Connection, hello: Hello) -> Welcome:
        if hello.version != VERSION:
            raise ProtocolError(
                f"This program speaks version {hello.version} and the service version {VERSION}",
                "Log out and in again after an update.",
            )
        connection.greeted = True
        connection.via = hello.via
        return Welcome(version=VERSION, role=connection.who.role, child=connection.who.child)
