"""Who is at the other end of a socket, in the words of the operating system."""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass

from agent.errors import HostError

Uid = int | str
"""An account: its number, on Windows its SID."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end; ``account`` is ``#uid`` when the account has no name."""

    uid: Uid
    pid: int
    account: str
    privileged: bool = False
    """Root; on Windows the system itself, or an administrator with full rights."""


def peer_of(sock: socket.socket) -> Peer:
    """The peer of a connected Unix socket, as it was when it connected (unix(7), SO_PEERCRED) or began to listen.

    ``HostError`` where the system does not say.
    """
    try:
        if sys.platform == "linux":
            # struct ucred { pid_t pid; uid_t uid; gid_t gid; }: only the first is signed
            pid, uid, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return _of(uid, pid)
        if sys.platform == "darwin":
            # sys/ucred.h: struct xucred { u_int version; uid_t uid; short ngroups; gid_t groups[16]; }; sys/un.h: level 0
            version, uid, *_ = struct.unpack("IIhxx16I", sock.getsockopt(0, 0x001, 76))  # LOCAL_PEERCRED
            (pid,) = struct.unpack("i", sock.getsockopt(0, 0x002, 4))  # LOCAL_PEERPID
            if version == 0:
                return _of(uid, pid)
    except (OSError, struct.error) as error:
        raise HostError(f"The system does not say who calls: {error}", "Restart the service.") from error
    raise HostError(
        f"Fairtime cannot tell who calls on {sys.platform!r} yet", "Today it runs on Linux; see README's support table."
    )


def _of(uid: int, pid: int) -> Peer:
    return Peer(uid, pid, account_of(uid), privileged=uid == 0)


def own_uid() -> int:
    """This process's own uid; -1 where there are none."""
    if sys.platform == "win32":
        return -1
    return os.geteuid()


def account_of(uid: int) -> str:
    """The account's name."""
    if sys.platform == "win32":
        return f"#{uid}"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"#{uid}"
