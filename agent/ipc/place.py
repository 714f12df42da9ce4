"""Where the socket lies: a folder that only the service may write to, so that nobody can put another in its place."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

from agent.errors import ConnectionFailed, HostError, StoreError
from agent.ipc.peer import own_uid


def clear(path: Path) -> None:
    """Make room for a socket.  Removes only a socket that nobody listens on; anything else there is ``StoreError``."""
    _made(path.parent)
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StoreError(
            "Something that is no socket lies in the socket's place",
            "Move it away, or choose another place; nothing was deleted.",
            where=str(path),
        )
    if _answers(path):
        raise StoreError("Another service answers there already", "Stop it first.", where=str(path))
    path.unlink(missing_ok=True)


def check(path: Path) -> None:
    """``ConnectionFailed`` when others than the service could have put the socket there."""
    try:
        why = _unsafe(path.parent)
    except OSError:
        return  # there is none: connecting says so, in better words
    if why:
        raise ConnectionFailed(
            f"The folder of the service's socket {why}", "Tell an administrator of this PC.", where=str(path.parent)
        )


def _made(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # Everybody may reach the socket; the service's own umask (077) would keep the family out.
        folder.chmod(0o755)
    why = _unsafe(folder)
    if why:
        raise StoreError(
            f"The folder of the service's socket {why}",
            "Only the service's account may write to it (chmod 755).",
            where=str(folder),
        )


def _unsafe(folder: Path) -> str:
    if sys.platform == "win32":
        return ""
    found = folder.stat()
    if found.st_uid not in (0, own_uid()):
        return "belongs to somebody else"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written to by others"
    return ""


def _answers(path: Path) -> bool:
    if sys.platform == "win32":
        raise HostError("Fairtime has no pipe for Windows yet", "Today it runs on Linux; see README's support table.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # its queue is full: it listens (unix(7), EAGAIN)
    return True
