"""A caller's end of the pipe: overlapped reads and writes that wait for no longer than they may, and that ``shut`` ends."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.pipechannel is for Windows")

import pywintypes
import win32event
import win32file
import win32pipe

from agent.platforms.windows import winerrors

if TYPE_CHECKING:
    from _win32typing import PyOVERLAPPED

_GONE = frozenset({winerrors.BROKEN_PIPE, winerrors.NO_DATA, winerrors.PIPE_NOT_CONNECTED, winerrors.OPERATION_ABORTED})


class PipeChannel:
    """The ``Channel`` of Windows; it owns the handle, which was opened for overlapped use."""

    def __init__(self, handle: int, patience: float) -> None:
        self._handle: int | None = handle
        self._patience: float | None = patience
        self._closing = threading.Lock()
        self._ended = win32event.CreateEvent(None, True, False, None)
        self._done = win32event.CreateEvent(None, True, False, None)

    def patience(self, seconds: float | None) -> None:
        self._patience = seconds

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            waiting = self._waiting()
            with winerrors.told():
                win32file.WriteFile(self._open(), bytes(rest), waiting)
            rest = rest[self._finished(waiting) :]

    def receive(self, most: int) -> bytes:
        waiting = self._waiting()
        room = win32file.AllocateReadBuffer(most)
        try:
            win32file.ReadFile(self._open(), room, waiting)
            size = self._finished(waiting)
        except pywintypes.error as error:
            if error.winerror in _GONE:
                return b""
            raise winerrors.os_error(error) from error
        except OSError as error:
            if getattr(error, "winerror", None) in _GONE:
                return b""
            raise
        return bytes(room[:size])

    def unread(self) -> bool:
        try:
            _, available, _ = win32pipe.PeekNamedPipe(self._open(), 0)
        except (pywintypes.error, OSError):
            return True  # it has hung up
        return bool(available)

    def shut(self) -> None:
        win32event.SetEvent(self._ended)

    def close(self) -> None:
        with self._closing:
            handle, self._handle = self._handle, None
        if handle is not None:
            win32file.CloseHandle(handle)

    def _open(self) -> int:
        if self._handle is None:
            raise BrokenPipeError("the channel is closed")
        return self._handle

    def _waiting(self) -> PyOVERLAPPED:
        win32event.ResetEvent(self._done)
        waiting = pywintypes.OVERLAPPED()
        waiting.hEvent = self._done
        return waiting

    def _finished(self, waiting: PyOVERLAPPED) -> int:
        """Bytes read or written.  What is not done in time is taken back first: its buffer must not be written to later."""
        handle = self._open()
        wait = win32event.INFINITE if self._patience is None else int(self._patience * 1000)
        with winerrors.told():
            woken = win32event.WaitForMultipleObjects([self._done, self._ended], False, wait)
            if woken == win32event.WAIT_OBJECT_0:
                return int(win32file.GetOverlappedResult(handle, waiting, True))
            win32file.CancelIo(handle)
            try:
                win32file.GetOverlappedResult(handle, waiting, True)
            except pywintypes.error as error:
                if error.winerror not in _GONE:
                    raise
        if woken == win32event.WAIT_TIMEOUT:
            raise TimeoutError
        raise BrokenPipeError("the channel was shut")
