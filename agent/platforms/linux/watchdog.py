"""Tell systemd how we are: sd_notify(3) over NOTIFY_SOCKET, in ten lines of standard library."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")


class Watchdog:
    """``ready`` once, ``alive`` every tick, ``stopping`` at the end; all do nothing outside of systemd."""

    def __init__(self, address: str | None = None, interval_usec: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        usec = os.environ.get("WATCHDOG_USEC", "") if interval_usec is None else interval_usec
        self.interval = int(usec) / 1_000_000 if usec.isdigit() else None
        """Seconds within which systemd wants a sign of life (``WatchdogSec=``); ``None`` when it does not."""

    @property
    def present(self) -> bool:
        return bool(self._address)

    def ready(self, status: str = "") -> bool:
        return self.send("READY=1", *_status(status))

    def alive(self, status: str = "") -> bool:
        return self.send("WATCHDOG=1", *_status(status))

    def stopping(self) -> bool:
        return self.send("STOPPING=1")

    def on_stop(self, stop: Callable[[], None]) -> None:
        """systemd asks with a signal, which the loop handles itself."""

    def send(self, *lines: str) -> bool:
        """Whether systemd was told.  A lost message is harmless: the next one says the same."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()
