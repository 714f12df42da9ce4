"""What is true of the Mac itself, and of this service's place on it."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket

from agent.errors import HostError
from agent.platforms.macos import registry
from agent.platforms.macos.commands import Run, text

LABEL = "org.fairtime.Fairtime"
"""Of the LaunchDaemon (installer/macos)."""
DNS = ("/usr/sbin/scutil", "--dns")


def machine_id(run: Run) -> str:
    """Derived from the Mac's own id, which does not show itself."""
    try:
        name = registry.hardware(run)
    except HostError:
        name = ""
    return hmac.new((name or socket.gethostname()).encode(), b"fairtime machine", hashlib.sha256).hexdigest()[:32]


def name_servers(run: Run) -> tuple[str, ...]:
    """Those of the first resolver, which answers for all names (scutil(8))."""
    found: list[str] = []
    resolvers = 0
    for line in text(run(DNS)).splitlines():
        words = line.split()
        resolvers += words[:1] == ["resolver"]
        if resolvers > 1:
            break
        if len(words) == 3 and words[0].startswith("nameserver[") and words[1] == ":":
            found.append(words[2])
    return tuple(dict.fromkeys(found))


def supervised() -> bool:
    """Whether launchd started this process as the LaunchDaemon, and would start it again (launchd.plist(5), KeepAlive)."""
    return os.environ.get("XPC_SERVICE_NAME") == LABEL
