"""Whether an account could change what a path leads to, by owners and modes.

An access control list may let more in (acl(3)); only who owns a file, or an administrator, can give it one, and a child owns
nothing that counts here.  What one watched account can write, another could be asked to write for it: ``Person.kin``.
"""

from __future__ import annotations

import os
import stat
import sys

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos asks for POSIX permissions")

from agent.platforms.macos.accounts import Person
from agent.platforms.pathwalk import unreachable


def protected(path: str, person: Person) -> bool:
    """True when no component of the absolute, symlink-free ``path`` can be written by ``person``."""
    return unreachable(path, lambda place: open_to(place, person))


def open_to(path: str, person: Person) -> bool:
    """Whether ``person`` can change ``path`` itself or what is in it.  What cannot be looked at counts as open.

    In a sticky folder (``/tmp``) others' files cannot be replaced, so it spoils nothing that belongs to someone else.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return True
    people = (person, *person.kin)
    if stat.S_ISLNK(found.st_mode) or any(one.uid == found.st_uid for one in people):
        return True
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and any(found.st_gid in one.gids for one in people)
