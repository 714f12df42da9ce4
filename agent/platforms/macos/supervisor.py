"""launchd starts the service again by itself (KeepAlive) and waits for no sign of life."""

from __future__ import annotations

from collections.abc import Callable

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


class Launchd:
    """A ``Supervisor`` that nobody needs to be told by."""

    interval: float | None = None

    def ready(self, status: str = "") -> bool:
        return False

    def alive(self, status: str = "") -> bool:
        return False

    def stopping(self) -> bool:
        return False

    def on_stop(self, stop: Callable[[], None]) -> None:
        """launchd asks with a signal, which the loop handles itself."""
