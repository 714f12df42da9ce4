"""Accounts as Windows' tokens tell them: whose a process or a caller is, and whether it has an administrator's full rights."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.tokens is for Windows")

import pywintypes
import win32api
import win32con
import win32security

from agent.platforms.windows import winerrors
from agent.platforms.windows.descriptors import ADMINISTRATORS

if TYPE_CHECKING:
    from _win32typing import PySID

log = logging.getLogger(__name__)

_QUERY_LIMITED = 0x1000
"""PROCESS_QUERY_LIMITED_INFORMATION."""
_ENABLED, _DENY_ONLY = 0x4, 0x10
"""SE_GROUP_ENABLED, SE_GROUP_USE_FOR_DENY_ONLY: with UAC an administrator's usual token has the group for denials only."""
_LOCAL = frozenset({"BUILTIN", "NT AUTHORITY"})


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a token is.  ``account`` is the name, ``DOMAIN\\name`` for accounts of elsewhere, ``#SID`` where there is none."""

    sid: str
    account: str
    privileged: bool


def own() -> Owner:
    """This process."""
    with winerrors.told():
        return _owner(win32security.OpenProcessToken(win32api.GetCurrentProcess(), win32con.TOKEN_QUERY))


def of_process(pid: int) -> Owner:
    """A process; ``OSError`` when it is gone, or is not ours to ask."""
    with winerrors.told():
        process = win32api.OpenProcess(_QUERY_LIMITED, False, pid)
        try:
            return _owner(win32security.OpenProcessToken(process, win32con.TOKEN_QUERY))
        finally:
            win32api.CloseHandle(process)


def of_caller(pipe: int) -> Owner:
    """Who opened the other end of a pipe.  ``OSError`` where it does not let itself be seen.

    Between the two calls this thread has the caller's token, at the level of identification: it opens nothing but the token.
    """
    with winerrors.told():
        win32security.ImpersonateNamedPipeClient(pipe)
        try:
            token = win32security.OpenThreadToken(win32api.GetCurrentThread(), win32con.TOKEN_QUERY, True)
        finally:
            try:
                win32security.RevertToSelf()
            except pywintypes.error:
                # The documentation of RevertToSelf says to end: nothing may go on in a caller's name.
                log.critical("the service cannot become itself again")
                os.abort()
        return _owner(token)


def _owner(token: int) -> Owner:
    try:
        sid = win32security.GetTokenInformation(token, win32security.TokenUser)[0]
        groups = win32security.GetTokenInformation(token, win32security.TokenGroups)
    finally:
        win32api.CloseHandle(token)
    text = win32security.ConvertSidToStringSid(sid)
    return Owner(text, account_of(text), privileged=any(_full(group, attributes) for group, attributes in groups))


def _full(group: PySID, attributes: int) -> bool:
    if not attributes & _ENABLED or attributes & _DENY_ONLY:
        return False
    return str(win32security.ConvertSidToStringSid(group)) == ADMINISTRATORS


def account_of(sid: str) -> str:
    """The account's name (see ``Owner``)."""
    try:
        name, domain, _ = win32security.LookupAccountSid(None, win32security.ConvertStringSidToSid(sid))
    except pywintypes.error:
        return f"#{sid}"
    if domain.upper() in _LOCAL or domain.upper() == win32api.GetComputerName().upper():
        return str(name)
    return f"{domain}\\{name}"
