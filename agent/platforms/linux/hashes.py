"""SHA-256 of program files, remembered while the file stays the same."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import OrderedDict
from threading import Lock

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

LIMIT = 512 << 20
"""Bytes beyond which a file is not hashed: reading it would take seconds, and no sane program is that large."""
_REMEMBERED = 4096
_CHUNK = 1 << 18

Fingerprint = tuple[int, int, int, int]
"""``(device, inode, ctime in ns, size)``: writing to a file changes its ctime, and nobody but root can set that."""


class Hashes:
    """``of`` may be called from a thread; ``known`` costs one system call."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._seen: OrderedDict[Fingerprint, str] = OrderedDict()
        self._lock = Lock()

    def known(self, path: str | int) -> str:
        """The hash if the present content was read before, else empty.  ``path`` may be a /proc link or a descriptor."""
        try:
            return self._seen.get(fingerprint(os.stat(path)), "")
        except (OSError, ValueError):
            return ""

    def of(self, path: str) -> str:
        """The hash of a regular file in lower-case hexadecimal; empty when it cannot be read or is over the limit."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            return ""
        try:
            return self.of_open(fd)
        finally:
            os.close(fd)

    def of_open(self, fd: int) -> str:
        """The same for an open file, which stays readable when its process is gone."""
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode) or before.st_size > self._limit:
            return ""
        key = fingerprint(before)
        found = self._seen.get(key)
        if found is not None:
            return found
        digest = hashlib.sha256()
        left = self._limit
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            while left > 0 and (chunk := os.read(fd, min(_CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
            if fingerprint(os.fstat(fd)) != key:
                return ""  # written to while it was read: neither the old nor the new content
        except OSError:
            return ""
        with self._lock:
            self._seen[key] = digest.hexdigest()
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return digest.hexdigest()


def fingerprint(found: os.stat_result) -> Fingerprint:
    return (found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size)
