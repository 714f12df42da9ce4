"""Where an open file truly lies, by the kernel's word, and whether looking at it may take long.

The path the kernel gives for a descriptor (/proc/self/fd/N, /proc/PID/exe) is that of the file's own mount namespace.
A child can make a namespace, put a game at ``/usr/bin/chess`` in it, and start it from outside through
``/proc/PID/root/usr/bin/chess``; the link then reads ``/usr/bin/chess`` in a process of our own namespace.  So a path only
counts when the file's mount (``mnt_id`` of its fdinfo) is one of ours, or is bound from one of ours: mountinfo(5) names the
device and the folder inside it that a mount shows, which leads back to our own name for the same file (Flatpak, Snap).

Some files are served by a process: FUSE, and file systems across a network.  Asking about those can take for ever, so they
are told apart here, without asking them, from the mount table.
"""

from __future__ import annotations

import enum
import os
import re
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import procfs

DELETED = " (deleted)"
_LIMIT = 1 << 20
"""Bytes of another namespace's mount table that are read: some ten thousand mounts."""

_LOCAL = frozenset({
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "jfs", "nilfs2", "reiserfs", "tmpfs", "ramfs",
    "rootfs", "overlay", "squashfs", "erofs", "iso9660", "udf", "vfat", "msdos", "exfat", "ntfs3", "devtmpfs", "proc",
    "hfsplus",
})  # fmt: skip
_OWN_MEMORY = frozenset({"tmpfs", "ramfs"})
_OCTAL = re.compile(r"\\([0-7]{3})")
_SYSTEM = re.compile(r"^/(usr|bin|sbin|lib[^/]*|etc|opt|snap|var/lib)?(/|$)")
"""Where programs, their libraries and the loader's settings are; a mount elsewhere changes no program."""
_SERVED_BY = re.compile(r"(?:^|,)user_id=(\d+)(?:,|$)")


class Pace(enum.Enum):
    """What looking at a file costs."""

    QUICK = "quick"
    """A local file system of the kernel's own."""
    SLOW = "slow"
    """Across a network, or served by a process of root: in a thread only."""
    NEVER = "never"
    """Served by somebody's process, or by something this namespace does not know: not to be waited for."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo(5)."""

    id: int
    device: str
    root: str
    point: str
    kind: str
    options: str

    @property
    def pace(self) -> Pace:
        if self.kind in _LOCAL or self.point == "/":
            return Pace.QUICK
        if self.kind == "fuse" or self.kind.startswith("fuse."):
            served = _SERVED_BY.search(self.options)
            return Pace.SLOW if served and served.group(1) == "0" else Pace.NEVER
        return Pace.SLOW


@dataclass(frozen=True, slots=True)
class Spot:
    """A file's path, whether this service's own namespace leads there by it, and what looking at it costs."""

    path: str
    sure: bool
    pace: Pace
    device: str = ""
    """``major:minor`` of its mount; empty when no mount table that could be read has it."""
    gone: bool = False
    """Unlinked: the path is the one that it had."""


class Mounts:
    """The mount table of this process, read anew when the kernel says that it changed."""

    def __init__(self) -> None:
        self._file = -1
        self._poll = select.poll()
        self._own: dict[int, Mount] = {}
        self._points: dict[str, Mount] = {}

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._own, self._points = {}, {}

    def spot(self, fd: int, pid: int = 0) -> Spot | None:
        """Where the open file lies; ``pid`` is a process that may know its mount.  ``None`` when ``fd`` is no file.

        Neither opens nor looks at anything by path, unless the mount of another namespace leads back to one of ours.
        """
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return None
        if not link.startswith("/"):
            return None  # a pipe or a socket
        number = _mount_id(fd)
        self._refresh()
        gone = link.endswith(DELETED)
        path = link.removesuffix(DELETED) if gone else link
        mount = self._own.get(number)
        if mount is not None:
            # What is mounted over is still open to those who were there before; its path leads elsewhere now.
            return Spot(path, self._governing(path) is mount, mount.pace, mount.device, gone)
        other = _find(pid, number) if pid else None
        if other is None:
            return Spot(path, False, Pace.NEVER, gone=gone)
        found = None if gone else self._ours(other, path)
        if found is not None and _same_file(fd, found[1]):
            return Spot(found[1], True, found[0].pace, other.device)
        known = any(mount.device == other.device and mount.pace is Pace.QUICK for mount in self._own.values())
        pace = Pace.QUICK if other.kind in _OWN_MEMORY or known else Pace.NEVER
        return Spot(path, False, pace, other.device, gone)

    def faithful(self, pid: int, safe: Callable[[str], bool]) -> bool:
        """Whether the system's folders of another namespace, whose root is ours, show what ours do.

        ``safe`` is asked about our own path of each mount there that we do not have ourselves.
        """
        self._refresh()
        table = procfs.read(f"/proc/{pid}/mountinfo", _LIMIT)
        if not table or len(table) >= _LIMIT:
            return False
        here = {(mount.device, mount.root, mount.point) for mount in self._own.values()}
        for line in table.splitlines():
            mount = _parse(line)
            if mount is None:
                return False
            if (mount.device, mount.root, mount.point) in here or not _SYSTEM.match(mount.point):
                continue
            ours = self._ours(mount, mount.point)
            if ours is None or not safe(ours[1]):
                return False
        return True

    def governing(self, path: str) -> Mount | None:
        """The mount that an absolute, symlink-free ``path`` leads into."""
        self._refresh()
        return self._governing(path)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _governing(self, path: str) -> Mount | None:
        while True:
            found = self._points.get(path or "/")
            if found is not None or path in ("", "/"):
                return found
            path = path.rpartition("/")[0]

    def _refresh(self) -> None:
        """One system call while nothing changed: proc_mountinfo answers poll(2) with POLLPRI after a change."""
        if self._file < 0:
            self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._file, select.POLLPRI)
        elif not self._poll.poll(0):
            return
        os.lseek(self._file, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self._file, 1 << 16):
            parts.append(part)
        mounts = [mount for line in b"".join(parts).splitlines() if (mount := _parse(line)) is not None]
        if not any(mount.point == "/" for mount in mounts):
            mounts.insert(0, _root())
        self._own = {mount.id: mount for mount in mounts}
        self._points = {mount.point: mount for mount in mounts}  # a later one lies over an earlier one

    def _ours(self, other: Mount, path: str) -> tuple[Mount, str] | None:
        """Our own path for ``path`` below another namespace's mount: what is bound shows the same device."""
        rest = _below(path, other.point)
        if rest is None:
            return None
        inside = other.root.rstrip("/") + rest
        for mount in self._own.values():
            if mount.device == other.device:
                tail = _below(inside, mount.root)
                if tail is not None:
                    here = mount.point.rstrip("/") + tail
                    if mount.pace is Pace.QUICK and self._governing(here) is mount:
                        return mount, here
        return None


def _mount_id(fd: int) -> int:
    _, found, rest = procfs.read_proc(f"/proc/self/fdinfo/{fd}").partition(b"mnt_id:")
    return int(rest.split(None, 1)[0]) if found else -1


def _root() -> Mount:
    """The mount under ``/`` where the table does not list it: after chroot(2) into a folder that is no mount point."""
    fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        device = os.fstat(fd).st_dev
        # Which folder of its device it shows is not told, so nothing of another namespace leads back to it.
        return Mount(_mount_id(fd), f"{os.major(device)}:{os.minor(device)}", "?", "/", "", "")
    finally:
        os.close(fd)


def _find(pid: int, number: int) -> Mount | None:
    start = f"{number} ".encode()
    for line in procfs.read(f"/proc/{pid}/mountinfo", _LIMIT).splitlines():
        if line.startswith(start):
            return _parse(line)
    return None


def _parse(raw: bytes) -> Mount | None:
    left, separator, right = os.fsdecode(raw).partition(" - ")
    words, tail = left.split(" "), right.split(" ")
    if not separator or len(words) < 6 or len(tail) < 3:
        return None
    return Mount(int(words[0]), words[2], _plain(words[3]), _plain(words[4]), tail[0], tail[2])


def _plain(text: str) -> str:
    """seq_path writes space, tab, newline and backslash as three octal digits."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text) if "\\" in text else text


def _below(path: str, folder: str) -> str | None:
    """What follows ``folder`` in ``path``, with its slash; ``None`` when it does not lie there."""
    if folder == "/":
        return path
    rest = path.removeprefix(folder)
    return rest if (rest != path and rest.startswith("/")) or path == folder else None


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except (OSError, ValueError):
        return False
