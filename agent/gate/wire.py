"""What service and gate say to each other: fixed structs, one to a datagram of their SOCK_SEQPACKET pair.

The first byte is the kind.  The service sends ``CLASSES`` first; a ``QUESTION`` carries the file's descriptor (SCM_RIGHTS).
Datagrams keep their order, which is all that ``FLUSH`` needs: an answer sent before it was found under the old state and is
forgotten by it, one sent after it was found under the new.
"""

from __future__ import annotations

import struct
from _collections_abc import Iterable  # collections.abc, without the half megabyte around it

from agent.gate.table import Row

CLASSES, ANSWER, FLUSH, PING, STOP = 1, 2, 3, 4, 5
QUESTION, TOLD, PONG, MARKS, FAILED = 17, 18, 19, 20, 21

ASK_AGAIN, SETTLED, FOR_GOOD = 0, 1, 2
"""How long an answer holds: for this start; until ``FLUSH``; until then for starts that nobody need be told of, too."""

LARGEST = 65_536
"""Bytes of the largest datagram."""
MOST_ROWS = 5_000
MOST_TOLD = 256

_CLASSES = struct.Struct("<BBH")
_ROW = struct.Struct("<IIHBx")
_ANSWER = struct.Struct("<BBBxI")
_PING = struct.Struct("<BxxxI")
_QUESTION = struct.Struct("<BxHIiI")
_TOLD = struct.Struct("<BBH")
_STARTED = struct.Struct("<iB3x")
_PONG = struct.Struct("<BxxxIIII")
_MARKS = struct.Struct("<BxHH")
_FAILED = struct.Struct("<Bxxxi")
_TEXT = 8_192


class Malformed(ValueError):
    """A datagram that is none of ours."""


def kind(data: bytes) -> int:
    """The first byte; ``Malformed`` for an empty datagram."""
    if not data:
        raise Malformed("an empty datagram")
    return data[0]


# ---- from the service ------------------------------------------------------------------------------------------------


def classes(rows: Iterable[Row], *, tell: bool = True) -> bytes:
    """Whose uids count, what to answer for them when nobody can be asked, and whether the service wants to be told of
    starts.  ``Malformed`` for too many rows."""
    listed = list(rows)
    if len(listed) > MOST_ROWS:
        raise Malformed(f"{len(listed)} uid ranges")
    return _CLASSES.pack(CLASSES, tell, len(listed)) + b"".join(_ROW.pack(*row) for row in listed)


def read_classes(data: bytes) -> tuple[list[Row], bool]:
    """``(rows, tell)``."""
    _, tell, count = _unpack(_CLASSES, data, CLASSES)
    if len(data) != _CLASSES.size + count * _ROW.size:
        raise Malformed("a table of another length than it says")
    rows = list(_ROW.iter_unpack(data[_CLASSES.size :]))
    if any(first > last or verdict not in (1, 2) for first, last, _, verdict in rows):
        raise Malformed("a row that makes no sense")
    return rows, bool(tell)


def answer(number: int, verdict: int, holds: int) -> bytes:
    return _ANSWER.pack(ANSWER, verdict, holds, number)


def read_answer(data: bytes) -> tuple[int, int, int]:
    """``(number of the question, verdict, how long it holds)``."""
    _, verdict, holds, number = _whole(_ANSWER, data, ANSWER)
    if verdict not in (1, 2) or holds > FOR_GOOD:
        raise Malformed(f"the verdict {verdict}, for {holds}")
    return number, verdict, holds


FLUSH_NOW = bytes([FLUSH])
STOP_NOW = bytes([STOP])


def ping(number: int) -> bytes:
    return _PING.pack(PING, number)


def read_ping(data: bytes) -> int:
    return int(_whole(_PING, data, PING)[1])


# ---- from the gate ---------------------------------------------------------------------------------------------------


def question(number: int, pid: int, uid: int, klass: int) -> bytes:
    return _QUESTION.pack(QUESTION, klass, number, pid, uid)


def read_question(data: bytes) -> tuple[int, int, int, int]:
    """``(number, pid, uid, class)``."""
    _, klass, number, pid, uid = _whole(_QUESTION, data, QUESTION)
    return number, pid, uid, klass


def told(started: Iterable[tuple[int, int]], *, lost: bool) -> bytes:
    """Starts that were answered, as ``(pid, verdict)``; ``lost`` when there were more than could be kept."""
    rows = b"".join(_STARTED.pack(pid, verdict) for pid, verdict in started)
    return _TOLD.pack(TOLD, lost, len(rows) // _STARTED.size) + rows


def read_told(data: bytes) -> tuple[list[tuple[int, int]], bool]:
    _, lost, count = _unpack(_TOLD, data, TOLD)
    if len(data) != _TOLD.size + count * _STARTED.size:
        raise Malformed("a report of another length than it says")
    return list(_STARTED.iter_unpack(data[_TOLD.size :])), bool(lost)


def pong(number: int, overflows: int, guessed: int, lost: int) -> bytes:
    return _PONG.pack(PONG, number, overflows, guessed, lost)


def read_pong(data: bytes) -> tuple[int, int, int, int]:
    """``(number, queue overflows, answers by default, reports lost)``, the last three since the gate began."""
    _, number, overflows, guessed, lost = _whole(_PONG, data, PONG)
    return number, overflows, guessed, lost


def marks(marked: int, left_out: list[str]) -> bytes:
    """The gate watches ``marked`` file systems; ``left_out`` names those it does not (``type place``)."""
    text = "\n".join(left_out).encode("utf-8", "replace")[:_TEXT]
    return _MARKS.pack(MARKS, min(marked, 0xFFFF), min(len(left_out), 0xFFFF)) + text


def read_marks(data: bytes) -> tuple[int, int, list[str]]:
    """``(marked, left out, the names of those left out as far as they fit)``."""
    _, marked, left_out = _unpack(_MARKS, data, MARKS)
    text = data[_MARKS.size :].decode("utf-8", "replace")
    return marked, left_out, text.split("\n") if text else []


def failed(number: int, text: str) -> bytes:
    """The gate ends: an error number (0 for none) and words."""
    return _FAILED.pack(FAILED, number) + text.encode("utf-8", "replace")[:_TEXT]


def read_failed(data: bytes) -> tuple[int, str]:
    _, number = _unpack(_FAILED, data, FAILED)
    return number, data[_FAILED.size :].decode("utf-8", "replace")


def _unpack(layout: struct.Struct, data: bytes, expected: int) -> tuple[int, ...]:
    if len(data) < layout.size or data[0] != expected:
        raise Malformed(f"{len(data)} bytes of kind {data[0] if data else None}")
    return layout.unpack_from(data)


def _whole(layout: struct.Struct, data: bytes, expected: int) -> tuple[int, ...]:
    if len(data) != layout.size:
        raise Malformed(f"{len(data)} bytes instead of {layout.size}")
    return _unpack(layout, data, expected)
