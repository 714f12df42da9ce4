"""Who runs this command."""

from __future__ import annotations

import os
import sys

from agent.ipc.peer import account_of


def own_account() -> str:
    """The account of this process."""
    if sys.platform == "win32":
        from agent.platforms import account  # the environment is the caller's own

        return account()
    return account_of(os.getuid())
