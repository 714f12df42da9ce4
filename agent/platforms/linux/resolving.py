"""Keeps the resolver (``agent.filter``) running: has it started, tells it what holds, hears what it saw, and starts the next.

On an installed PC systemd starts it, as an account of its own and with a network that the service itself has not: each
connection to ``SOCKET`` gets a resolver of its own.  Where there is no such socket (a trial, a test) it is started from here.
While there is none, no name resolves for the children, ``why`` says so, and it is tried again without end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from msgspec.structs import replace

from agent.errors import FairtimeError
from agent.filter import line
from agent.filter.command import command
from agent.filter.control import (
    Answered,
    Ask,
    Lists,
    Outcome,
    Ping,
    Pong,
    Serve,
    Served,
    Serving,
    ToResolver,
    ToService,
    Trouble,
    Troubles,
    Used,
)
from agent.model.site import SiteLane

log = logging.getLogger(__name__)

SOCKET = Path("/run/fairtime-resolver.sock")
BEAT = 5.0
"""Seconds between two pings, and within which each must be answered."""
READY = 20.0
"""Seconds that a new one has until its first answer: the disk may have to wake up."""
PAUSES = (0.0, 0.2, 1.0, 5.0, 15.0)
"""Seconds before the next is started, after so many that did not last."""
LASTED = 60.0
"""Seconds after which one counts as one that lasted."""


class Resolver:
    """``heard`` gets every ``Used`` and ``Ask``; ``changed`` is called when ``why``, ``served``, ``ipv6`` or ``troubles`` did."""

    def __init__(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None], *, at: Path = SOCKET) -> None:
        self._heard = heard
        self._changed = changed
        self._at = at
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line: line.Line | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._serve: Serve | None = None
        self._book: Path | None = None
        self._listed = False
        self._ports: dict[str, Served] = {}
        self._serial = 0
        self._pinged: int | None = None
        self._lives = False
        self._born = 0.0
        self._short = 0
        self.why = "The resolver has not started yet."
        """Why no names resolve for the children now, in words for a guardian; empty when they do."""
        self.served: tuple[Served, ...] = ()
        """Where each child is served now: only from this may the firewall be written."""
        self.ipv6 = False
        self.troubles: tuple[Trouble, ...] = ()

    @property
    def pid(self) -> int | None:
        """Of one that was started from here."""
        return self._process.pid if self._process is not None else None

    # ---- what holds ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to keep a resolver; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._begin()

    async def close(self) -> None:
        """End it; returns when it is gone, if it was started from here."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        self._hang_up()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_reap, process)
        self.why = "The resolver is closed."
        self.served = ()

    def serve(self, lanes: Sequence[SiteLane], upstreams: Sequence[str]) -> None:
        """These children, and nobody else, from now on.  A port of 0 is the one that the child had last, or any."""
        self._serve = Serve(lanes=tuple(lanes), upstreams=tuple(upstreams))
        self._say(self._wished(self._serve))

    def lists(self, book: Path | None) -> None:
        """The compiled lists are in this file from now on; there are none.  Until this is called, nothing resolves."""
        self._book, self._listed = book, True
        self._say_lists()

    def answered(self, number: int, outcome: Outcome) -> None:
        """What became of an ``Ask``."""
        self._say(Answered(number=number, outcome=outcome))

    def _wished(self, serve: Serve) -> Serve:
        lanes = []
        for lane in serve.lanes:
            had = self._ports.get(lane.plan.child)
            if had is not None:
                lane = replace(lane, dns_port=lane.dns_port or had.dns_port, page_port=lane.page_port or had.page_port)
            lanes.append(lane)
        return Serve(lanes=tuple(lanes), upstreams=serve.upstreams)

    def _say_lists(self) -> None:
        if self._book is None:
            self._say(Lists())
            return
        try:
            with self._book.open("rb") as file:
                self._say(Lists(name=self._book.name), file.fileno())
        except OSError as error:
            # It then says itself that they did not come, and goes on with those before, if any.
            log.warning("the compiled lists cannot be opened: %s", error)
            self._say(Lists(name=self._book.name))

    # ---- one resolver --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._born = loop.time()
        self._pinged, self._lives = None, False
        try:
            self._line = line.for_service(self._connected())
        except OSError as error:
            self._lost(f"it could not be started ({error.strerror})")
            return
        loop.add_reader(self._line.fileno(), self._hear)
        self._beat()
        if self._listed:
            self._say_lists()
        if self._serve is not None:
            self._say(self._wished(self._serve))

    def _connected(self) -> socket.socket:
        if self._at.is_socket():
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                end.settimeout(1.0)
                end.connect(str(self._at))
            except OSError:
                end.close()
                raise
            return end
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _hang_up(self) -> None:
        if self._line is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._line.fileno())
            loop.remove_writer(self._line.fileno())
            self._line.close()
            self._line = None

    def _lost(self, how: str) -> None:
        """It is gone, or must go."""
        self._hang_up()
        loop = self._loop
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()  # killed: the kernel is done with it at once
        if loop is None:
            return
        self._short = 0 if loop.time() - self._born >= LASTED else self._short + 1
        why = f"The resolver does not run: {how}. No page opens for the children until it does."
        if self.why != why or self.served:
            log.warning("%s", why)
            self.why, self.served, self.troubles = why, (), ()
            self._changed()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(PAUSES[min(self._short, len(PAUSES)) - 1], self._begin)

    def _beat(self) -> None:
        loop = self._loop
        if loop is None or self._line is None:
            return
        if self._pinged is not None:
            self._hear()  # this loop may have been late itself; the answer is then here
        if self._line is None:
            return
        self._timer = loop.call_later(BEAT, self._beat)
        if self._pinged is None:
            self._serial += 1
            self._pinged = self._serial
            self._say(Ping(number=self._serial))
        elif self._lives or loop.time() - self._born > READY:
            self._lost("it did not answer and was ended")

    # ---- the line ------------------------------------------------------------------------------------------------

    def _say(self, message: ToResolver, file: int = -1) -> None:
        if self._line is None:
            return
        try:
            self._line.send(message, file)
        except FairtimeError as error:
            self._lost(error.title)
            return
        self._mind_writing()

    def _mind_writing(self) -> None:
        if self._line is not None and self._loop is not None:
            if self._line.waiting:
                self._loop.add_writer(self._line.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._line.fileno())

    def _flush(self) -> None:
        if self._line is None:
            return
        try:
            self._line.flush()
        except FairtimeError as error:
            self._lost(error.title)
            return
        self._mind_writing()

    def _hear(self) -> None:
        end = self._line
        if end is None:
            return
        try:
            for message, _ in end.receive():
                self._understand(message)
                if self._line is not end:
                    return
        except EOFError:
            self._lost("it ended")
        except FairtimeError as error:
            self._lost(error.title)

    def _understand(self, message: ToService | ToResolver) -> None:
        match message:
            case Pong():
                if message.number == self._pinged:
                    self._pinged, self._lives = None, True
            case Serving():
                self._ports |= {one.child: one for one in message.lanes if one.dns_port and one.page_port}
                self.why, self.served, self.ipv6 = "", message.lanes, message.ipv6
                self._changed()
            case Troubles():
                self.troubles = message.now
                self._changed()
            case Used() | Ask():
                self._heard(message)
            case _:
                self._lost("it said what only the service says")


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(2.0)  # it ends by itself when the line is closed
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
