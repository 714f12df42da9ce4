"""Which transport this system has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.ipc.transport import Transport


def transport() -> Transport:
    """The one of this system."""
    if sys.platform == "win32":
        from agent.platforms import pipes  # the one module that chooses a system

        return pipes()
    from agent.ipc.unix import UnixSockets

    return UnixSockets()
