"""What the gate knows without asking: whose uid belongs to a child, and which files are settled.  Pure.

Only permissions are remembered, never refusals: a refused program is asked about each time, so that a new permission works
at once, and a forgotten one costs a question, never a hole.
"""

from __future__ import annotations

from _collections_abc import Iterable  # collections.abc, without the half megabyte around it
from bisect import bisect_right

REMEMBERED = 4096
"""Settled files at most (twice this while the older half fades); a desktop session runs a few hundred programs."""

Key = tuple[int, int, int, int]
"""``(device, inode, ctime in ns, class)``: writing to a file changes its ctime, and only the kernel sets that."""

File = tuple[int, int, int]
"""A key without its class."""

Row = tuple[int, int, int, int]
"""``(first uid, last uid, class, verdict when nobody can be asked)``."""


class Table:
    """Uid ranges and settled files."""

    __slots__ = ("_exact", "_firsts", "_for_good", "_fresh", "_ranges", "_stale", "defaults")

    def __init__(self) -> None:
        self._exact: dict[int, int] = {}
        self._firsts: list[int] = []
        self._ranges: list[tuple[int, int]] = []
        self.defaults: dict[int, int] = {}
        """Class → verdict when nobody can be asked in time."""
        self._fresh: set[Key] = set()
        self._stale: set[Key] = set()
        self._for_good: dict[File, set[int]] = {}
        """Files → classes for which nothing about them is worth knowing."""

    def classify(self, rows: Iterable[Row]) -> None:
        """Replace the uid ranges, and forget what was settled under the old ones."""
        rows = list(rows)
        self._exact = {first: number for first, last, number, _ in rows if first == last}
        ranges = sorted((first, last, number) for first, last, number, _ in rows if first != last)
        self._firsts = [first for first, _, _ in ranges]
        self._ranges = [(last, number) for _, last, number in ranges]
        self.defaults = {number: verdict for _, _, number, verdict in rows}
        self.flush()

    def class_of(self, uid: int) -> int | None:
        """The class of a uid; ``None`` for everybody who is no child.  An account's own uid goes before its ranges."""
        found = self._exact.get(uid)
        if found is not None or not self._firsts:
            return found
        at = bisect_right(self._firsts, uid) - 1
        if at >= 0 and uid <= self._ranges[at][0]:
            return self._ranges[at][1]
        return None

    def settled(self, key: Key) -> bool:
        return key in self._fresh or key in self._stale

    def settle(self, key: Key) -> None:
        """Remember a permission.  When the fresh half is full, the older half is dropped: constant time, bounded."""
        if len(self._fresh) >= REMEMBERED:
            self._stale = self._fresh
            self._fresh = set()
        self._fresh.add(key)

    def settle_for_good(self, key: Key) -> bool:
        """``settle``, and nobody need be told of its starts either; True when this now holds for every class."""
        self.settle(key)
        if len(self._for_good) >= REMEMBERED:
            self._for_good.clear()
        classes = self._for_good.setdefault(key[:3], set())
        classes.add(key[3])
        return len(classes) == len(self.defaults)

    def flush(self) -> None:
        """Forget everything that was settled; the next start of each is a question."""
        self._fresh = set()
        self._stale = set()
        self._for_good = {}

    def __len__(self) -> int:
        return len(self._fresh) + len(self._stale)
