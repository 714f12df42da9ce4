"""A file that some accounts may not read, though everybody else may: named entries of a POSIX ACL (acl(5)).

A named entry comes before those for the group and for everybody, so that ``u:ana:---`` keeps ana out of a file that all may
read.  Layout (linux/posix_acl_xattr.h): u32 version, then entries of u16 tag, u16 permissions, u32 id, little-endian.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Collection

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

_NAME = "system.posix_acl_access"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
Place = str | int | os.PathLike[str]


def denying(mode: int, uids: Collection[int]) -> bytes:
    """The ACL of a file with these nine bits of ``mode`` that ``uids`` may not touch at all; empty for no ACL."""
    if not uids:
        return b""
    owner, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    rows = [
        (_USER_OBJ, owner, _NO_ID),
        *((_USER, 0, uid) for uid in sorted(uids)),
        (_GROUP_OBJ, group, _NO_ID),
        (_MASK, group, _NO_ID),
        (_OTHER, other, _NO_ID),
    ]
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *row) for row in rows)


def read(place: Place) -> bytes:
    """The ACL of a path (followed) or descriptor; empty when there is none, or none can be."""
    try:
        return os.getxattr(place, _NAME)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return b""
        raise


def write(place: Place, value: bytes) -> None:
    """Set what ``denying`` made; ``OSError`` where the file system keeps no ACLs."""
    if value:
        os.setxattr(place, _NAME, value)
    elif read(place):
        os.removexattr(place, _NAME)
