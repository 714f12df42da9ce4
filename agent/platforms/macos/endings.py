"""How a session ends: the login window in front of it, or all of it gone.

``launchctl bootout gui/UID`` (launchctl(1)) takes a person's whole graphical domain away, and the session with it.  Until
macOS 10.15 ``CGSession -suspend`` put the login window in front; since then the system has no command for that, and a lock
is said to be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from agent.errors import HostError
from agent.platforms.macos.commands import Run, text

LAUNCHCTL = "/bin/launchctl"
CGSESSION = "/System/Library/CoreServices/Menu Extras/User.menu/Contents/Resources/CGSession"
NO_LOCK = "This macOS has no command that locks a session (CGSession was taken out with macOS 11), so it is logged out."
_INSTEAD = "Choose logout as the ending in the policy; it is taken by itself until then."
_NO_DOMAIN = frozenset({3, 36, 113, 125})
"""What launchctl error calls no such process, in progress, no such service, no such domain: it is gone, or going."""


class Endings:
    """``there`` says whether a file exists."""

    def __init__(self, run: Run, there: Callable[[str], bool] = os.path.exists) -> None:
        self._run = run
        self._there = there

    @property
    def locks(self) -> bool:
        """Whether this macOS can lock."""
        return self._there(CGSESSION)

    def lock(self, uid: int) -> None:
        """Put the login window in front of the person's session."""
        if not self.locks:
            raise HostError("This Mac cannot lock a session", f"{NO_LOCK} {_INSTEAD}")
        told = self._run((LAUNCHCTL, "asuser", str(uid), CGSESSION, "-suspend"))
        if told.code != 0:
            raise HostError(f"The session was not locked: {text(told).strip()[:200]}", _INSTEAD)

    def log_out(self, uid: int) -> None:
        """End the person's graphical session; success when there is none."""
        self._bootout(f"gui/{uid}")

    def clear(self, uid: int) -> None:
        """End what launchd runs for the person without a session; success when there is nothing."""
        self._bootout(f"user/{uid}")

    def _bootout(self, domain: str) -> None:
        told = self._run((LAUNCHCTL, "bootout", domain))
        if told.code not in (0, *_NO_DOMAIN):
            raise HostError(
                f"launchd did not end {domain} (exit {told.code}): {text(told).strip()[:200]}",
                "The programs of the account are stopped one by one.",
            )
