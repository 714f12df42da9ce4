"""The database of dpkg: who owns a file, and what its content was when it was installed.

``dpkg-query -S`` takes tens of milliseconds; a start event has less than one.  So the lists in /var/lib/dpkg/info are read
once, in a thread, and again when dpkg has changed something.  /var/lib/dpkg/diversions moves files aside: what a package
lists as /usr/bin/x is then found elsewhere, and /usr/bin/x is the diverting package's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.platforms.linux.fileindex import FileIndex
from agent.platforms.linux.locks import locked
from agent.platforms.linux.procfs import read

_DATABASE = Path("/var/lib/dpkg")
_SUMS_LIMIT = 32 << 20
"""Bytes of one package's list of checksums; the longest of Debian 12 has 5 MiB."""

Version = tuple[int, int]


class Debs:
    """``kind`` and the methods are those of every package database (see ``packages``)."""

    kind = "deb"
    quick = True

    def __init__(self, database: Path = _DATABASE) -> None:
        self._info = database / "info"
        self._status = database / "status"
        self._lock = database / "lock"
        self._diversions = database / "diversions"
        self._merged = database != _DATABASE or os.path.islink("/bin")
        self._index = FileIndex()
        self._moved: dict[bytes, tuple[bytes, str]] = {}
        self._taken: dict[bytes, str] = {}
        self._version: Version | None = None
        self.exists = self._status.exists()

    @property
    def ready(self) -> bool:
        return self._version is not None

    def version(self) -> Version | None:
        """Another value after each change that dpkg has finished (one system call)."""
        try:
            found = os.stat(self._status)
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino)

    def stale(self) -> bool:
        return self.version() != self._version

    def build(self) -> None:
        """Read every list; about 0.2 s of processor time for 1,500 packages."""
        version = self.version()
        index = FileIndex()
        for entry in sorted(os.listdir(self._info)) if self._info.is_dir() else []:
            if entry.endswith(".list"):
                number = index.package(entry.removesuffix(".list"))
                if number is None:
                    break
                for line in _lines(self._info / entry):
                    index.add(number, line)
        index.sort()
        moved, taken = {}, {}
        rows = list(_lines(self._diversions))
        for at, to, package in zip(rows[0::3], rows[1::3], rows[2::3], strict=False):
            moved[to] = (at, os.fsdecode(package))
            taken[at] = os.fsdecode(package)
        self._index, self._moved, self._taken, self._version = index, moved, taken, version

    def owner(self, path: str) -> str:
        """The package that ships the absolute ``path``, as dpkg names its files (``libc6:amd64``); empty for none."""
        for spelt in self._spellings(os.fsencode(path)):
            shipped, by = self._moved.get(spelt, (spelt, ""))
            diverting = self._taken.get(spelt)
            for name in self._index.find(shipped):
                bare = name.partition(":")[0]
                if bare != by and (diverting is None or bare == diverting):
                    return name
        return ""

    def recorded(self, path: str, package: str) -> tuple[str, str] | None:
        """Algorithm and digest of the file as it was unpacked; ``None`` when dpkg noted none.  For a thread."""
        wanted = set()
        for spelt in self._spellings(os.fsencode(path)):
            wanted.add(self._moved.get(spelt, (spelt, ""))[0].removeprefix(b"/"))
        for line in read(str(self._info / f"{package}.md5sums"), _SUMS_LIMIT).splitlines():
            digest, _, name = line.partition(b"  ")
            if name in wanted and len(digest) == 32:
                return "md5", os.fsdecode(digest)
        return None

    def busy(self) -> bool:
        """Whether dpkg is at work now (it holds a lock on a file that only root can open): files then are newer than what is
        noted of them."""
        return locked(self._lock)

    def _spellings(self, raw: bytes) -> Iterator[bytes]:
        """With a merged /usr, a list may say /bin/x for what is really /usr/bin/x."""
        yield raw
        if self._merged and raw.startswith(b"/usr/"):
            yield raw[4:]


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")
    except OSError:
        # Removed while we read: dpkg is at work, the index is stale then and built again.
        return
