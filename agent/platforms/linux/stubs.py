"""Services of this PC that ask for names in their own account's name, where the firewall cannot tell a child: closed to children.

``getaddrinfo`` of a program may go to systemd-resolved (nss-resolve, over its varlink socket) or to nscd before any question
of the child's own is sent.  Their sockets are closed to the children's accounts by ACL; then the C library goes on to ``dns``
(nsswitch.conf(5): a service that cannot be reached is UNAVAIL), whose questions the firewall sees.  systemd-resolved over
D-Bus is closed by a rule of the bus (installer/linux/dbus).  mDNS (avahi, ``.local``) names this house's own devices only.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Millis
from agent.platforms.base import Finding
from agent.platforms.linux import acl

LOOK_EVERY: Millis = 2 * SECOND
SOCKETS = ("run/systemd/resolve/io.systemd.Resolve", "run/nscd/socket")
BUS_RULE = ("usr/share/dbus-1/system.d/fairtime.conf", "usr/local/share/dbus-1/system.d/fairtime.conf")
_RESOLVED = "run/systemd/resolve"
_MODE = 0o666


class Stubs:
    """The sockets below ``root``.  ``put`` and ``mend`` in any thread, one at a time; ``look`` on the loop."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._closed: frozenset[int] = frozenset()
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._looked: Millis | None = None
        self.troubles: tuple[str, ...] = ()

    def put(self, uids: Collection[int]) -> None:
        """Close the sockets to these accounts, and open them to all others."""
        with self._lock:
            self._closed = frozenset(uids)
            self._work()

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``: a service that starts again makes its socket anew."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        return bool(self._closed) and any(self._print(name) != self._seen.get(name) for name in SOCKETS)

    def mend(self, now: Millis) -> None:
        del now
        with self._lock:
            self._work()

    def findings(self) -> Iterator[Finding]:
        """What is open still."""
        if not self._closed:
            return
        for text in self.troubles:
            yield Finding(
                "resolver-socket-open", "weak", text,
                "Take the word resolve (or the service nscd) away: sudo sed -i 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf",
            )  # fmt: skip
        if (self._root / _RESOLVED).is_dir() and not any((self._root / name).exists() for name in BUS_RULE):
            yield Finding(
                "resolver-bus-open", "weak", "Children may ask systemd-resolved for any name over the system's bus",
                "Install Fairtime again (installer/linux/install.sh), which brings a rule for the bus.",
            )  # fmt: skip
        avahi = _text(self._root / "etc/avahi/avahi-daemon.conf")
        if any(line.replace(" ", "").lower() == "enable-wide-area=yes" for line in avahi.splitlines()):
            yield Finding(
                "avahi-wide-area", "weak", "Avahi asks servers for names of the whole Internet, for children too",
                "Set enable-wide-area=no in /etc/avahi/avahi-daemon.conf, then: sudo systemctl restart avahi-daemon",
            )  # fmt: skip

    def _work(self) -> None:
        wanted = acl.denying(_MODE, self._closed)
        troubles = []
        for name in SOCKETS:
            path = self._root / name
            try:
                if stat.S_ISSOCK(path.stat().st_mode) and acl.read(path) != wanted:
                    acl.write(path, wanted)
            except FileNotFoundError:
                pass
            except OSError as error:
                troubles.append(f"/{name} cannot be closed to children: {error.strerror or error}")
            self._seen[name] = self._print(name)
        self.troubles = tuple(troubles)

    def _print(self, name: str) -> tuple[int, int] | None:
        try:
            info = os.stat(self._root / name)
        except OSError:
            return None
        return (info.st_ino, info.st_ctime_ns)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(64 << 10).decode(errors="replace")
    except OSError:
        return ""
