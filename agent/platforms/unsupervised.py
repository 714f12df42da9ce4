"""Nobody who started the service waits for its signs of life."""

from __future__ import annotations

from collections.abc import Callable


class Unsupervised:
    """A ``Supervisor`` that nobody needs to be told by: launchd, which starts again what ends, and a story that is played."""

    interval: float | None = None

    def ready(self, status: str = "") -> bool:
        return False

    def alive(self, status: str = "") -> bool:
        return False

    def stopping(self) -> bool:
        return False

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Nobody asks but with a signal, which the loop handles itself."""
