"""launchd starts the service again by itself (KeepAlive) and waits for no sign of life."""

from __future__ import annotations

from collections.abc import Callable


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
