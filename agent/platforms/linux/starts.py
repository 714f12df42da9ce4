"""Hear of every program start from the kernel: the process events connector (CONFIG_PROC_EVENTS).

A netlink socket of family NETLINK_CONNECTOR gets one datagram per event (linux/cn_proc.h): nlmsghdr (16 bytes), cn_msg
(20), then ``what`` at 36 and the event's own data at 52: for EXEC pid and tgid, for UID pid, tgid, real and effective uid,
for FORK pid and tgid of the parent and of the new one.
A small BPF program on the socket lets only EXEC, UID and the acknowledgement through, so that the forks and exits of the
whole machine cost this process nothing.  UID events matter because ``su`` and login programs may run something before
they change to the child's account.  FORK events are let through only while a tree is being stopped (``follow``): a program
that forks twice is gone from its parent's children before anyone can look.  COMM events, of programs that name themselves,
are let through for this process alone: writing its own name is how it makes sure that events still come (``pulse``).  They
may stop without a word, because any privileged program can switch them off for all (``PROC_CN_MCAST_IGNORE``).

Needs CAP_NET_ADMIN in the initial user and pid namespaces; elsewhere the kernel stays silent, which ``open`` reports.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from array import array
from collections.abc import Callable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError

_NETLINK_CONNECTOR = 11
_IDX_PROC, _VAL_PROC = 1, 1
_MCAST_LISTEN = 1
_NLMSG_DONE = 3
_SO_RCVBUFFORCE = 33
_SO_ATTACH_FILTER = 26

NONE, FORK, EXEC, UID, COMM = 0x0, 0x1, 0x2, 0x4, 0x200
BUFFER = 8 << 20
"""Bytes asked of SO_RCVBUFFORCE: a burst of 4,000 starts while this service stands still for a second fits."""
ACKNOWLEDGE = 1.0
"""Seconds the kernel has to acknowledge; it does so while ``listen`` is being sent."""

_WHAT = struct.Struct("=I")
_DATA = struct.Struct("=IIII")
_AT_WHAT, _AT_DATA = 36, 52
_BATCH = 2048

_ADVICE = "Run Fairtime as a system service (root, outside any container)."


class StartEvents:
    """Calls ``started(pid)`` for each new image and each change of uid, ``lost()`` when events were dropped."""

    def __init__(self, started: Callable[[int], None], lost: Callable[[], None]) -> None:
        self._started = started
        self._lost = lost
        self._forked: Callable[[int, int], None] | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._comm = -1
        self._name = b""
        self._heard = False

    @property
    def open_now(self) -> bool:
        return self._socket is not None

    async def open(self) -> None:
        """Begin to listen; ``HostError`` when this system or these rights do not allow it."""
        loop = asyncio.get_running_loop()
        sock = _connect()
        try:
            async with asyncio.timeout(ACKNOWLEDGE):
                await _acknowledged(loop, sock)
        except TimeoutError as error:
            sock.close()
            raise HostError(
                "The kernel does not report program starts here (it does so outside of containers only)", _ADVICE
            ) from error
        except OSError as error:
            sock.close()
            raise HostError(f"The kernel refused to report program starts: {error.strerror}", _ADVICE) from error
        self._comm = os.open("/proc/self/comm", os.O_RDWR | os.O_CLOEXEC)
        self._name = os.read(self._comm, 64).strip()
        self._socket, self._loop = sock, loop
        loop.add_reader(sock, self.drain)

    def close(self) -> None:
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            os.close(self._comm)
        self._socket = self._loop = None

    def follow(self, forked: Callable[[int, int], None] | None) -> None:
        """From now on call ``forked(parent, child)`` for each new process of the machine; ``None`` ends it."""
        self._forked = forked
        if self._socket is not None:
            _attach_filter(self._socket, *((NONE, EXEC, UID) if forked is None else (NONE, EXEC, UID, FORK)))

    def pulse(self) -> bool:
        """Whether events come: cause one, and see it.  The kernel queues it before the write returns, so that every start
        before this call has been handled when the answer is True.  On False it was asked to tell again."""
        if self._socket is None:
            return False
        self._heard = False
        os.write(self._comm, self._name)
        self.drain()
        if not self._heard:
            self._socket.send(_listen())
        return self._heard

    def drain(self) -> None:
        """Handle what has come, at most ``_BATCH`` events before the loop gets its turn.

        The loop calls it, and who must know now: an event is there before the process that it tells of runs.
        """
        sock = self._socket
        if sock is None:
            return
        for _ in range(_BATCH):
            try:
                data = sock.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    # The kernel reports an overflow once and goes on; whatever was in it must be looked for.
                    self._lost()
                    continue
                raise
            if len(data) < _AT_DATA + 16:
                continue
            what = _WHAT.unpack_from(data, _AT_WHAT)[0]
            _, group, new, new_group = _DATA.unpack_from(data, _AT_DATA)
            if what in (EXEC, UID):
                self._started(group)
            elif what == COMM:
                self._heard = True
            elif what == FORK and new == new_group and self._forked is not None:  # a thread is no process
                self._forked(group, new)


def _connect() -> socket.socket:
    try:
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_CONNECTOR
        )
    except OSError as error:
        raise HostError("This kernel has no process events connector (CONFIG_PROC_EVENTS)", _ADVICE) from error
    try:
        _attach_filter(sock, NONE, EXEC, UID)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind((0, _IDX_PROC))
        sock.send(_listen())
    except OSError as error:
        sock.close()
        raise HostError(f"The kernel refused to report program starts: {error.strerror}", _ADVICE) from error
    return sock


def _listen() -> bytes:
    """nlmsghdr + cn_msg + PROC_CN_MCAST_LISTEN."""
    body = struct.pack("=IIIIHHI", _IDX_PROC, _VAL_PROC, 0, 0, 4, 0, _MCAST_LISTEN)
    return struct.pack("=IHHII", 16 + len(body), _NLMSG_DONE, 0, 0, os.getpid()) + body


async def _acknowledged(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait for the answer to ``listen``: an event NONE with an error number."""
    while True:
        data = await loop.sock_recv(sock, 4096)
        if len(data) >= _AT_DATA + 4 and _WHAT.unpack_from(data, _AT_WHAT)[0] == NONE:
            code = _WHAT.unpack_from(data, _AT_DATA)[0]
            if code:
                raise OSError(code, os.strerror(code))
            return


def _attach_filter(sock: socket.socket, *wanted: int) -> None:
    """Classic BPF (linux/filter.h): let the ``wanted`` pass, and our own COMM; it takes the place of the filter before.  A load puts the bytes
    in network order, so the wanted values are turned round on a little-endian machine."""

    def native(value: int) -> int:
        return int.from_bytes(value.to_bytes(4, sys.byteorder), "big")

    def op(code: int, jt: int, jf: int, k: int) -> bytes:
        return struct.pack("=HBBI", code, jt, jf, k)

    code = array("B", op(0x20, 0, 0, _AT_WHAT))  # ld [36]
    for number, what in enumerate(wanted):
        code.frombytes(op(0x15, len(wanted) - number + 3, 0, native(what)))  # jeq → accept
    code.frombytes(op(0x15, 0, 2, native(COMM)))  # jeq, else → drop
    code.frombytes(op(0x20, 0, 0, _AT_DATA + 4))  # ld [56]: of which process
    code.frombytes(op(0x15, 1, 0, native(os.getpid())))  # jeq → accept
    code.frombytes(op(0x06, 0, 0, 0))  # drop
    code.frombytes(op(0x06, 0, 0, 0xFFFFFFFF))  # accept
    address, length = code.buffer_info()
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; } in native alignment; the kernel copies it.
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", length // 8, address))
