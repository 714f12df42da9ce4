"""Which mounts the gate watches, decided from the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)).  Pure.

A file system is marked as a whole, so that bind mounts and other mount namespaces are covered too.  Two exceptions:

* One that is served by somebody's process or by another machine is left out: when it stalls, whoever asks it stalls, and
  nothing may stall the gate.  Programs there are judged right after their start.
* One of which only a part is mounted here (a container on a folder of its host's disk) belongs to somebody else: only our
  mounts of it are marked.
"""

from __future__ import annotations

import re
from _collections_abc import Collection, Iterable  # collections.abc, without the half megabyte around it

WHOLE, MOUNT = "whole", "mount"

_LOCAL = frozenset(
    {"tmpfs", "ramfs", "rootfs", "devtmpfs", "overlay", "aufs", "zfs", "btrfs", "ubifs", "jffs2", "ecryptfs"}
)
"""Without a block device in /proc/filesystems, and yet nobody's service."""
_SERVED = re.compile(
    r"^(fuse.*|nfs\d?|cifs|smb\d?|smbfs|9p|virtiofs|ceph|afs|coda|lustre|gfs2|ocfs2|vboxsf|prl_fs|davfs)$"
)
_WITHOUT_PROGRAMS = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "pstore", "bpf",
    "configfs", "fusectl", "hugetlbfs", "binfmt_misc", "autofs", "efivarfs", "nsfs", "rpc_pipefs", "nfsd", "selinuxfs",
    "smackfs", "resctrl", "sockfs", "pipefs",
})  # fmt: skip


class Mount:
    """One line of mountinfo."""

    __slots__ = ("device", "id", "kind", "options", "parent", "point", "root")

    def __init__(self, number: int, parent: int, device: str, root: str, point: str, kind: str, options: str) -> None:
        self.id = number
        self.parent = parent
        self.device = device
        self.root = root
        self.point = point
        self.kind = kind
        self.options = options

    @property
    def whole(self) -> bool:
        """Everything of the file system is below this mount, as far as the owner of this machine is concerned."""
        return self.root == "/" or (self.kind == "btrfs" and f"subvol={self.root}" in self.options.split(","))


def parse(text: bytes) -> list[Mount]:
    """The mounts of a mountinfo file; lines that make no sense are left out."""
    found = []
    for line in text.splitlines():
        words = line.split(b" ")
        try:
            dash = words.index(b"-", 6)
            number, parent = int(words[0]), int(words[1])
            kind, options = words[dash + 1], words[dash + 3]
        except (ValueError, IndexError):
            continue
        found.append(
            Mount(number, parent, words[2].decode("ascii", "replace"), _plain(words[3]), _plain(words[4]),
                  kind.decode("ascii", "replace"), options.decode("utf-8", "surrogateescape"))
        )  # fmt: skip
    return found


def on_devices(text: bytes) -> frozenset[str]:
    """The types of /proc/filesystems that need a block device."""
    lines = text.decode("ascii", "replace").splitlines()
    return frozenset(line.strip() for line in lines if line and not line.startswith("nodev")) - {"fuseblk"}


def plan(
    mounts: Iterable[Mount], on_device: Collection[str], only: Collection[str] = ()
) -> tuple[list[tuple[str, list[Mount]]], list[Mount]]:
    """What to mark, and what is left out though it may hold programs.

    Each entry to mark is ``(WHOLE, mounts of which any one will do)`` or ``(MOUNT, [the mount])``.  ``only`` limits it to
    mounts at or below these places.
    """
    by_device: dict[str, list[Mount]] = {}
    left_out: dict[tuple[str, str], Mount] = {}
    for mount in mounts:
        if mount.kind in _WITHOUT_PROGRAMS or not _inside(mount.point, only):
            continue
        if _SERVED.match(mount.kind) or not (mount.kind in on_device or mount.kind in _LOCAL):
            left_out.setdefault((mount.device, mount.kind), mount)
        else:
            by_device.setdefault(mount.device, []).append(mount)
    todo: list[tuple[str, list[Mount]]] = []
    for same in by_device.values():
        if any(mount.whole for mount in same):
            todo.append((WHOLE, same))
        else:
            todo.extend((MOUNT, [mount]) for mount in same)
    return todo, list(left_out.values())


def _inside(point: str, only: Collection[str]) -> bool:
    return not only or any(point == place or point.startswith(f"{place}/") for place in only)


def _plain(word: bytes) -> str:
    r"""A path without the octal escapes of space, tab, newline and backslash."""
    word = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8) & 0xFF]), word)
    return word.decode("utf-8", "surrogateescape")
