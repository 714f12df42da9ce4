"""Keeps the gate's marks where programs can be, as file systems come and go.

Looking up a mount point may wait for a disk, so this runs in a thread of its own and never while holding what the decider
needs.  The kernel tells of every change: a mountinfo file is readable with POLLPRI then (proc_pid_mountinfo(5)).
"""

from __future__ import annotations

import os
import select
import sys
from _collections_abc import Callable  # collections.abc, without the half megabyte around it
from time import sleep

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.gate is for Linux")

from agent.gate import fanotify, mounts

PAUSE = 0.1
"""Seconds between two looks at least, however often something is mounted."""
_MOST = 4 << 20
"""Bytes of mountinfo that are read: some ten thousand mounts."""


class View:
    """One mount namespace, as its /proc/PID/mountinfo shows it; ``root`` leads to its files."""

    __slots__ = ("fd", "root")

    def __init__(self, pid: str, root: str) -> None:
        self.fd = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self.root = root

    def read(self) -> list[mounts.Mount]:
        os.lseek(self.fd, 0, os.SEEK_SET)
        parts = []
        left = _MOST
        while left > 0 and (part := os.read(self.fd, min(left, 65_536))):
            parts.append(part)
            left -= len(part)
        return mounts.parse(b"".join(parts))


class Marker:
    """Marks ``group``; ``report(marked, left out)`` is called after each look that changed anything."""

    def __init__(self, group: int, only: list[str], report: Callable[[int, list[str]], None]) -> None:
        self._group = group
        self._only = only
        self._report = report
        self._views = _views(only)
        self._reported: tuple[int, list[str]] | None = None

    def run(self) -> None:
        """Look, report and wait, for ever."""
        poll = select.poll()
        for view in self._views:
            poll.register(view.fd, select.POLLPRI | select.POLLERR)
        while True:
            self.look()
            poll.poll()
            sleep(PAUSE)

    def look(self) -> None:
        """Mark what is mounted now; what is marked already stays so."""
        on_device = mounts.on_devices(_read("/proc/filesystems"))
        marked: set[str] = set()
        left_out: set[str] = set()
        for view in self._views:
            todo, served = mounts.plan(view.read(), on_device, self._only)
            left_out.update(f"{mount.kind} {mount.point}" for mount in served)
            for how, candidates in todo:
                what = fanotify.FILESYSTEM if how == mounts.WHOLE else fanotify.MOUNT
                if any(self._mark(view, what, mount) for mount in reversed(candidates)):
                    marked.add(candidates[0].device)
                elif candidates[0].device not in marked:
                    left_out.add(f"{candidates[0].kind} {candidates[0].point}")
        found = (len(marked), sorted(left_out))
        if found != self._reported:
            self._reported = found
            self._report(*found)

    def _mark(self, view: View, what: int, mount: mounts.Mount) -> bool:
        """Mark by this mount; False when it is gone, or hidden below another one."""
        try:
            fd = os.open(f"{view.root}{mount.point}", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            if b"mnt_id:\t%d\n" % mount.id not in _read(f"/proc/self/fdinfo/{fd}"):
                return False
            fanotify.mark(self._group, what, f"/proc/self/fd/{fd}")
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def _views(only: list[str]) -> list[View]:
    """Our own namespace, and that of the first process when a sandbox gave us another one: it may hide mounts from us."""
    views = [View("self", "")]
    try:
        if not only and os.readlink("/proc/1/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
            views.append(View("1", "/proc/1/root"))
    except OSError:
        return views  # not ours to look at; our own view is then all there is
    return views


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65_536)
    finally:
        os.close(fd)
