"""The control groups of accounts and sessions, and the end of everything in one.

``cgroup.kill`` (Linux 5.14) takes every member at once, however fast it forks, frozen or not.  Elsewhere the members are read
and killed until none is left.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

log = logging.getLogger(__name__)

ROOT = Path("/sys/fs/cgroup")
_ROUNDS = 20


class Groups:
    """systemd's tree below ``root``: unified, or its own hierarchy of version 1."""

    def __init__(self, root: Path = ROOT) -> None:
        unified = (root / "cgroup.controllers").exists()
        self._root = root if unified or not (root / "systemd").exists() else root / "systemd"

    def account(self, uid: int) -> Path:
        """Everything an account runs by its own logins and services."""
        return self._root / "user.slice" / f"user-{uid}.slice"

    def session(self, uid: int, session: str) -> Path:
        """What one login started."""
        return self.account(uid) / f"session-{session}.scope"

    def populated(self, group: Path) -> bool:
        """Whether anything runs in there."""
        try:
            return "populated 1" in (group / "cgroup.events").read_text(encoding="ascii")
        except OSError:
            return next(self._members(group), None) is not None

    def kill(self, group: Path) -> None:
        """End everything in there, now."""
        try:
            (group / "cgroup.kill").write_text("1", encoding="ascii")
            return
        except FileNotFoundError:
            pass  # the group is gone, or the kernel is older
        except OSError as error:
            log.warning("%s cannot be killed at once: %s", group, error)
        for _ in range(_ROUNDS):
            members = list(self._members(group))
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                except PermissionError:
                    log.warning("process %d may not be killed", pid)
            if not members:
                return

    @staticmethod
    def _members(group: Path) -> Iterator[int]:
        for folder, _, _ in os.walk(group):
            try:
                words = (Path(folder) / "cgroup.procs").read_text(encoding="ascii").split()
            except OSError:
                continue
            yield from (int(word) for word in words if int(word) > 1 and int(word) != os.getpid())
