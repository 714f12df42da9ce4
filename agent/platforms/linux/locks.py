"""Whether somebody holds a record lock on a file, without taking it."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

_FLOCK = struct.Struct("hhqqi4x")
"""struct flock with 64-bit offsets: type, whence, start, length, pid."""


def locked(path: Path) -> bool:
    """True while another process has a lock on it; False when there is no such file or it cannot be opened."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return bool(_FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(fd)
