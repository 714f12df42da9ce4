"""Which name servers this PC asks: ``/etc/resolv.conf``, read again when it has changed (resolv.conf(5))."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

MOST = 8
"""Glibc itself reads three."""
_LONGEST = 65_536


class NameServers:
    """Asked at every tick; one ``stat`` while nothing changes."""

    def __init__(self, place: Path = Path("/etc/resolv.conf")) -> None:
        self._place = place
        self._seen: tuple[int, int, int] | None = None
        self._found: tuple[str, ...] = ()

    def __call__(self) -> tuple[str, ...]:
        """Their addresses in the order of the file; none when there is no such file."""
        try:
            now = os.stat(self._place)
            seen = (now.st_mtime_ns, now.st_ino, now.st_size)
            if seen != self._seen:
                with self._place.open("rb") as file:
                    self._found = read(file.read(_LONGEST))
                self._seen = seen
        except OSError:
            self._seen, self._found = None, ()
        return self._found


def read(text: bytes) -> tuple[str, ...]:
    """The addresses that a ``resolv.conf`` names; what is none (also one with a zone, ``fe80::1%eth0``) is left out."""
    found: dict[str, None] = {}
    for line in text.decode("ascii", "replace").splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ip_address(words[1])
        except ValueError:
            continue
        if "%" not in words[1]:
            found[str(address)] = None
    return tuple(found)[:MOST]
