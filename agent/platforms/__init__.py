"""The operating system behind one interface.  Only this module chooses, and it imports one system only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import HostError
from agent.platforms.base import Desk, Host, Supervisor

if TYPE_CHECKING:
    from agent.ipc.transport import Transport


def host(*, guarded: bool = False, gate: Sequence[str] | None = None) -> Host:
    """The host of this machine; ``HostError`` where Fairtime has none yet.

    ``guarded``: it keeps Fairtime's own files as they were installed, and may filter sites; for the one service of a PC.  ``gate``: programs are to
    be denied before they start, below these folders only, everywhere when it is empty; ``None``: stopped right after it.
    """
    if sys.platform == "linux":
        from agent.platforms.linux.guarding import Guard
        from agent.platforms.linux.host import LinuxHost
        from agent.platforms.linux.sitelanes import SiteLanes

        return LinuxHost(guard=Guard() if guarded else None, gate=gate, sites=SiteLanes() if guarded else None)
    raise _unknown()


def trial_host(folder: Path, account: str) -> Host:
    """This machine's host, confined to the programs of ``folder`` (also where everybody is root)."""
    if sys.platform == "linux":
        from agent.platforms.confined import ConfinedHost
        from agent.platforms.linux.host import LinuxHost

        return ConfinedHost(LinuxHost(may_watch_root=True), folder, account)
    raise _unknown()


def desk() -> Desk:
    """The desktop of this session, for the tray."""
    if sys.platform == "linux":
        from agent.platforms.linux.desk import LinuxDesk

        return LinuxDesk()
    raise _unknown()


def pipes() -> Transport:
    """How faces and service talk where there are no Unix sockets."""
    if sys.platform == "win32":
        from agent.platforms.windows.pipe import Pipes

        return Pipes()
    raise _unknown()


def supervisor() -> Supervisor:
    """Who watches over the service on this machine."""
    if sys.platform == "linux":
        from agent.platforms.linux.watchdog import Watchdog

        return Watchdog()
    raise _unknown()


def _unknown() -> HostError:
    return HostError(
        f"Fairtime cannot protect a PC that runs {sys.platform!r} yet",
        "Today it runs on Linux; see the support table in README.md.",
    )
