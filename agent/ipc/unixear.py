"""The service's end of a Unix socket: asyncio's own server, in a place that only the service can take."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from agent.errors import HostError, StoreError
from agent.ipc import place
from agent.ipc.peer import Peer, peer_of
from agent.ipc.transport import Heard


class UnixEar:
    """The ``Ear`` of Linux and macOS."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def open(self, heard: Heard) -> None:
        if sys.platform == "win32":
            raise HostError("There are no Unix sockets for Python on Windows", "There a named pipe serves.")
        try:
            place.clear(self._path)
            self._server = await asyncio.start_unix_server(heard, path=self._path, backlog=16)
            self._path.chmod(self._mode)
            self._inode = self._path.lstat().st_ino
        except OSError as error:
            raise StoreError(
                f"The service's socket cannot be made: {error.strerror or error}",
                "Check that the folder exists and that the service may write to it.",
                where=str(self._path),
            ) from error

    async def peer_of(self, writer: asyncio.StreamWriter) -> Peer:
        return peer_of(writer.get_extra_info("socket"))

    def deafen(self) -> None:
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        if self._server is None:
            return
        await self._server.wait_closed()
        self._server = None
        with contextlib.suppress(FileNotFoundError):
            if self._path.lstat().st_ino == self._inode:  # not one that somebody made since
                self._path.unlink()
