"""A lock on a file, which the kernel lets go of whenever the process ends (POSIX)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.filelock locks files as POSIX does")

import fcntl


def hold(path: Path) -> bool:
    """Whether this process is the one that holds ``path`` from now on; the file stays open until the process ends."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    return True
