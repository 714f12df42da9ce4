"""Unix sockets as the transport: the kernel names who calls, and a folder that only the service writes to keeps the place."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

from agent.errors import ConnectionFailed, HostError
from agent.ipc import place
from agent.ipc.peer import Uid, own_uid, peer_of
from agent.ipc.protocol import TIMEOUT
from agent.ipc.transport import Channel, Ear

SOCKET = "/var/run/fairtime/fairtime.sock" if sys.platform == "darwin" else "/run/fairtime/fairtime.sock"
"""macOS has no /run."""
_LOOK = "launchctl print system/org.fairtime.Fairtime" if sys.platform == "darwin" else "systemctl status fairtime"


class UnixSockets:
    """The ``Transport`` of Linux and macOS."""

    usual: str = SOCKET

    def __init__(self) -> None:
        self.own: Uid = own_uid()

    def ear(self, address: Path, mode: int) -> Ear:
        from agent.ipc.unixear import UnixEar  # and with it an event loop, which callers do without

        return UnixEar(address, mode)

    def call(self, address: str) -> Channel:
        """The socket's owner must be root, or the account itself (a trial)."""
        if sys.platform == "win32":
            raise _windows()
        place.check(Path(address))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            raise ConnectionFailed(
                "Fairtime's service does not answer",
                f"It may be starting: try again in a moment.  An administrator can look with “{_LOOK}”.",
                where=address,
            ) from error
        if peer_of(sock).uid not in (0, os.getuid()):
            sock.close()
            raise ConnectionFailed(
                "Somebody else answers in the place of Fairtime's service",
                "Tell an administrator of this PC.",
                where=address,
            )
        return UnixChannel(sock)


class UnixChannel:
    """A caller's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def patience(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, most: int) -> bytes:
        return self._socket.recv(most)

    def unread(self) -> bool:
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # gone already

    def close(self) -> None:
        self._socket.close()


def _windows() -> HostError:
    return HostError("There are no Unix sockets for Python on Windows", "There a named pipe serves.")
