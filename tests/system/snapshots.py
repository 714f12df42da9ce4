"""What lies on a disk, looked at before and after: who was there must find everything as it was."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Collection
from pathlib import Path

Entry = tuple[str, int, int, int, bytes, str]


class Snapshots:
    """Looks at one disk, again and again: a file is read once for each time that the kernel says it has changed.

    Nobody can set a file's time of change (stat(2), ctime); one that is younger than ``FRESH`` may change again within it.
    """

    FRESH = 2.0

    def __init__(self, root: Path, tops: Collection[str] = ("",), left: Collection[str] = ()) -> None:
        """``tops`` are the folders below ``root`` that are looked into, with a slash each; ``left`` are paths left out, folders
        with all that is in them."""
        self._root = root
        self._tops = tuple(tops)
        self._left = frozenset(left)
        self._read: dict[tuple[int, int, int, int], str] = {}
        """Digests by inode, size, times of writing and of change."""

    def take(self) -> dict[str, Entry]:
        """Everything by its path below ``root``: kind, rights, owners, ACL, content."""
        found: dict[str, Entry] = {}
        waiting = list(self._tops)
        while waiting:
            base = waiting.pop()
            with os.scandir(self._root / base) as entries:
                for entry in entries:
                    name = base + entry.name
                    if name in self._left or f"{name}/" in self._left:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    found[name] = self._entry(entry)
        return found

    def _entry(self, entry: os.DirEntry[str]) -> Entry:
        info = entry.stat(follow_symlinks=False)
        kind, content, closed = stat.S_IFMT(info.st_mode), "", b""
        if stat.S_ISLNK(info.st_mode):
            content = os.readlink(entry.path)
        else:
            if stat.S_ISREG(info.st_mode):
                content = self._content(entry.path, info)
            if "system.posix_acl_access" in os.listxattr(entry.path):
                closed = os.getxattr(entry.path, "system.posix_acl_access")
        return (str(kind), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, closed, content)

    def _content(self, path: str, info: os.stat_result) -> str:
        key = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = self._read.get(key)
        if known is None:
            known = _hash(path)
            if time.time() - info.st_ctime > self.FRESH:
                self._read[key] = known
        return known


def differences(before: dict[str, Entry], after: dict[str, Entry]) -> list[str]:
    """Lines that say what differs."""
    gone = [f"gone: {name}" for name in before.keys() - after.keys()]
    new = [f"new: {name}" for name in after.keys() - before.keys()]
    other = [
        f"other: {name}: {before[name]} {after[name]}"
        for name in before.keys() & after.keys()
        if before[name] != after[name]
    ]
    return sorted([*gone, *new, *other])


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()  # twice as fast as SHA-256 without its instructions
