"""Whether an account could change what a path leads to.

A program is *protected* when the account can neither write the file nor replace any folder on the way to it.  The owner of
a file or folder can always change its mode, so owning is writing.  In a sticky folder (``/tmp``) others' files cannot be
replaced, so it does not spoil a path whose next component belongs to someone else.

What one watched account can write, another could be asked to write for it: ``Person.kin`` counts as the person.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from dataclasses import dataclass

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux.accounts import Person
from agent.platforms.linux.mounts import Mounts, Pace
from agent.platforms.pathwalk import unreachable

_ACL_VERSION = 2
_ACL_USER = 0x02
_ACL_GROUP = 0x08
_WRITE = 0x02
_MOST_LINKS = 40
"""Symbolic links on one way; the kernel's own limit (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where a path leads, and whether it always will as far as ``person`` can do anything about it."""

    path: str
    steady: bool


def follow(path: str, person: Person, mounts: Mounts) -> Way | None:
    """The real path behind an absolute ``path`` with links in it, and whether the account can change nothing on the way.

    An interpreter opens its script long after the kernel told of its start: a link of the account's own may point to an
    allowed script while we look and to a game when it is opened.  ``None`` when there is no such file, when the way goes
    through /proc (its links mean another thing to each process), or through a file system that may keep us waiting.
    """
    at, links = "/", 0
    steady = not open_to("/", person)
    todo = path.split("/")[::-1]
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = at.rpartition("/")[0] or "/"
            continue
        step = at + name if at == "/" else f"{at}/{name}"
        mount = mounts.governing(step)
        if mount is None or mount.kind == "proc" or mount.pace is not Pace.QUICK:
            return None
        try:
            link = stat.S_ISLNK(os.lstat(step).st_mode)
            target = os.readlink(step) if link else ""
        except (OSError, ValueError):
            return None
        if not link:
            steady = steady and not open_to(step, person)
            at = step
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        steady = steady and not _owned(step, person)
        if target.startswith("/"):
            at = "/"
        todo.extend(target.split("/")[::-1])
    return Way(at, steady)


def protected(path: str, person: Person) -> bool:
    """True when no component of the absolute, symlink-free ``path`` can be written by ``person``.

    A component that cannot be looked at (a FUSE mount of the account's own, gone meanwhile) proves nothing: False.
    """
    return unreachable(path, lambda place: open_to(place, person))


def loads_safely(path: str, person: Person, mounts: Mounts) -> bool:
    """Whether what a program loads from ``path``, a file or a folder to search, is out of the account's hands.

    What is not there yet must not be creatable either, and in a sticky folder anybody can create.
    """
    way = follow(path, person, mounts)
    if way is not None:
        return way.steady and not (os.path.isdir(way.path) and open_to(way.path, person, sticky=False))
    folder = path.rstrip("/").rpartition("/")[0] or "/"
    return path != "/" and not os.path.lexists(path) and loads_safely(folder, person, mounts)


def open_to(path: str, person: Person, *, sticky: bool = True) -> bool:
    """Whether ``person`` can change ``path`` itself or, unless the folder is ``sticky``, what is in it.

    What cannot be looked at counts as open.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return True
    mode = found.st_mode
    people = (person, *person.kin)
    if stat.S_ISLNK(mode) or any(one.owns(found.st_uid) for one in people):
        return True
    if sticky and stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return False
    if mode & stat.S_IWOTH:
        return True
    if not mode & stat.S_IWGRP:
        return False  # with an ACL the group bits are its mask: no named entry can grant writing then (acl(5))
    return any(one.member(found.st_gid) or acl_grants(path, one) for one in people)


def _owned(link: str, person: Person) -> bool:
    """Whether the account owns a link: in a sticky folder, only then can it be replaced."""
    try:
        owner = os.lstat(link).st_uid
    except (OSError, ValueError):
        return True
    return any(one.owns(owner) for one in (person, *person.kin))


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
