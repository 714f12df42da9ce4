"""Who runs this command."""

from __future__ import annotations

import os
import sys

from agent.ipc.peer import account_of


def own_account() -> str:
    """The account of this process."""
    if sys.platform == "win32":
        import getpass

        return getpass.getuser()
    return account_of(os.getuid())
