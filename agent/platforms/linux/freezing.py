"""Freeze everything an account runs, and let it go on: ``cgroup.freeze`` of its slice (cgroup v2, Linux 5.2).

Nothing is lost: programs stand still where they are.  systemd puts every session and service of an account below
user-UID.slice, which a standard account cannot leave or thaw (the file belongs to root).
"""

from __future__ import annotations

from pathlib import Path

from agent.errors import HostError
from agent.platforms.linux import procfs

ROOT = Path("/sys/fs/cgroup")


class Freezer:
    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    @property
    def present(self) -> bool:
        return (self._root / "cgroup.controllers").exists() and (self._root / "user.slice" / "cgroup.freeze").exists()

    def freeze(self, uid: int) -> None:
        """Hold every process of the account's slice; ``HostError`` where there is none."""
        self.check(uid)
        self._write(self._path(uid), "1")

    def check(self, uid: int) -> None:
        """``HostError`` when the account cannot be frozen."""
        if not self._path(uid).exists():
            raise HostError(
                "This PC cannot freeze a session: it has no cgroup v2 slice for the account",
                "Choose lock or logout as the ending, or use a distribution with systemd 244 or newer and cgroup v2.",
            )

    def thaw(self, uid: int) -> None:
        """Let the account go on; success when nothing was frozen."""
        path = self._path(uid)
        if path.exists() and self.frozen(uid):
            self._write(path, "0")

    def frozen(self, uid: int) -> bool:
        return procfs.read(f"{self._root}/user.slice/user-{uid}.slice/cgroup.freeze", 64).strip() == b"1"

    def _path(self, uid: int) -> Path:
        return self._root / "user.slice" / f"user-{uid}.slice" / "cgroup.freeze"

    @staticmethod
    def _write(path: Path, value: str) -> None:
        try:
            path.write_text(value, encoding="ascii")
        except FileNotFoundError:
            return  # the account logged out meanwhile
        except OSError as error:
            raise HostError(
                f"The kernel refused to {'freeze' if value == '1' else 'thaw'} the session: {error.strerror}",
                "Choose lock or logout as the ending.",
            ) from error
