"""Who a child's programs start, told by Windows as it happens: job objects with a completion port.

A process that is put into a job stays there, and with it all that it starts (no limit is set, so none is changed and nothing can
break away).  Windows then puts a message with the pid of each new one into the port (``JOB_OBJECT_MSG_NEW_PROCESS``), in which
a thread waits without ever waking up for nothing.  Who is started by a service of Windows (COM, the shop's apps) comes into a job
when the scan has seen it.  A process that is in a job of another maker's already gets one of its own below that (nested
jobs, Windows 8).  Delivery of messages is not promised: the scan is the net below.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from ctypes import wintypes
from functools import partial

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.starts is for Windows")

from agent.errors import HostError
from agent.platforms.windows.handles import SET_QUOTA, TERMINATE, handled

log = logging.getLogger(__name__)

MOST_OWN = 64
"""Jobs beside an account's first one."""
_NEW_PROCESS, _EXIT_PROCESS, _ABNORMAL = 6, 7, 8
_ASSOCIATE = 7
"""JobObjectAssociateCompletionPortInformation."""
_STARTS, _END = 1, 2
"""Completion keys of ours."""
_FOR_EVER = 0xFFFFFFFF
_NOBODY = ctypes.c_void_p(-1)

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.CreateIoCompletionPort.restype = wintypes.HANDLE
_kernel.CreateIoCompletionPort.argtypes = [ctypes.c_void_p, wintypes.HANDLE, ctypes.c_size_t, wintypes.DWORD]
_kernel.GetQueuedCompletionStatus.argtypes = [
    wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD), ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t),
    wintypes.DWORD,
]  # fmt: skip
_kernel.PostQueuedCompletionStatus.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.c_size_t, ctypes.c_void_p]
_kernel.CreateJobObjectW.restype = wintypes.HANDLE
_kernel.CreateJobObjectW.argtypes = [ctypes.c_void_p, wintypes.LPCWSTR]
_kernel.SetInformationJobObject.argtypes = [wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD]
_kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
_kernel.IsProcessInJob.argtypes = [wintypes.HANDLE, wintypes.HANDLE, ctypes.POINTER(wintypes.BOOL)]
_kernel.CloseHandle.argtypes = [wintypes.HANDLE]


class _Port(ctypes.Structure):
    """JOBOBJECT_ASSOCIATE_COMPLETION_PORT."""

    _fields_ = (("key", ctypes.c_void_p), ("port", wintypes.HANDLE))


class StartEvents:
    """``started`` gets the pid of each new process, ``ended`` is called when one has ended; both on the loop."""

    def __init__(self, started: Callable[[int], None], ended: Callable[[], None]) -> None:
        self._started = started
        self._ended = ended
        self._loop: AbstractEventLoop | None = None
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._jobs: dict[str, int] = {}
        self._own: list[int] = []
        self.why = "Nothing was put into a job yet."

    @property
    def open_now(self) -> bool:
        return self._port is not None

    def open(self, loop: AbstractEventLoop) -> None:
        """Begin.  ``HostError`` when Windows has no port for us."""
        port = _kernel.CreateIoCompletionPort(_NOBODY, None, 0, 1)
        if not port:
            raise HostError(
                "Windows does not tell of program starts", f"{ctypes.WinError(ctypes.get_last_error()).strerror}"
            )
        self._loop, self._port, self.why = loop, port, ""
        self._thread = threading.Thread(target=self._wait, args=(port,), name="program starts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more.  The jobs go with their last process; programs in them notice nothing."""
        port, self._port, self._loop = self._port, None, None
        if port is not None and self._thread is not None:
            _kernel.PostQueuedCompletionStatus(port, 0, _END, None)
            self._thread.join()
            self._thread = None
            for job in (*self._jobs.values(), *self._own):
                _kernel.CloseHandle(job)
            _kernel.CloseHandle(port)
        self._jobs.clear()
        self._own.clear()
        self.why = "Fairtime is closed."

    def follow(self, account: str, pid: int, created: int) -> bool:
        """From now on tell what this process starts; whether it can be told.  Success when it is followed already."""
        if self._port is None:
            return False
        job = self._jobs.get(account)
        if job is None:
            job = self._jobs[account] = self._job(self._port)
        with handled(pid, created, SET_QUOTA | TERMINATE) as handle:
            if handle is None:
                return False
            if any(_within(handle.raw, one) for one in (job, *self._own)):
                return True
            if _kernel.AssignProcessToJobObject(job, handle.raw):
                return True
            if len(self._own) >= MOST_OWN:
                return False
            # It is in somebody's job, and ours has processes outside of that: an empty one can be below it.
            own = self._job(self._port)
            if _kernel.AssignProcessToJobObject(own, handle.raw):
                self._own.append(own)
                return True
            _kernel.CloseHandle(own)
            return False

    # ---- inside --------------------------------------------------------------------------------------------------

    def _job(self, port: int) -> int:
        job = _kernel.CreateJobObjectW(None, None)
        told = _Port(_STARTS, port)
        if not job or not _kernel.SetInformationJobObject(job, _ASSOCIATE, ctypes.byref(told), ctypes.sizeof(told)):
            error = ctypes.WinError(ctypes.get_last_error())
            if job:
                _kernel.CloseHandle(job)
            raise HostError("Windows does not tell of program starts", error.strerror or "Restart the PC.")
        return int(job)

    def _wait(self, port: int) -> None:
        """In a thread of its own."""
        message, key, what = wintypes.DWORD(), ctypes.c_size_t(), ctypes.c_size_t()
        while True:
            good = _kernel.GetQueuedCompletionStatus(
                port, ctypes.byref(message), ctypes.byref(key), ctypes.byref(what), _FOR_EVER
            )
            loop = self._loop
            if not good or key.value == _END or loop is None:
                return
            # The third word is no pointer here, but the pid.
            if message.value == _NEW_PROCESS:
                self._call(loop, partial(self._started, what.value))
            elif message.value in (_EXIT_PROCESS, _ABNORMAL):
                self._call(loop, self._ended)

    @staticmethod
    def _call(loop: AbstractEventLoop, what: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(what)
        except RuntimeError:
            log.info("the loop has ended before the thread that tells of starts")


def _within(process: int, job: int) -> bool:
    found = wintypes.BOOL()
    return bool(_kernel.IsProcessInJob(process, job, ctypes.byref(found))) and bool(found.value)
