"""Which Debian package owns a program.

``dpkg-query -S`` takes tens of milliseconds; a start event has less than one.  So the file lists in /var/lib/dpkg/info are
read once, in a thread, into a sorted array of 48-bit keyed hashes with a package number each (eight bytes a file, half a
megabyte on a desktop), and again when dpkg has changed something.  Until it is ready ``owner`` answers ``None``: unknown,
which is not the same as unowned.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

_INFO = Path("/var/lib/dpkg/info")
_STATUS = Path("/var/lib/dpkg/status")

_ROOTS = (b"/usr/", b"/bin/", b"/sbin/", b"/lib", b"/opt/")
_NEVER = (
    b"/usr/share/doc/", b"/usr/share/man/", b"/usr/share/locale/", b"/usr/share/icons/", b"/usr/share/info/",
    b"/usr/share/lintian/", b"/usr/share/fonts/", b"/usr/share/zoneinfo/", b"/usr/share/help/", b"/usr/include/",
    b"/usr/share/mime/", b"/usr/share/i18n/", b"/lib/modules/", b"/usr/lib/modules/", b"/lib/firmware/",
    b"/usr/lib/firmware/", b"/usr/src/",
)  # fmt: skip
_NEVER_END = (
    b".png", b".svg", b".h", b".hpp", b".html", b".gz", b".mo", b".ko", b".a", b".o", b".typelib", b".gir", b".xml",
    b".json", b".css", b".txt", b".md", b".qm", b".pyc", b".la", b".pc", b".vim", b".ttf", b".page", b".cmake",
)  # fmt: skip
_MASK = (1 << 48) - 1
_SHELVES = 256


class Packages:
    """The index of one dpkg database."""

    def __init__(self, info: Path = _INFO, status: Path = _STATUS) -> None:
        self._info = info
        self._status = status
        self._shelves: list[array[int]] = []
        self._names: list[str] = []
        self._version: tuple[int, int] | None = None
        self.exists = status.exists()
        """False where there is no dpkg: then no program has an owner."""

    def stale(self) -> bool:
        """Whether dpkg wrote its database since the index was built (one system call)."""
        return self.exists and self._read_version() != self._version

    @property
    def ready(self) -> bool:
        return self._version is not None or not self.exists

    def owner(self, path: str) -> str | None:
        """The package that ships the absolute ``path``, ``""`` when none does, ``None`` before the first ``build``."""
        if not self.exists:
            return ""
        if self._version is None:
            return None
        raw = os.fsencode(path)
        found = self._find(raw)
        # A merged /usr: the list may say /bin/x for what is really /usr/bin/x.
        if not found and raw.startswith(b"/usr/"):
            found = self._find(raw[4:])
        return found

    def build(self) -> None:
        """Read every list; about 0.2 s of processor time for 1,500 packages.  Meant for a thread."""
        version = self._read_version()
        names: list[str] = []
        shelves: list[array[int]] = [array("Q") for _ in range(_SHELVES)]
        for entry in sorted(os.listdir(self._info)) if self._info.is_dir() else []:
            if not entry.endswith(".list"):
                continue
            number = len(names) & 0xFFFF
            names.append(entry.removesuffix(".list").partition(":")[0])
            for line in _lines(self._info / entry):
                if line.startswith(_ROOTS) and not line.endswith(_NEVER_END) and not line.startswith(_NEVER):
                    key = hash(line) & _MASK
                    shelves[key % _SHELVES].append(key << 16 | number)
        # Sorted a shelf at a time: one list of every key would cost the service megabytes that it never gives back.
        self._shelves = [array("Q", sorted(shelf)) for shelf in shelves]
        self._names, self._version = names, version

    def _find(self, raw: bytes) -> str:
        key = hash(raw) & _MASK
        shelf = self._shelves[key % _SHELVES]
        at = bisect_left(shelf, key << 16)
        return self._names[shelf[at] & 0xFFFF] if at < len(shelf) and shelf[at] >> 16 == key else ""

    def _read_version(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._status)
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")
    except OSError:
        # Removed while we read: dpkg is at work, the index is stale then and built again.
        return
