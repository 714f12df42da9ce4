"""A frozen cgroup of root's for one program that must stand still, and for what that has started.

The place where a process came from is kept at its cgroup (``user.fairtime.origin``, xattr(7)), so that a service that was
killed and started again can put it back; and who holds it (``user.fairtime.holder``), so that a second one beside it, a
trial for instance, leaves it alone.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError
from agent.platforms.linux import procfs, signals

log = logging.getLogger(__name__)

ORIGIN = "user.fairtime.origin"
HOLDER = "user.fairtime.holder"
_NAME = re.compile(r"fairtime-held-(\d+)-(\d+)$")
_SLICE = re.compile(r"/user-(\d+)\.slice/")
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """``place`` is its folder in the tree of cgroup v2."""

    place: Path

    @classmethod
    def of(cls, root: Path, pid: int, started: int, uid: int) -> Cell:
        """That of a process of this account's, below the account's slice where there is one."""
        slice_ = root / "user.slice" / f"user-{uid}.slice"
        return cls((slice_ if slice_.is_dir() else root) / f"fairtime-held-{pid}-{started}")

    @classmethod
    def left(cls, root: Path) -> Iterator[Cell]:
        """Those that somebody made before."""
        for pattern in ("fairtime-held-*", "user.slice/user-*.slice/fairtime-held-*"):
            yield from (cls(place) for place in root.glob(pattern))

    @property
    def key(self) -> tuple[int, int] | None:
        """``(pid, started)`` of its process, by its name."""
        match = _NAME.search(self.place.name)
        return (int(match[1]), int(match[2])) if match is not None else None

    @property
    def owner(self) -> int | None:
        """The uid in whose slice it lies."""
        match = _SLICE.search(str(self.place))
        return int(match[1]) if match is not None else None

    def holds(self, pid: int) -> bool:
        return procfs.unified(pid).endswith(self.place.name)

    def held_by_another(self) -> bool:
        """Whether a living process other than this one holds it."""
        try:
            name = os.getxattr(self.place, HOLDER)
        except OSError:
            return False
        pid, _, started = name.partition(b" ")
        if name == _own_name() or not pid.isdigit():
            return False
        stat = procfs.stat(int(pid))
        return stat is not None and str(stat.started).encode() == started

    def take_in(self, pid: int) -> None:
        """Make it, frozen, and move the process and what it started into it; ``OSError`` where that cannot be done."""
        origin = procfs.unified(pid)
        self.place.mkdir(mode=0o755, exist_ok=True)
        try:
            os.setxattr(self.place, ORIGIN, os.fsencode(origin))
            os.setxattr(self.place, HOLDER, _own_name())
        except OSError as error:
            log.info("the place of process %s is not kept: %s", pid, error.strerror)
        try:
            (self.place / "cgroup.freeze").write_text("1", encoding="ascii")
            (self.place / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError:
            self.remove()
            raise
        # What it had forked in the meantime comes too; what it forks from now on is born there.
        for _ in range(_ROUNDS):
            outside = [member for member in tree(pid) if not self.holds(member)]
            for member in outside:
                _move(self.place, member)
            if not outside:
                break

    def let_out(self, root: Path | None) -> bool:
        """Back to where they came from, and the cell is gone; False: that place is gone, and they go on in here."""
        try:
            origin = os.fsdecode(os.getxattr(self.place, ORIGIN))
        except OSError:
            origin = ""
        # ``..``: it came from outside of what this service sees of the tree.
        home = root / origin.lstrip("/") if root is not None and origin and ".." not in origin else None
        for _ in range(_ROUNDS):
            members = self._members()
            if not members:
                break
            if home is None or not all(_move(home, member) for member in members):
                break
        if self.remove():
            return True
        try:
            (self.place / "cgroup.freeze").write_text("0", encoding="ascii")
        except OSError as error:
            raise HostError(
                f"The kernel refused to let a program go on: {error.strerror}", "Close it and start it again."
            ) from error
        return False

    def kill(self) -> bool:
        """Kill whatever is in it; whether it could be removed at once."""
        try:
            (self.place / "cgroup.kill").write_text("1", encoding="ascii")
        except OSError:  # before Linux 5.14, or gone
            for member in self._members():
                signals.send_to(member, signal.SIGKILL)
        return self.remove()

    def remove(self) -> bool:
        """Whether it is gone now."""
        try:
            self.place.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _members(self) -> list[int]:
        try:
            return [int(word) for word in (self.place / "cgroup.procs").read_text(encoding="ascii").split()]
        except OSError:
            return []


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for member in found:
        found += [child for child in procfs.children(member) if child not in found]
    return found


def _own_name() -> bytes:
    own = procfs.stat(os.getpid())
    return f"{os.getpid()} {own.started if own is not None else 0}".encode()


def _move(place: Path, pid: int) -> bool:
    """Whether a process is there now, or gone."""
    try:
        (place / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return True
