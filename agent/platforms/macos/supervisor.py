"""launchd, which starts the service again by itself (KeepAlive)."""

from __future__ import annotations

from agent.errors import HostError
from agent.platforms.macos.commands import Run, text
from agent.platforms.macos.machine import LABEL

KICK = ("/bin/launchctl", "kickstart", "-k", f"system/{LABEL}")


def start(run: Run) -> None:
    """Start the installed service anew, so that it finds what setup has written."""
    told = run(KICK)
    if told.code != 0:
        raise HostError(
            f"launchd did not start the service: {text(told).strip()[:200]}", "Open Fairtime's package (.pkg) again."
        )
