"""Which package lists a path: a sorted array of 48-bit keyed hashes with a package number each, eight bytes a file.

The hash is Python's own, keyed anew in each process (SipHash), so nobody can choose a path that collides with another; by
chance two of 100,000 paths are mistaken for one another once in a billion machines.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

_ROOTS = (b"/usr/", b"/bin/", b"/sbin/", b"/lib", b"/opt/")
_NEVER = (
    b"/usr/share/doc/", b"/usr/share/man/", b"/usr/share/locale/", b"/usr/share/icons/", b"/usr/share/info/",
    b"/usr/share/lintian/", b"/usr/share/fonts/", b"/usr/share/zoneinfo/", b"/usr/share/help/", b"/usr/include/",
    b"/usr/share/mime/", b"/usr/share/i18n/", b"/lib/modules/", b"/usr/lib/modules/", b"/lib/firmware/",
    b"/usr/lib/firmware/", b"/usr/src/", b"/usr/lib/.build-id/",
)  # fmt: skip
_NEVER_END = (
    b".png", b".svg", b".h", b".hpp", b".html", b".gz", b".mo", b".ko", b".a", b".o", b".typelib", b".gir", b".xml",
    b".json", b".css", b".txt", b".md", b".qm", b".pyc", b".la", b".pc", b".vim", b".ttf", b".page", b".cmake",
)  # fmt: skip
_MASK = (1 << 48) - 1
_SHELVES = 256
_MOST = 1 << 16
"""Packages that have a number; a file of one more has no owner, which only ever makes matters stricter."""


class FileIndex:
    """Filled by one thread, then asked by others."""

    def __init__(self) -> None:
        # Sorted a shelf at a time: one list of every key would cost the service megabytes that it never gives back.
        self._shelves: list[array[int]] = [array("Q") for _ in range(_SHELVES)]
        self._names: list[str] = []

    def package(self, name: str) -> int | None:
        """A number for files that follow; ``None`` when there are too many packages."""
        if len(self._names) >= _MOST:
            return None
        self._names.append(name)
        return len(self._names) - 1

    def add(self, number: int, path: bytes) -> None:
        """``path`` belongs to the package of that number, if a program may live there."""
        if path.startswith(_ROOTS) and not path.endswith(_NEVER_END) and not path.startswith(_NEVER):
            key = hash(path) & _MASK
            self._shelves[key % _SHELVES].append(key << 16 | number)

    def sort(self) -> None:
        self._shelves = [array("Q", sorted(shelf)) for shelf in self._shelves]

    def find(self, path: bytes) -> Iterator[str]:
        """The packages that list ``path``; several when files are shared or diverted."""
        key = hash(path) & _MASK
        shelf = self._shelves[key % _SHELVES]
        at = bisect_left(shelf, key << 16)
        while at < len(shelf) and shelf[at] >> 16 == key:
            yield self._names[shelf[at] & 0xFFFF]
            at += 1
