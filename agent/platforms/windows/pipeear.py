"""The service's end of the pipe: instances that wait, one for each caller, as asyncio's streams.

asyncio's own pipe server makes pipes without a descriptor, in message mode, for callers from the network too
(``windows_events.PipeServer``); so the instances are made here, and asyncio's proactor reads and writes them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if sys.platform == "win32":
    from asyncio.windows_utils import PipeHandle
else:  # also tells the type checker, which then skips the rest elsewhere
    PipeHandle: TypeAlias = object
    raise ImportError("agent.platforms.windows.pipeear is for Windows")

import logging

import pywintypes
import win32pipe
import win32security

from agent.errors import HostError, StoreError
from agent.ipc.peer import Peer
from agent.ipc.protocol import MAX_CONNECTIONS, MAX_FRAME, TIMEOUT
from agent.ipc.transport import Heard
from agent.platforms.windows import tokens, winerrors
from agent.platforms.windows.descriptors import PIPE, SYSTEM, own_pipe
from agent.platforms.windows.pipenames import taken

if TYPE_CHECKING:
    from _win32typing import PySECURITY_ATTRIBUTES

log = logging.getLogger(__name__)

_OVERLAPPED, _FIRST_INSTANCE = 0x40000000, 0x00080000
_BYTES = 0
"""PIPE_TYPE_BYTE | PIPE_READMODE_BYTE: in message mode a frame longer than a read ends the connection (ERROR_MORE_DATA)."""
_REJECT_REMOTE = 0x8
SPARE = 4
"""Instances that wait for callers.  There is one at any time, so the name is never free while the service runs."""
SILENT = 4
"""Callers that may be waited for until they say something, and so who they are; others are not heard at all."""
AGAIN = 1.0
"""Seconds until the next try when an instance cannot be made."""


class _Caller(asyncio.StreamReaderProtocol):
    """asyncio's, and it tells when the caller has said something."""

    def __init__(self, heard: Heard, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(asyncio.StreamReader(loop=loop), heard, loop=loop)
        self.spoken = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.spoken.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.spoken.set()


class PipeEar:
    """The ``Ear`` of Windows.  ``who_serves`` tells whether somebody has the name already."""

    def __init__(self, name: str, own: str, who_serves: Callable[[str], str | None]) -> None:
        self._name = name
        self._own = own
        self._who_serves = who_serves
        self._waiting: dict[asyncio.Task[None], PipeHandle] = {}
        self._silent = 0

    async def open(self, heard: Heard) -> None:
        """``NameTaken`` when somebody else has the name."""
        holder = await asyncio.to_thread(self._who_serves, self._name)
        if holder is not None:
            raise taken(self._name, holder)
        try:
            first = self._instance(_FIRST_INSTANCE)
        except OSError as error:
            if error.winerror == winerrors.ACCESS_DENIED:
                raise taken(self._name, "") from error
            raise StoreError(
                f"The service's pipe cannot be made: {error.strerror}",
                "Start the service again; if that does not help, start the PC again.",
                where=self._name,
            ) from error
        self._wait(first, heard)
        for _ in range(SPARE - 1):
            self._wait(self._instance(), heard)

    async def peer_of(self, writer: asyncio.StreamWriter) -> Peer:
        """By the token of whoever opened the pipe.  One that chose to be tracked has none before it has said something."""
        handle: int = writer.get_extra_info("pipe").fileno()
        try:
            return _peer(handle)
        except OSError as error:
            if error.winerror != winerrors.CANNOT_IMPERSONATE or self._silent >= SILENT:
                raise _unknown(error) from error
        self._silent += 1
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Caller)
        try:
            async with asyncio.timeout(TIMEOUT):
                await protocol.spoken.wait()
            return _peer(handle)
        except (OSError, TimeoutError) as error:
            raise _unknown(error) from error
        finally:
            self._silent -= 1

    def deafen(self) -> None:
        for task in self._waiting:
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._waiting)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _instance(self, first: int = 0) -> PipeHandle:
        """``OSError`` when there can be no more."""
        with winerrors.told():
            made: Any = win32pipe.CreateNamedPipe(
                self._name,
                win32pipe.PIPE_ACCESS_DUPLEX | _OVERLAPPED | first,
                _BYTES | _REJECT_REMOTE,
                MAX_CONNECTIONS + 2 * SPARE,
                MAX_FRAME,
                MAX_FRAME,
                0,
                _rights(PIPE if self._own == SYSTEM else own_pipe(self._own)),
            )
        return PipeHandle(made.Detach())

    def _wait(self, pipe: PipeHandle, heard: Heard) -> None:
        task = asyncio.get_running_loop().create_task(self._accept(pipe, heard), name="fairtime-pipe")
        self._waiting[task] = pipe
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._waiting.pop(task).close()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("the service hears nobody any more on one instance of its pipe", exc_info=error)

    async def _accept(self, pipe: PipeHandle, heard: Heard) -> None:
        """Let one caller after the other in, each on an instance of its own."""
        task = asyncio.current_task()
        assert task is not None
        # Neither is in asyncio's documentation; its own pipe server is made of them.
        loop: Any = asyncio.get_running_loop()
        while True:
            try:
                await loop._proactor.accept_pipe(pipe)
            except OSError as error:
                log.info("a caller was gone before it was heard: %s", error.strerror)
                pipe.close()
            else:
                loop._make_duplex_pipe_transport(pipe, _Caller(heard, loop))
            pipe = self._waiting[task] = await self._next(task)

    async def _next(self, task: asyncio.Task[None]) -> PipeHandle:
        while True:
            try:
                return self._instance()
            except OSError as error:
                # At the limit of instances; the others of ``SPARE`` wait meanwhile, or callers wait for them.
                log.warning("one more instance of the pipe cannot be made: %s", error.strerror)
                await asyncio.sleep(AGAIN)


def _rights(sddl: str) -> PySECURITY_ATTRIBUTES:
    made = pywintypes.SECURITY_ATTRIBUTES()
    made.SECURITY_DESCRIPTOR = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
        sddl, win32security.SDDL_REVISION_1
    )
    return made


def _peer(handle: int) -> Peer:
    caller = tokens.of_caller(handle)
    with winerrors.told():
        pid = int(win32pipe.GetNamedPipeClientProcessId(handle))
    return Peer(caller.sid, pid, caller.account, privileged=caller.privileged)


def _unknown(error: BaseException) -> HostError:
    return HostError(f"The system does not say who calls: {error}", "Use Fairtime's own programs.")
