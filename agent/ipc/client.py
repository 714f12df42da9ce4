"""The other end: for tray and command line.  Plain threads and a channel, no event loop.

The channel makes sure that it leads to the service: whoever answers must be the system, or the account itself (a trial).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing

from agent import errors
from agent.errors import ConnectionFailed, FairtimeError, ProtocolError
from agent.ipc import frames
from agent.ipc.answers import Event, Failure, Message, Reply, Result, Status, Welcome
from agent.ipc.chosen import transport
from agent.ipc.protocol import Body, Call, Hello, Subscribe, Via
from agent.ipc.transport import Channel
from agent.model.verdict import Notify

ANSWER_WITHIN = 45.0
"""Seconds for an answer: a summary is rendered by a job first."""
RETRY = (0.2, 0.5, 1.0, 2.0, 5.0)

_ERRORS: dict[str, type[FairtimeError]] = {
    kind.code: kind
    for kind in (
        FairtimeError,
        errors.PolicyError,
        errors.TrustError,
        errors.StoreError,
        errors.ListError,
        errors.HostError,
        errors.ProtocolError,
        errors.Refused,
        errors.NotFound,
    )
}


class Client:
    """A connection to the service, made when it is needed and made again when it broke.  Calls from any thread."""

    def __init__(self, path: str | None = None, via: Via = "cli") -> None:
        self._transport = transport()
        self._path = path or os.environ.get("FAIRTIME_SOCKET") or self._transport.usual
        self._via = via
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._serial = 0
        self._role = "nobody"
        self._closed = threading.Event()
        self._watching: Channel | None = None

    def call(self, body: Body) -> Result:
        """The answer to one call.  Raises the error that the service names, or ``ConnectionFailed``.

        A call is sent once: whether one whose answer is missing was carried out, nobody here can know.
        """
        with self._lock:
            if self._channel is not None and self._channel.unread():
                # Between two calls there is nothing to read: the service was started again meanwhile.
                self._drop()
            try:
                return self._ask(body)
            except (ConnectionFailed, ProtocolError):
                self._drop()
                raise

    @property
    def role(self) -> str:
        """What the service takes this account for.  ``ConnectionFailed`` when it does not answer."""
        with self._lock:
            if self._channel is None:
                self._channel = self._connect()
            return self._role

    def watch(
        self,
        on_status: Callable[[Status], None],
        on_notice: Callable[[Notify], None],
        on_connection: Callable[[bool], None],
    ) -> None:
        """Tell of states, notices and the connection from a thread of its own, until ``close``; returns at once."""
        arguments = (on_status, on_notice, on_connection)
        threading.Thread(target=self._watch, args=arguments, name="fairtime-watch", daemon=True).start()

    def close(self) -> None:
        """End the connection and the watch."""
        self._closed.set()
        watching = self._watching
        if watching is not None:
            watching.shut()
        with self._lock:
            self._drop()

    # ---- within --------------------------------------------------------------------------------------------------

    def _ask(self, body: Body) -> Result:
        if self._channel is None:
            self._channel = self._connect()
        self._serial += 1
        channel, serial = self._channel, self._serial
        _send(channel, frames.pack(Call(id=serial, body=body)))
        while True:
            message = _receive(channel)
            if isinstance(message, Event):
                continue
            return _result(message, serial)

    def _connect(self) -> Channel:
        channel = self._transport.call(self._path)
        channel.patience(ANSWER_WITHIN)
        try:
            _send(channel, frames.pack(Call(id=0, body=Hello(via=self._via))))
            answer = _result(_receive(channel), 0)
            if isinstance(answer, Welcome):
                self._role = answer.role
        except FairtimeError:
            channel.close()
            raise
        return channel

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _watch(
        self,
        on_status: Callable[[Status], None],
        on_notice: Callable[[Notify], None],
        on_connection: Callable[[bool], None],
    ) -> None:
        tries = 0
        connected: bool | None = None
        while not self._closed.is_set():
            try:
                channel = self._watching = self._connect()
                with closing(channel):
                    _send(channel, frames.pack(Call(id=1, body=Subscribe())))
                    channel.patience(None)
                    while not self._closed.is_set():
                        message = _receive(channel)
                        if isinstance(message, Failure):
                            _result(message, message.id)
                        if connected is not True:
                            connected, tries = True, 0
                            on_connection(True)
                        if isinstance(message, Reply) and isinstance(message.result, Status):
                            on_status(message.result)  # the state at the beginning: what follows are changes
                        if isinstance(message, Event):
                            if message.status is not None:
                                on_status(message.status)
                            if message.notice is not None:
                                on_notice(message.notice)
            except FairtimeError:
                if connected is not False and not self._closed.is_set():
                    connected = False
                    on_connection(False)
            self._closed.wait(RETRY[min(tries, len(RETRY) - 1)])
            tries += 1


def _send(channel: Channel, frame: bytes) -> None:
    try:
        channel.send(frame)
    except OSError as error:
        raise _lost() from error


def _receive(channel: Channel) -> Message:
    """The next message, put together from its frames."""
    body, goes_on = bytearray(), True
    while goes_on:
        size, goes_on = frames.length(_exactly(channel, frames.HEADER.size))
        frames.longer(len(body), size)
        body += _exactly(channel, size)
    return frames.message_of(bytes(body))


def _exactly(channel: Channel, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = channel.receive(size - len(parts))
        except TimeoutError as error:
            raise ConnectionFailed(
                "Fairtime's service did not answer in time", "Look whether it was done before you try again."
            ) from error
        except OSError as error:
            raise _lost() from error
        if not part:
            raise _lost()
        parts += part
    return bytes(parts)


def _result(message: Message, serial: int) -> Result:
    if isinstance(message, Failure):
        kind = _ERRORS.get(message.code, FairtimeError)
        error = kind(message.title, message.advice)
        if isinstance(error, errors.Refused):
            error.retry_after = message.retry_after
            error.said = message.said
        raise error
    if isinstance(message, Event) or message.id != serial:
        raise ProtocolError("The service answered something else", "Use the same version of Fairtime on both sides.")
    return message.result


def _lost() -> ConnectionFailed:
    return ConnectionFailed("The connection to Fairtime's service was lost", "It may be starting again; try once more.")
