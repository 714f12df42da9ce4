"""Whether an account could change what a path leads to.

A program is *protected* when the account can neither write the file nor replace any folder on the way to it.  The owner of
a file or folder can always change its mode, so owning is writing.  In a sticky folder (``/tmp``) others' files cannot be
replaced, so it does not spoil a path whose next component belongs to someone else.
"""

from __future__ import annotations

import os
import stat
import struct
import sys

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux.accounts import Person

_ACL_VERSION = 2
_ACL_USER = 0x02
_ACL_GROUP = 0x08
_WRITE = 0x02


def protected(path: str, person: Person) -> bool:
    """True when no component of the absolute, symlink-free ``path`` can be written by ``person``.

    A component that cannot be looked at (a FUSE mount of the account's own, gone meanwhile) proves nothing: False.
    """
    if not path.startswith("/"):
        return False
    at = "/"
    if _open_to(at, person):
        return False
    for name in path.split("/"):
        if name:
            at = at + name if at == "/" else f"{at}/{name}"
            if name == ".." or _open_to(at, person):
                return False
    return True


def _open_to(path: str, person: Person) -> bool:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return True
    mode = found.st_mode
    if person.owns(found.st_uid) or stat.S_ISLNK(mode):
        return True
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return False
    if mode & stat.S_IWOTH:
        return True
    # With an ACL the group bits are its mask, so without S_IWGRP no named entry can grant writing (acl(5)).
    return bool(mode & stat.S_IWGRP) and (person.member(found.st_gid) or acl_grants(path, person))


def acl_grants(path: str, person: Person) -> bool:
    """Whether a named entry of the POSIX ACL lets ``person`` write; False where the file system has no ACLs.

    Layout (linux/posix_acl_xattr.h): u32 version, then entries of u16 tag, u16 permissions, u32 id, little-endian.
    """
    try:
        value = os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except OSError:
        return False
    if len(value) < 4 or struct.unpack_from("<I", value)[0] != _ACL_VERSION:
        return False
    for tag, granted, who in struct.iter_unpack("<HHI", value[4 : 4 + (len(value) - 4) // 8 * 8]):
        if not granted & _WRITE:
            continue
        if (tag == _ACL_USER and person.owns(who)) or (tag == _ACL_GROUP and person.member(who)):
            return True
    return False
