"""A fanotify group in name only, so that the gate's decider can be driven without root."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

from agent.gate import fanotify, wire
from agent.gate.decider import Decider
from agent.gate.table import Key, Table

EVENT = struct.Struct("=IBBHQii")


def event(fd: int, pid: int, mask: int = fanotify.OPEN_EXEC_PERM, *, version: int = 3, length: int = 24) -> bytes:
    return EVENT.pack(length, version, 0, 24, mask, fd, pid)


class Gate(Decider):
    """The decider, with a note of what it would have the kernel ignore."""

    ignored: set[Key]

    def ignore(self, fd: int, key: Key) -> None:
        self.ignored.add(key)

    def flush(self) -> None:
        self.ignored.clear()
        self._table.flush()


class Kernel:
    """Pretends to be the group: a pair of sockets on which events come and answers go."""

    def __init__(self, file: Path, default: int = fanotify.DENY, uid: int | None = None) -> None:
        self.file = file
        self.group, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.service, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for one in (self.group, self.service):
            one.setblocking(False)
        self._kept = (ours, theirs)
        self.now = 100.0
        self.table = Table()
        own = os.geteuid() if uid is None else uid
        self.table.classify([(own, own, 3, default)])
        self.gate = Gate(ours.fileno(), theirs, self.table, switch=lambda _: None, clock=lambda: self.now)
        self.gate.ignored = set()

    def starts(self, pid: int | None = None) -> int:
        """An ``exec`` of ``file``; the descriptor of the event."""
        fd = os.open(self.file, os.O_RDONLY)
        self.group.send(event(fd, os.getpid() if pid is None else pid))
        self.gate.read_events()
        return fd

    def answers(self) -> list[tuple[int, int]]:
        found = []
        while True:
            try:
                found.append(struct.unpack("=iI", self.group.recv(64)))
            except BlockingIOError:
                return found

    def hears(self) -> list[bytes]:
        """What the gate said, without the descriptors."""
        found = []
        while True:
            try:
                data, rights, _, _ = self.service.recvmsg(wire.LARGEST, socket.CMSG_SPACE(16))
            except BlockingIOError:
                return found
            for _, _, raw in rights:
                os.close(int.from_bytes(raw, sys.byteorder))
            found.append(data)

    def says(self, data: bytes) -> bool:
        self.service.send(data)
        return self.gate.hear()

    def close(self) -> None:
        for one in (self.group, self.service, *self._kept):
            one.close()
