"""PAM asks the service before a child begins a session; whom it asks about is a group that is kept here.

The stack's lines (installer/linux/pam) run ``login-check`` for members of ``fairtime-children`` and nobody else: a guardian
gets in whatever is broken.  So the members must be the policy's children, and this module keeps it so.
"""

from __future__ import annotations

import grp
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.errors import HostError
from agent.platforms.linux import accounts

GROUP = "fairtime-children"
CHECK = "libexec/fairtime/login-check"
_PLACES = ("usr", "usr/local", "opt/fairtime")
"""Prefixes of installations."""
_STACKS = ("etc/pam.d/common-account", "etc/pam.d/system-auth", "etc/pam.d/password-auth", "etc/pam.d/login")
"""The shared stacks of Debian and Ubuntu, of Arch and Fedora, of Fedora's graphical and remote logins."""
_PATIENCE = 10.0
_ADVICE = "Run the installer again."


@dataclass(slots=True)
class Logins:
    """The group and the lines, below ``root``."""

    root: Path = Path("/")
    _wanted: frozenset[str] | None = None

    def why(self) -> str:
        """What is missing for a login to be refused before it begins; empty when nothing is."""
        if not any(os.access(self.root / place / CHECK, os.X_OK) for place in _PLACES):
            return f"/usr/{CHECK} is not installed."
        if not any(CHECK in _active(self.root / stack) for stack in _STACKS):
            return "PAM does not ask Fairtime (no line for it in /etc/pam.d/common-account)."
        members = self._members()
        if members is None:
            return f"The group {GROUP} is missing."
        if self._wanted is not None and members != self._wanted:
            return f"The group {GROUP} does not have the policy's children as its members."
        return ""

    def keep(self, children: Collection[str]) -> None:
        """Make these accounts the members of the group; ``HostError`` when that cannot be.  Takes a moment."""
        self._wanted = frozenset(name for name in children if accounts.person(name) and not name.startswith("#"))
        self.repair()

    def repair(self) -> None:
        """Put right what somebody changed; ``HostError`` when that cannot be."""
        members = self._members()
        if self._wanted is None or members == self._wanted:
            return
        if members is None:
            raise HostError(f"Logins cannot be refused: the group {GROUP} is missing", _ADVICE)
        try:
            done = subprocess.run(
                ["gpasswd", "--members", ",".join(sorted(self._wanted)), GROUP],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"The members of {GROUP} cannot be changed: {error}", _ADVICE) from error
        if done.returncode or self._members() != self._wanted:
            said = os.fsdecode(done.stderr).strip() or f"exit status {done.returncode}"
            raise HostError(f"The members of {GROUP} cannot be changed: {said}", _ADVICE)

    @staticmethod
    def _members() -> frozenset[str] | None:
        try:
            return frozenset(grp.getgrnam(GROUP).gr_mem)
        except KeyError:
            return None


def _active(stack: Path) -> str:
    """The lines of a PAM stack that are in force."""
    try:
        lines = stack.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))
