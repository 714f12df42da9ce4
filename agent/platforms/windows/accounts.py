"""People's accounts on Windows, and everything that an account is when rights are looked at."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.accounts is for Windows")

import winreg

import pywintypes
import win32net
import win32netcon
import win32security

from agent.platforms.base import Account
from agent.platforms.windows.descriptors import ADMINISTRATORS
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.rights import ANYBODY
from agent.platforms.windows.tokens import account_of
from agent.platforms.windows.values import as_text

log = logging.getLogger(__name__)

PROFILES = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList"
_BUILT_IN = frozenset({501, 503, 504})
"""Guest, DefaultAccount, WDAGUtilityAccount (last part of the SID): nobody logs in with them to work."""
_HERE: Any = None
"""This PC, where a server is asked for; the stubs know servers only."""
_USER = 1
"""SidTypeUser."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account as rights see it."""

    name: str
    sid: str
    sids: frozenset[str]
    """Itself, its groups, and what everybody at the PC is."""
    home: str = ""


@dataclass(frozen=True, slots=True)
class Owners:
    """The watched accounts."""

    people: dict[str, Person] = field(default_factory=dict)
    by_sid: dict[str, Person] = field(default_factory=dict)

    @classmethod
    def of(cls, people: Collection[Person]) -> Owners:
        return cls({one.name: one for one in people}, {one.sid: one for one in people})


def owners(names: Collection[str]) -> Owners:
    """The accounts among ``names`` that exist.  ``#S-1-5-…`` means the bare SID, with or without an account."""
    return Owners.of([found for name in names if (found := person(name)) is not None])


def person(name: str) -> Person | None:
    """The account of that name, as ``tokens.Owner.account`` writes it; ``None`` when there is none."""
    sid = sid_of(name)
    if sid is None:
        return None
    return Person(name, sid, frozenset({sid, *ANYBODY, *groups_of(name)}), home_of(sid))


def sid_of(name: str) -> str | None:
    """An account's SID; ``None`` when there is no such account, or it is a group."""
    if name.startswith("#S-1-"):
        return name[1:]
    try:
        sid, _, kind = win32security.LookupAccountName(None, name)
    except pywintypes.error:
        return None
    return str(win32security.ConvertSidToStringSid(sid)) if kind == _USER else None


def groups_of(name: str) -> frozenset[str]:
    """SIDs of the PC's groups that an account is in, also by another group; none for an unknown account."""
    try:
        names = win32net.NetUserGetLocalGroups(_HERE, name, win32netcon.LG_INCLUDE_INDIRECT)
    except pywintypes.error as error:
        log.info("groups of %s cannot be listed: %s", name, error.strerror)
        return frozenset()
    found = set()
    for one in names:
        try:
            sid, _, _ = win32security.LookupAccountName(None, one)
        except pywintypes.error:
            continue
        found.add(str(win32security.ConvertSidToStringSid(sid)))
    return frozenset(found)


def is_administrator(name: str) -> bool:
    """Whether the account is in the group of administrators, whatever that is called here."""
    return ADMINISTRATORS in groups_of(name)


def home_of(sid: str) -> str:
    """An account's profile folder; empty before its first logon."""
    folder = as_text(Registry(winreg.HKEY_LOCAL_MACHINE).value(rf"{PROFILES}\{sid}", "ProfileImagePath"))
    return winreg.ExpandEnvironmentStrings(folder) if folder else ""


def people() -> tuple[Account, ...]:
    """Accounts of this PC that a person may log in with: those that are switched on."""
    found = []
    resume = 0
    while True:
        try:
            some, _, resume = win32net.NetUserEnum(None, 20, win32netcon.FILTER_NORMAL_ACCOUNT, resume)
        except pywintypes.error as error:
            log.warning("accounts cannot be listed: %s", error.strerror)
            break
        for one in some:
            name, number = str(one["name"]), int(one["user_id"])
            sid = sid_of(name)
            if number in _BUILT_IN or int(one["flags"]) & win32netcon.UF_ACCOUNTDISABLE or sid is None:
                continue
            found.append(Account(name, sid, is_administrator(name), home_of(sid)))
        if not resume:
            break
    return tuple(found)


def of_sid(sid: str) -> Account | None:
    """The account behind a SID, of this PC or of elsewhere; ``None`` where nobody knows it."""
    name = account_of(sid)
    return None if name.startswith("#") else Account(name, sid, is_administrator(name), home_of(sid))
