"""Datagrams by the dozen: one call to the kernel takes what waits, one gives the answers back (recvmmsg(2), sendmmsg(2)).

In a flood most of the time of a question is these calls, and so the dozen shares it; Python's ``socket`` has neither call.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.datagrams is for Linux")

Address = tuple[str, int] | tuple[str, int, int, int]
"""As Python's ``socket`` has it for IPv4, and for IPv6."""

_FOUR = struct.Struct("=2xH4s8x")
"""struct sockaddr_in (ip(7)): family, port, address."""
_SIX = struct.Struct("=2xHI16sI")
"""struct sockaddr_in6 (ipv6(7)): family, port, flow, address, scope."""
_DONTWAIT = int(socket.MSG_DONTWAIT)
_ANSWERS = 65_536
"""Bytes of answers that are laid ready; one alone is never longer."""


class _Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr: with how many bytes came."""

    _fields_ = (("head", _Head), ("came", ctypes.c_uint))


_libc = ctypes.CDLL(None)
_receive = _libc.recvmmsg
_receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_send = _libc.sendmmsg
_send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


class _Side:
    """``most`` messages of one piece each.  A column is one field of all of them, read and written by index: ctypes' own way to
    a field takes ten times as long."""

    def __init__(self, most: int) -> None:
        self._messages = (_Message * most)()
        self._pieces = (_Piece * most)()
        self.at = ctypes.addressof(self._messages)
        first = ctypes.addressof(self._pieces)
        for at, message in enumerate(self._messages):
            message.head.pieces = first + at * ctypes.sizeof(_Piece)
            message.head.piece_count = 1
        self.names = _column(self._messages, _Head.name, "L")
        self.name_sizes = _column(self._messages, _Head.name_size, "I")
        self.came = _column(self._messages, _Message.came, "I")
        self.bases = _column(self._pieces, _Piece.base, "L")
        self.sizes = _column(self._pieces, _Piece.size, "L")


def _column(rows: Any, field: Any, kind: Literal["I", "L"]) -> memoryview:
    words: memoryview[int] = memoryview(rows).cast("B").cast(kind)
    return words[field.offset // words.itemsize :: words.nbytes // len(rows) // words.itemsize]


def _address(room: bytearray) -> int:
    """Where it lies; it keeps its size from now on."""
    return ctypes.addressof(ctypes.c_char.from_buffer(room))


class Datagrams:
    """Room for ``most`` datagrams of ``longest`` bytes; of a longer one a byte more comes, which shows that it is too long.

    ``receive`` takes what waits at a socket; ``asker`` tells who sent one of those; ``send`` sends answers to them.
    """

    def __init__(self, most: int, longest: int) -> None:
        self._most = most
        self._step = longest + 1
        self._came = bytearray(most * self._step)
        self._names = bytearray(most * _SIX.size)
        self._answers = bytearray(_ANSWERS)
        self._view = memoryview(self._came)
        self._from, self._to = _Side(most), _Side(most)
        self._name_at = [_address(self._names) + one * _SIX.size for one in range(most)]
        self._answers_at = _address(self._answers)
        self._fd = -1
        self._family = -1
        self._form = _FOUR
        for one in range(most):
            self._from.names[one] = self._name_at[one]
            self._from.bases[one] = _address(self._came) + one * self._step
            self._from.sizes[one] = self._step

    def receive(self, at: socket.socket) -> list[bytes]:
        """What has come; nothing also for the word of an answer that found nobody."""
        if at.family != self._family:
            self._family = at.family
            self._form = _SIX if at.family == socket.AF_INET6 else _FOUR
            # Said again only here: for one family the kernel always writes back what it was told.
            for side in (self._from, self._to):
                side.name_sizes[:] = array("I", [self._form.size]) * self._most
        self._fd = at.fileno()
        count = max(0, int(_receive(self._fd, self._from.at, self._most, _DONTWAIT, None)))
        view, starts = self._view, range(0, count * self._step, self._step)
        return [
            view[start : start + size].tobytes() for start, size in zip(starts, self._from.came[:count], strict=True)
        ]

    def asker(self, one: int) -> Address:
        """From where the datagram with this index came."""
        port, *more = self._form.unpack_from(self._names, one * _SIX.size)
        port = socket.ntohs(port)
        if self._form is _FOUR:
            return socket.inet_ntop(socket.AF_INET, more[0]), port
        flow, address, scope = more
        return socket.inet_ntop(socket.AF_INET6, address), port, socket.ntohl(flow), scope

    def send(self, to: Sequence[int], answers: Sequence[bytes]) -> None:
        """Send each answer to where the datagram with this index came from.  One whose asker is gone, or whose queue is full, is
        dropped: who still waits asks again."""
        first = used = 0
        for at, answer in enumerate(answers):
            if used + len(answer) > _ANSWERS or at - first == self._most:
                self._send(to[first:at], answers[first:at])
                first, used = at, 0
            used += len(answer)
        self._send(to[first:], answers[first:])

    def _send(self, to: Sequence[int], answers: Sequence[bytes]) -> None:
        count, sizes = len(to), array("L", map(len, answers))
        data = b"".join(answers)
        self._answers[: len(data)] = data
        side, where = self._to, self._name_at
        side.names[:count] = array("L", [where[one] for one in to])
        side.bases[:count] = array("L", accumulate(sizes[:-1], initial=self._answers_at)) if count else sizes
        side.sizes[:count] = sizes
        done = 0
        while done < count:
            sent = _send(self._fd, side.at + done * ctypes.sizeof(_Message), count - done, _DONTWAIT)
            done += max(1, int(sent))
