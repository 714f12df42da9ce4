"""Which AppImage a program comes from: the file that serves the mount it lies on.

An AppImage of type 2 mounts itself: its runtime becomes a FUSE server, whose executable is the image, and starts what is inside
from a folder ``.mount_`` of the image's name and random letters.  ``$APPIMAGE`` is the account's own word for it; the kernel's is
which process has the connection of that mount open (fdinfo of /dev/fuse, since Linux 6.17).  Older kernels do not tell, so there it
must be the only one that serves anything for the account.  Images that were unpacked, and those of type 1, are ordinary files.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Person

INSIDE = re.compile(r"/\.mount_[^/]+/")
_DEVICE = "/dev/fuse"
_CONNECTION = re.compile(rb"^fuse_connection:\s*(\d+)", re.MULTILINE)
_MOST_FILES = 256
"""Descriptors of one process that are looked through; a runtime has a dozen."""


def server(device: str, person: Person) -> int | None:
    """The process of the account's that serves the mount of this ``major:minor``; ``None`` when that is not certain.

    One that is being traced may serve anything: it is nobody's.
    """
    number = device.partition(":")[2]
    silent = []
    for pid in _processes(person):
        for connection in _connections(pid):
            if connection == number:
                return None if _traced(pid) else pid
            if not connection:
                silent.append(pid)
    return silent[0] if len(set(silent)) == 1 and not _traced(silent[0]) else None


def _processes(person: Person) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            uid = procfs.owner(int(name))
            if uid is not None and person.owns(uid):
                yield int(name)


def _connections(pid: int) -> Iterator[str]:
    """The connections that a process serves: their numbers, empty where the kernel does not tell."""
    try:
        files = os.listdir(f"/proc/{pid}/fd")[:_MOST_FILES]
    except OSError:
        return
    for file in files:
        try:
            if os.readlink(f"/proc/{pid}/fd/{file}") != _DEVICE:
                continue
        except OSError:
            continue
        found = _CONNECTION.search(procfs.read_proc(f"/proc/{pid}/fdinfo/{file}"))
        yield found.group(1).decode() if found else ""


def _traced(pid: int) -> bool:
    """A process that cannot be asked counts as traced."""
    _, found, rest = procfs.read(f"/proc/{pid}/status", 65_536).partition(b"TracerPid:")
    return not found or rest.split(None, 1)[0] != b"0"
