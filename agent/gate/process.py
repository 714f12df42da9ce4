"""The gate as a process: what it needs before the first event, and how it ends.

Called with the number of its socket to the service, a name, and perhaps the places to which it is limited.  The name is
bound in the abstract namespace: a gate that outlived its service is asked through it to make room for the next one, once
that one answers.
"""

from __future__ import annotations

import gc
import os
import struct
import sys
from time import monotonic, sleep

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.gate is for Linux")

import _socket
import _thread
import resource

from agent.gate import fanotify, wire
from agent.gate.decider import OUTSTANDING_IN_ALL, Decider
from agent.gate.marks import Marker
from agent.gate.table import Table

HANDOVER = 2.0
"""Seconds that a predecessor has to make room."""
LEAVE = b"leave"
_FILES = 4 * OUTSTANDING_IN_ALL + 512
_NICE = -10


def main(words: list[str]) -> int:
    """Run the gate on socket ``words[0]`` with the name ``words[1]``, limited to the places ``words[2:]``."""
    if len(words) < 2:
        return 2
    service = _socket.socket(fileno=int(words[0]))
    group = -1
    try:
        _see()
        group = fanotify.group()
        _settle()
        fanotify.alarm(3)
        table = Table()
        rows, tell = wire.read_classes(service.recv(wire.LARGEST))
        table.classify(rows)
        decider = Decider(group, service, table, tell=tell)
        marker = Marker(group, words[2:], _Reporter(service, decider, words[1]))
        gc.disable()
        _thread.start_new_thread(_mark, (marker, service))
        decider.run()
    except (OSError, ValueError) as error:
        # The group first: whoever reads these words may have to start a program to do so.
        if group >= 0:
            os.close(group)
        _fail(service, error)
        return 1
    # No tidying up, and no waiting for the other thread: the end of the process closes the group.
    os._exit(0)


def _see() -> None:
    """Without sight of other processes the gate would take everybody for a child that has just died."""
    os.stat(f"/proc/{os.getpid()}")
    os.stat("/proc/1")


def _settle() -> None:
    fanotify.name_process(b"fairtime-gate")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    try:
        # Every start on this PC waits for this process.
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except PermissionError:
        pass  # without CAP_SYS_NICE it takes its turn like everybody
    # A collection would make an ``exec`` wait for nothing: nothing here refers in circles.
    gc.freeze()


def _mark(marker: Marker, service: _socket.socket) -> None:
    try:
        marker.run()
    except (OSError, ValueError) as error:
        # Marks that no longer follow the mounts are worse than a gate that is started anew.
        _fail(service, error)
        os._exit(1)


def _fail(service: _socket.socket, error: Exception) -> None:
    number = error.errno or 0 if isinstance(error, OSError) else 0
    try:
        service.send(wire.failed(number, str(error)), _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
    except OSError:
        return  # nobody is there to hear it


class _Reporter:
    """Tells the service what is marked; the first time, takes over from a gate that outlived its service."""

    def __init__(self, service: _socket.socket, decider: Decider, name: str) -> None:
        self._service = service
        self._decider = decider
        self._name = f"\0fairtime-gate/{name}".encode()
        self._named: _socket.socket | None = None

    def __call__(self, marked: int, left_out: list[str]) -> None:
        if self._named is None:
            self._named = self._take_over()
            if self._named is not None:
                _thread.start_new_thread(self._hand_over, (self._named,))
        try:
            self._service.send(wire.marks(marked, left_out), _socket.MSG_NOSIGNAL)
        except OSError:
            pass  # the service is gone, which the decider notices too; the marks are there all the same

    def _take_over(self) -> _socket.socket | None:
        """Our name, once whoever has it is gone; ``None`` when they stay (an abstract name is anybody's to take)."""
        mine = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        mine.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        until = monotonic() + HANDOVER
        while monotonic() < until:
            try:
                mine.bind(self._name)
            except OSError:
                try:
                    mine.sendto(LEAVE, _socket.MSG_DONTWAIT, self._name)
                except OSError:
                    pass  # gone in between, or it reads nothing
                sleep(0.02)
                continue
            return mine
        mine.close()
        return None

    def _hand_over(self, named: _socket.socket) -> None:
        """End when the next gate asks for it and there is no service of our own any more."""
        while True:
            words, rights, _, _ = named.recvmsg(16, _socket.CMSG_SPACE(12))
            for level, kind, data in rights:
                if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS) and len(data) == 12:
                    _, uid, _ = struct.unpack("=iII", data)  # the kernel's word (unix(7))
                    if words == LEAVE and uid == os.geteuid() and self._decider.alone:
                        os._exit(0)
