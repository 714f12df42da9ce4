"""People's accounts of a Mac: what Open Directory answers to getpwent(3), with the group ``admin``."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos asks for POSIX accounts")

from agent.platforms.base import Account

ADMIN = "admin"
"""Members may use sudo and change every setting of the system."""
FIRST_UID = 501
"""The first account that Setup Assistant makes; below are the system's own."""
_NOBODY = 2**32 - 2
_NO_SHELL = ("/false", "/nologin")


@dataclass(frozen=True, slots=True)
class Person:
    """An account as file permissions see it."""

    name: str
    uid: int
    gids: frozenset[int]
    home: str = ""
    kin: tuple[Person, ...] = ()
    """The other watched accounts: what one of them can write, it can write for this one."""


def owners(names: Collection[str], *, may_include_root: bool = False) -> dict[int, Person]:
    """The accounts among ``names`` that exist, by uid.  Root is no child and left out, unless asked for."""
    known = [found for name in names if (found := person(name)) is not None]
    kept = [one for one in known if one.uid != 0 or may_include_root]
    return {one.uid: replace(one, kin=tuple(other for other in kept if other.uid != one.uid)) for one in kept}


def person(name: str) -> Person | None:
    """The account of that name; ``#1234`` is the bare uid.  ``None`` when there is none."""
    if name.startswith("#") and name[1:].isdigit():
        uid = int(name[1:])
        return Person(name, uid, frozenset({uid})) if uid < _NOBODY else None
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    return Person(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)), entry.pw_dir)


def people() -> tuple[Account, ...]:
    """Accounts that a person logs in with."""
    seen: dict[str, Account] = {}
    for entry in pwd.getpwall():
        if FIRST_UID <= entry.pw_uid < _NOBODY and not entry.pw_shell.endswith(_NO_SHELL):
            found = Account(entry.pw_name, str(entry.pw_uid), is_administrator(entry.pw_name), entry.pw_dir)
            seen.setdefault(entry.pw_name, found)
    return tuple(seen.values())


def is_administrator(name: str) -> bool:
    """Root, or a member of ``admin``."""
    known = person(name)
    if known is None:
        return False
    try:
        return known.uid == 0 or grp.getgrnam(ADMIN).gr_gid in known.gids
    except KeyError:
        return known.uid == 0
