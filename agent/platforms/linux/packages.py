"""Which package owns a program, and whether its content still is what the package brought.

Being listed by a package says what *should* be at a path.  So each program's content is compared once with the checksum that
the package manager noted when it unpacked it, and remembered by (device, inode, ctime, size): an upgrade changes the file and
the note together, a tampering changes the file alone.  ``verify`` reads the whole file, so it belongs in a thread for all but
small ones; until it is done the program counts as its package's, for a protected file was put there by root.
"""

from __future__ import annotations

import enum
import hashlib
import os
import sys
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux.debs import Debs
from agent.platforms.linux.hashes import Fingerprint, fingerprint
from agent.platforms.linux.rpms import Rpms

_REMEMBERED = 4096
_NAMED = 50
"""Changed files that findings name; more are counted by nobody, one is reason enough."""
_CHUNK = 1 << 18


class Database(Protocol):
    """What ``debs`` and ``rpms`` know."""

    kind: str
    quick: bool
    """Whether ``recorded`` takes no longer than reading a file."""
    exists: bool

    @property
    def ready(self) -> bool: ...
    def version(self) -> tuple[int, ...] | None: ...
    def stale(self) -> bool: ...
    def build(self) -> None: ...
    def owner(self, path: str) -> str: ...
    def recorded(self, path: str, package: str) -> tuple[str, str] | None: ...
    def busy(self) -> bool: ...


class Content(enum.Enum):
    """What is known of a packaged file's content."""

    PENDING = "pending"
    INTACT = "intact"
    CHANGED = "changed"
    UNRECORDED = "unrecorded"
    """The package manager noted no checksum, so nothing answers for it."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A path's package: ``name`` without architecture, ``listing`` as its database spells it."""

    database: Database
    listing: str

    @property
    def id(self) -> str:
        """``deb:mousepad``, ``rpm:…``"""
        return f"{self.database.kind}:{self.listing.partition(':')[0]}"


class Packages:
    """The package managers of this machine."""

    def __init__(self, databases: tuple[Database, ...] | None = None) -> None:
        found = (Debs(), Rpms()) if databases is None else databases
        self._databases = tuple(database for database in found if database.exists)
        self._seen: OrderedDict[tuple[Fingerprint, str], tuple[Content, tuple[int, ...] | None]] = OrderedDict()
        self._changed: dict[str, tuple[Fingerprint, str]] = {}
        self._unrecorded: set[str] = set()
        self._lock = Lock()

    @property
    def ready(self) -> bool:
        return all(database.ready for database in self._databases)

    def stale(self) -> bool:
        """Whether a package manager wrote its database since it was read (a system call each)."""
        return any(database.stale() for database in self._databases)

    def build(self) -> None:
        """Read what is new; for a thread."""
        for database in self._databases:
            if database.stale():
                database.build()

    def owner(self, path: str) -> Owned | None:
        """The package that ships the absolute ``path``; ``None`` for none, or before the first ``build``."""
        for database in self._databases:
            listing = database.owner(path) if database.ready else ""
            if listing:
                return Owned(database, listing)
        return None

    def content(self, file: str | int, owned: Owned) -> Content:
        """What ``verify`` found for this very content; one system call."""
        try:
            key = (fingerprint(os.stat(file)), owned.id)
        except (OSError, ValueError):
            return Content.PENDING
        found = self._seen.get(key)
        if found is None:
            return Content.PENDING
        content, version = found
        # What did not match may match after an upgrade has been written down.
        return content if content is Content.INTACT or version == owned.database.version() else Content.PENDING

    def verify(self, fd: int, path: str, owned: Owned) -> Content:
        """Compare an open file with what its package brought; reads it whole, up to seconds.  Any thread."""
        try:
            return self._verify(fd, path, owned)
        except OSError:
            return Content.PENDING  # the disk failed, or the note was being written: asked again at the next start

    def _verify(self, fd: int, path: str, owned: Owned) -> Content:
        before = fingerprint(os.fstat(fd))
        version = owned.database.version()
        noted = owned.database.recorded(path, owned.listing)
        content = Content.UNRECORDED if noted is None else Content.CHANGED
        if noted is not None:
            found = _digest(fd, noted[0])
            if found == noted[1]:
                content = Content.INTACT
            elif fingerprint(os.fstat(fd)) != before:
                return Content.PENDING  # written to while it was read
        if content is not Content.INTACT and (owned.database.busy() or owned.database.version() != version):
            return Content.PENDING  # in the middle of an upgrade: asked again when it is written down
        with self._lock:
            self._seen[before, owned.id] = (content, version)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            if content is Content.UNRECORDED and len(self._unrecorded) < _NAMED:
                self._unrecorded.add(owned.id)
            if content is Content.CHANGED and len(self._changed) < _NAMED:
                self._changed[path] = (before, owned.id)
            elif content is Content.INTACT:
                self._changed.pop(path, None)
        return content

    def unrecorded(self) -> frozenset[str]:
        """Packages of programs seen, of which no checksum is noted."""
        return frozenset(self._unrecorded)

    def changed(self) -> dict[str, str]:
        """Programs seen whose content is not their package's: path → package.  Those replaced since are left out."""
        found = {}
        for path, (known, package) in list(self._changed.items()):
            try:
                if fingerprint(os.stat(path, follow_symlinks=False)) == known:
                    found[path] = package
            except OSError:
                continue  # it is gone
        return found


def _digest(fd: int, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    at = 0
    while chunk := os.pread(fd, _CHUNK, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
