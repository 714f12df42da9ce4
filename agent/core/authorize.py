"""The privilege model on one page: who may ask the service for what.

A *child* (a child's account) sees and asks for itself.  A *guardian* (a guardian's account) and an *administrator* (root)
read everything.  Whoever proves the PIN has the guardian's rights on that connection for two minutes, also in a child's
session: that is how a guardian adds time on the spot.  Everybody else is told who they are not.
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

TABLE: Mapping[str, tuple[frozenset[Role], bool]] = {
    # tag of the call: (roles that may make it, whether it needs the PIN)
    "hello": (ALL, False),
    "status": (KNOWN, False),
    "week": (KNOWN, False),
    "agreement": (KNOWN, False),
    "recorded": (KNOWN, False),
    "why": (KNOWN, False),
    "doctor": (KNOWN, False),
    "requests": (KNOWN, False),
    "subscribe": (KNOWN, False),
    "audit": (ADULT, False),
    "ask": (CHILD, False),
    "goal": (CHILD, False),
    "prove": (KNOWN, False),
    "give": (KNOWN, True),
    "release": (KNOWN, True),
    "answer": (KNOWN, True),
    "set-pin": (KNOWN, True),
    "accept-clock": (KNOWN, True),
    "delete-history": (ADULT, True),
    "install": (ADULT, False),  # the signatures are its authority
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
    roles, needs_pin = TABLE[call]
    if caller.role not in roles:
        return Ruling(False, *_REFUSED[caller.role])
    if needs_pin and not proven:
        return Ruling(False, "This needs a guardian's PIN", "Enter the PIN, then try again within two minutes.")
    if caller.role == "child" and not proven and about not in (None, caller.child):
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
