"""The named pipe as the transport, and how each side makes sure of the other.

Callers believe a pipe by its owner, which nobody but the system can set to the system (``descriptors.PIPE``); whose process
serves it cannot be asked of the system's processes without an administrator's rights.  They connect at the level of
identification: whoever serves may read their token, and can never act with it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.pipe is for Windows")

import pywintypes
import win32file
import win32pipe
import win32security

from agent.errors import ConnectionFailed
from agent.ipc.peer import Uid
from agent.ipc.protocol import TIMEOUT
from agent.ipc.transport import Channel, Ear
from agent.platforms.windows import tokens, winerrors
from agent.platforms.windows.descriptors import CLIENT_ACCESS, SYSTEM
from agent.platforms.windows.pipechannel import PipeChannel
from agent.platforms.windows.pipenames import SERVICE, pipe_name

_KERNEL_OBJECT, _OWNER = 6, 1
_SQOS_PRESENT, _IDENTIFICATION = 0x00100000, 0x00010000
"""SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION; without CONTEXT_TRACKING the token is that of the moment of opening."""


class Pipes:
    """The ``Transport`` of Windows."""

    usual: str = SERVICE

    def __init__(self) -> None:
        self.own: Uid = tokens.own().sid

    def ear(self, address: Path, mode: int) -> Ear:
        """``mode`` has no meaning here: the descriptor says who may call."""
        from agent.platforms.windows.pipeear import PipeEar  # and with it an event loop, which callers do without

        return PipeEar(pipe_name(str(address)), str(self.own), who_serves)

    def call(self, address: str) -> Channel:
        name = pipe_name(address)
        try:
            handle = _opened(name)
        except OSError as error:
            raise ConnectionFailed(
                "Fairtime's service does not answer",
                "It may be starting: try again in a moment.  An administrator can look with “sc query fairtime”.",
                where=name,
            ) from error
        try:
            owner = _owner(handle)
        except OSError as error:
            win32file.CloseHandle(handle)
            raise _somebody_else(name) from error
        if owner not in (SYSTEM, self.own):
            win32file.CloseHandle(handle)
            raise _somebody_else(name)
        return PipeChannel(handle, TIMEOUT)


def who_serves(name: str) -> str | None:
    """Who serves a pipe, in words for an administrator; ``None`` when nobody does."""
    try:
        handle = _opened(name, wait=0.2)
    except FileNotFoundError:
        return None
    except OSError as error:
        return "" if error.winerror == winerrors.PIPE_BUSY else f"(it cannot be asked: {error.strerror})"
    try:
        pid = int(win32pipe.GetNamedPipeServerProcessId(handle))
    except pywintypes.error:
        return ""
    finally:
        win32file.CloseHandle(handle)
    try:
        return f"process {pid} of {tokens.of_process(pid).account}"
    except OSError:
        return f"process {pid}"


def _opened(name: str, wait: float = TIMEOUT) -> int:
    """A handle of the pipe's other end.  All its instances may be taken for a moment: that is waited for."""
    flags = win32file.FILE_FLAG_OVERLAPPED | _SQOS_PRESENT | _IDENTIFICATION
    end = time.monotonic() + wait
    while True:
        try:
            opened: Any = win32file.CreateFile(name, CLIENT_ACCESS, 0, None, win32file.OPEN_EXISTING, flags, None)
            return int(opened.Detach())
        except pywintypes.error as error:
            left = end - time.monotonic()
            if error.winerror != winerrors.PIPE_BUSY or left <= 0:
                raise winerrors.os_error(error) from error
        with winerrors.told():
            # It takes 0 for a time of the server's choice.
            win32pipe.WaitNamedPipe(name, max(1, int(left * 1000)))  # and somebody else may still be quicker


def _owner(handle: int) -> str:
    with winerrors.told():
        found = win32security.GetSecurityInfo(handle, _KERNEL_OBJECT, _OWNER).GetSecurityDescriptorOwner()
        return str(win32security.ConvertSidToStringSid(found))


def _somebody_else(name: str) -> ConnectionFailed:
    return ConnectionFailed(
        "Somebody else answers in the place of Fairtime's service", "Tell an administrator of this PC.", where=name
    )
