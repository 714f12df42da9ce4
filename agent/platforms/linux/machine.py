"""What is true of the PC itself, and of this service's place on it."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Person

_ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/subuid")
_NAMES = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid")


def machine_id() -> str:
    """Derived from /etc/machine-id, which machine-id(5) asks not to show itself."""
    for path in _NAMES:
        found = procfs.read(path, 256).strip()
        if found and found != b"uninitialized":
            return _derived(found)
    return _derived(socket.gethostname().encode())


def blind(people: Iterable[Person]) -> tuple[str, ...]:
    """What this process cannot see of these people's programs, in words for a guardian."""
    own = os.geteuid()
    if own == 0 or all(person.uid == own for person in people):
        return ()
    return ("Programs of other accounts cannot be looked at, because the service does not run as root.",)


class AccountFiles:
    """The files that say which accounts there are."""

    def __init__(self) -> None:
        self._known: tuple[int, ...] = ()

    def changed(self) -> bool:
        """Whether one was written since the last call; true at the first."""
        before, self._known = self._known, tuple(_mtime(path) for path in _ACCOUNT_FILES)
        return self._known != before


def _derived(name: bytes) -> str:
    return hmac.new(name, b"fairtime machine", hashlib.sha256).hexdigest()[:32]


def _mtime(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
