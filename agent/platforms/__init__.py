"""The operating system behind one interface.  Only this module chooses, and it imports one system only."""

from __future__ import annotations

import sys

from agent.platforms.base import Desk, Host


def host() -> Host:
    """The host of this machine."""
    if sys.platform == "linux":
        from agent.platforms.linux.host import LinuxHost

        return LinuxHost()
    if sys.platform == "win32":
        from agent.platforms.windows.host import WindowsHost

        return WindowsHost()
    if sys.platform == "darwin":
        from agent.platforms.macos.host import MacHost

        return MacHost()
    from agent.errors import HostError

    raise HostError(f"Fairtime does not know the system {sys.platform!r}", "It runs on Linux, Windows and macOS.")


def desk() -> Desk:
    """The desktop of this session, for the tray."""
    if sys.platform == "linux":
        from agent.platforms.linux.desk import LinuxDesk

        return LinuxDesk()
    if sys.platform == "win32":
        from agent.platforms.windows.desk import WindowsDesk

        return WindowsDesk()
    from agent.platforms.macos.desk import MacDesk

    return MacDesk()
