"""The privilege model on one page: who may ask the service for what.

A *child* (a child's account) sees and asks for itself, and never sees another child's page.  A *guardian* (a guardian's
account) and an *administrator* (root) read everything.  Whoever proves the PIN may act as a guardian on that connection for
two minutes, also in a child's session: that is how a guardian adds time on the spot.  There the child's own programs may
listen, so the PIN itself is changed elsewhere.  An administrator needs no PIN to set a new one: root could anyway, the audit
tells, and so no forgotten PIN locks a family out.  Everybody else is told who they are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["child", "guardian", "administrator", "nobody"]
RIGHTS_LAST = 120_000
"""Milliseconds that a proof of the PIN is good for."""
ADMINISTRATOR = "root"


@dataclass(frozen=True, slots=True)
class Who:
    """A caller: its account, and the child whose account it is."""

    account: str
    role: Role
    child: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a call is allowed, and if not, what would help."""

    allowed: bool
    why: str = ""
    advice: str = ""


ALL: frozenset[Role] = frozenset({"child", "guardian", "administrator", "nobody"})
KNOWN: frozenset[Role] = frozenset({"child", "guardian", "administrator"})
ADULT: frozenset[Role] = frozenset({"guardian", "administrator"})
CHILD: frozenset[Role] = frozenset({"child"})
GUARDIAN: frozenset[Role] = frozenset({"guardian"})
NONE: frozenset[Role] = frozenset()

TABLE: Mapping[str, tuple[frozenset[Role], frozenset[Role]]] = {
    # tag of the call: (roles that may make it, those of them that need the PIN)
    "hello": (ALL, NONE),
    "status": (KNOWN, NONE),
    "week": (KNOWN, NONE),
    "agreement": (KNOWN, NONE),
    "recorded": (KNOWN, NONE),
    "why": (KNOWN, NONE),
    "doctor": (KNOWN, NONE),
    "requests": (KNOWN, NONE),
    "learned": (KNOWN, NONE),
    "login": (KNOWN, NONE),  # PAM asks as root, a screen locker as the child, who is answered about itself
    "subscribe": (KNOWN, NONE),
    "audit": (ADULT, NONE),
    "ask": (CHILD, NONE),
    "goal": (CHILD, NONE),
    "idle": (CHILD, NONE),
    "prove": (KNOWN, NONE),
    "give": (KNOWN, KNOWN),
    "learn": (KNOWN, KNOWN),
    "release": (KNOWN, KNOWN),
    "answer": (KNOWN, KNOWN),
    "set-pin": (ADULT, GUARDIAN),
    "accept-clock": (KNOWN, KNOWN),
    "delete-history": (ADULT, ADULT),
    "install": (ADULT, NONE),  # the signatures are its authority
    "lists": (ADULT, NONE),
    # Never in a child's session, whatever PIN: a list is read with the rights of the caller's account, which must not be the child's.
    "put-list": (ADULT, GUARDIAN),
    "accept-list": (ADULT, GUARDIAN),
    "remove-list": (ADULT, GUARDIAN),
    "trust-publisher": (ADULT, GUARDIAN),
}


def who(account: str, children: Mapping[str, str], guardians: Collection[str], *, privileged: bool) -> Who:
    """Who an account is here.  A child's account is a child's, whatever else it is: no policy may make it more."""
    if account in children:
        return Who(account, "child", children[account])
    if account in guardians:
        return Who(account, "guardian")
    if privileged:
        return Who(account, "administrator")
    return Who(account, "nobody")


def may(caller: Who, call: str, about: str | None, *, proven: bool) -> Ruling:
    """Whether ``caller`` may make the call with this tag about a child (``None``: about itself, or about nobody).

    ``proven``: the PIN was proved on this connection within ``RIGHTS_LAST``.
    """
    roles, with_pin = TABLE[call]
    if caller.role not in roles:
        return Ruling(False, *_REFUSED[caller.role])
    if caller.role in with_pin:
        if not proven:
            return Ruling(False, "This needs a guardian's PIN", "Enter the PIN, then try again within two minutes.")
    elif caller.role == "child" and about not in (None, caller.child):
        return Ruling(False, "You can see your own page only", "Everybody here has a page of their own.")
    return Ruling(True)


_REFUSED: Mapping[Role, tuple[str, str]] = {
    "child": ("This is for guardians", "Ask a guardian to do it from their own account."),
    "guardian": ("This is for children", "Use the child's account for it."),
    "administrator": ("This is for children", "Use the child's account for it."),
    "nobody": (
        "This account is neither a child's nor a guardian's here",
        "A guardian can add it to the policy.",
    ),
}
