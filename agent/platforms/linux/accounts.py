"""People's accounts, and which account a uid belongs to.

A child may own more uids than one: ``/etc/subuid`` gives an account a range for containers, and a program started with
``unshare --map-auto`` or rootless podman runs under one of those.  They count as the child's.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Account

ADMIN_GROUPS = ("sudo", "wheel", "admin")
"""Members may become root by the defaults of Debian (sudo), Fedora and Arch (wheel), older Ubuntu (admin)."""

_NO_SHELL = ("/nologin", "/false", "/sync", "/halt", "/shutdown")
_LOGIN_DEFS = Path("/etc/login.defs")
_SUBUID = Path("/etc/subuid")
_SUBGID = Path("/etc/subgid")

Range = tuple[int, int]
"""First and last, both included."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account as file permissions see it."""

    name: str
    uid: int
    gids: frozenset[int]
    subuids: tuple[Range, ...] = ()
    subgids: tuple[Range, ...] = ()
    home: str = ""
    kin: tuple[Person, ...] = ()
    """The other watched accounts: what one of them can write, it can write for this one."""

    def owns(self, uid: int) -> bool:
        return uid == self.uid or any(first <= uid <= last for first, last in self.subuids)

    def member(self, gid: int) -> bool:
        return gid in self.gids or any(first <= gid <= last for first, last in self.subgids)


@dataclass(frozen=True, slots=True)
class Owners:
    """The watched accounts, found by uid in a few hundred nanoseconds."""

    people: dict[str, Person] = field(default_factory=dict)
    _exact: dict[int, Person] = field(default_factory=dict)
    _firsts: tuple[int, ...] = ()
    _ranges: tuple[tuple[int, Person], ...] = ()

    @classmethod
    def of(cls, people: Collection[Person]) -> Owners:
        ranges = sorted(((first, last, p) for p in people for first, last in p.subuids), key=lambda row: row[0])
        return cls(
            people={p.name: p for p in people},
            _exact={p.uid: p for p in people},
            _firsts=tuple(first for first, _, _ in ranges),
            _ranges=tuple((last, p) for _, last, p in ranges),
        )

    def by_uid(self, uid: int) -> Person | None:
        person = self._exact.get(uid)
        if person is not None or not self._firsts:
            return person
        at = bisect_right(self._firsts, uid) - 1
        if at >= 0 and uid <= self._ranges[at][0]:
            return self._ranges[at][1]
        return None


def owners(
    names: Collection[str], *, subuid: Path = _SUBUID, subgid: Path = _SUBGID, may_include_root: bool = False
) -> Owners:
    """The accounts among ``names`` that exist.  ``#1234`` means the bare uid 1234, with or without an entry.

    Root is no child and left out, unless asked for.
    """
    known = [p for name in names if (p := person(name, subuid=subuid, subgid=subgid)) is not None]
    found = [p for p in known if p.uid != 0 or may_include_root]
    return Owners.of([replace(p, kin=tuple(other for other in found if other.uid != p.uid)) for p in found])


def person(name: str, *, subuid: Path = _SUBUID, subgid: Path = _SUBGID) -> Person | None:
    """The account of that name; ``None`` when there is none."""
    if name.startswith("#") and name[1:].isdigit():
        uid = int(name[1:])
        return Person(name, uid, frozenset({uid})) if uid < 2**32 - 1 else None
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    gids = frozenset(os.getgrouplist(name, entry.pw_gid))
    return Person(
        name,
        entry.pw_uid,
        gids,
        _ranges(subuid, name, entry.pw_uid),
        _ranges(subgid, name, entry.pw_uid),
        entry.pw_dir,
    )


def people(*, login_defs: Path = _LOGIN_DEFS) -> tuple[Account, ...]:
    """Accounts that a person logs in with: uid in the range of login.defs(5) and a shell that is one."""
    low, high = uid_range(login_defs)
    seen: dict[str, Account] = {}
    for entry in pwd.getpwall():
        if low <= entry.pw_uid <= high and entry.pw_uid != 65534 and not entry.pw_shell.endswith(_NO_SHELL):
            account = Account(
                name=entry.pw_name,
                uid=str(entry.pw_uid),
                administrator=is_administrator(entry.pw_name),
                home=entry.pw_dir,
            )
            seen.setdefault(entry.pw_name, account)
    return tuple(seen.values())


def groups_of(name: str) -> frozenset[str]:
    """Names of every group of an account, its primary one included; empty for an unknown account."""
    known = person(name)
    if known is None:
        return frozenset()
    names = set()
    for gid in known.gids:
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue
    return frozenset(names)


def is_administrator(name: str) -> bool:
    """Whether the account may become root by group or is root."""
    try:
        if pwd.getpwnam(name).pw_uid == 0:
            return True
    except (KeyError, ValueError):
        return False
    return not groups_of(name).isdisjoint(ADMIN_GROUPS)


def uid_range(login_defs: Path = _LOGIN_DEFS) -> Range:
    """UID_MIN and UID_MAX of login.defs(5), 1000 and 60000 where it says nothing."""
    low, high = 1000, 60000
    try:
        lines = login_defs.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return low, high
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            if words[0] == "UID_MIN":
                low = int(words[1])
            elif words[0] == "UID_MAX":
                high = int(words[1])
    return low, high


def _ranges(path: Path, name: str, uid: int) -> tuple[Range, ...]:
    """An account's lines ``name:first:count`` (or ``uid:first:count``) of subuid(5); ranges that reach below 1000 are
    a mistake of the machine's owner and left out, so that system processes never count as a child's."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        who, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if who in (name, str(uid)) and first.isdigit() and count.strip().isdigit():
            start, length = int(first), int(count)
            if start >= 1000 and length > 0:
                found.append((start, start + length - 1))
    return tuple(found)
