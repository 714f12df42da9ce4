"""All processes of the PC from one call: NtQuerySystemInformation, class SystemProcessInformation (winternl.h).

Documented by Microsoft with the fields used here; psutil and the Task Manager live on it, too.  One call and one walk through a
buffer are a tenth of what opening each process would cost.  ``entries`` is pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SIZES = struct.Struct("<II")
_NAME = struct.Struct("<HHxxxxQ")
_WHO = struct.Struct("<QQII")
_TIMES = struct.Struct("<qqq")
_CREATED_AT, _NAME_AT, _WHO_AT, _THREADS_AT = 32, 56, 80, 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One process.  ``created`` is a FILETIME: 100 ns since 1601; with the pid it is the key."""

    pid: int
    created: int
    parent: int
    """Pid of the process that started it, which may be gone, and its pid used again."""
    session: int
    name: str
    """File name of its image, as it was when it started."""
    spent: int = 0
    """Processor time, in 100 ns."""

    @property
    def key(self) -> tuple[int, int]:
        return (self.pid, self.created)


def entries(data: bytes | memoryview, address: int) -> Iterator[Entry]:
    """Read a buffer as a 64-bit Windows fills it; ``address`` is where it was filled, for the names that it points to."""
    for at in _places(data):
        _, threads = _SIZES.unpack_from(data, at)
        if not threads:
            continue  # it has ended, and somebody still has a handle
        created, user, kernel = _TIMES.unpack_from(data, at + _CREATED_AT)
        length, _, pointer = _NAME.unpack_from(data, at + _NAME_AT)
        pid, parent, _, session = _WHO.unpack_from(data, at + _WHO_AT)
        start = pointer - address
        inside = pointer and 0 <= start <= len(data) - length
        name = bytes(data[start : start + length]).decode("utf-16-le", "replace") if inside else ""
        yield Entry(pid, created, parent, session, name, user + kernel)


def tree(entries: Iterable[Entry], roots: set[tuple[int, int]]) -> dict[tuple[int, int], Entry]:
    """Who descends from ``roots``, with them.  A parent's pid may be used again: a child is never older than its parent."""
    by_parent: dict[int, list[Entry]] = {}
    found: dict[tuple[int, int], Entry] = {}
    queue: list[Entry] = []
    for entry in entries:
        by_parent.setdefault(entry.parent, []).append(entry)
        if entry.key in roots:
            found[entry.key] = entry
            queue.append(entry)
    while queue:
        parent = queue.pop()
        for entry in by_parent.get(parent.pid, ()):
            if entry.key not in found and entry.created >= parent.created and entry.pid != parent.pid:
                found[entry.key] = entry
                queue.append(entry)
    return found


def _places(data: bytes | memoryview) -> Iterator[int]:
    at = 0
    while at + _THREADS_AT <= len(data):
        yield at
        (step, _) = _SIZES.unpack_from(data, at)
        if step < _THREADS_AT:
            return
        at += step
