"""One end of the line between service and resolver.

It never waits: whoever owns it calls ``receive`` when its descriptor can be read, and ``flush`` when it is ``waiting`` and can
be written.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.line is for Linux")

import msgspec

from agent.errors import ProtocolError
from agent.filter.control import MAX_TO_RESOLVER, MAX_TO_SERVICE, MAX_WAITING, Lists, ToResolver, ToService

_HEAD = struct.Struct(">I")
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_PIECE = 65_536
_encoder = msgspec.msgpack.Encoder()


class Line:
    """One end.  ``for_resolver`` and ``for_service`` make it from a connected stream socket, which it owns."""

    def __init__(self, end: socket.socket, heard: object, longest: int) -> None:
        end.setblocking(False)
        self._end = end
        self._decoder = msgspec.msgpack.Decoder(heard)
        self._longest = longest
        self._in = bytearray()
        self._files: deque[int] = deque()
        self._out: deque[tuple[memoryview, int]] = deque()
        self._queued = 0

    def fileno(self) -> int:
        """For the loop of whoever owns this."""
        return self._end.fileno()

    @property
    def waiting(self) -> bool:
        """Whether something could not be sent yet."""
        return bool(self._out)

    def send(self, message: ToResolver | ToService, file: int = -1) -> None:
        """Send soon; ``file`` is an open descriptor that goes with it (a copy is made).  ``ProtocolError`` when the other
        side reads nothing any more, or is gone."""
        body = _encoder.encode(message)
        self._queued += len(body)
        if self._queued > MAX_WAITING:
            raise ProtocolError("The other side does not read what it is sent", "It has to be started again.")
        self._out.append((memoryview(_HEAD.pack(len(body)) + body), os.dup(file) if file >= 0 else -1))
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now.  ``ProtocolError`` when the other side is gone."""
        while self._out:
            data, file = self._out[0]
            rights = [(*_RIGHTS, array.array("i", [file]))] if file >= 0 else []
            try:
                sent = self._end.sendmsg([data], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                raise ProtocolError(f"The other side is gone ({error.strerror})") from error
            if file >= 0:
                os.close(file)
            self._queued -= sent
            if sent < len(data):
                self._out[0] = (data[sent:], -1)
            else:
                self._out.popleft()
        self._queued = 0

    def receive(self) -> Iterator[tuple[ToResolver | ToService, int]]:
        """What has come, each with the descriptor that came with it (-1: none; whoever gets it closes it).

        ``EOFError`` when the other side has hung up, ``ProtocolError`` when what it says makes no sense.
        """
        try:
            data, rights, _, _ = self._end.recvmsg(_PIECE, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, rights = b"", []
        for level, kind, raw in rights:
            if (level, kind) == _RIGHTS:
                found = array.array("i")
                found.frombytes(raw[: len(raw) // found.itemsize * found.itemsize])
                self._files.extend(found)
        if not data:
            raise EOFError
        self._in += data
        while len(self._in) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._in)
            if size > self._longest:
                raise ProtocolError(f"A message of {size} bytes is too long")
            end = _HEAD.size + size
            if len(self._in) < end:
                return
            message = self._understand(bytes(memoryview(self._in)[_HEAD.size : end]))
            del self._in[:end]
            yield message, self._files.popleft() if isinstance(message, Lists) and message.name and self._files else -1

    def _understand(self, body: bytes) -> ToResolver | ToService:
        try:
            message: ToResolver | ToService = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(
                f"This is no message: {error}", "Use the same version of Fairtime on both sides."
            ) from error
        return message

    def close(self) -> None:
        """Hang up."""
        self._end.close()
        for file in (*self._files, *(file for _, file in self._out if file >= 0)):
            os.close(file)
        self._files.clear()
        self._out.clear()


def for_service(end: socket.socket) -> Line:
    """The service's end: it hears the resolver."""
    return Line(end, ToService, MAX_TO_SERVICE)


def for_resolver(end: socket.socket) -> Line:
    """The resolver's end: it hears the service."""
    return Line(end, ToResolver, MAX_TO_RESOLVER)
