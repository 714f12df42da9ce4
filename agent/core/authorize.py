"""The privilege model on one page: who may ask the service for what.

A *child* (a child's account) sees and asks for itself.  A *guardian* (a guardian's account) and an *administrator* (root)
read everything.  Whoever proves the PIN has the guardian's rights on that connection for two minutes, also in a child's
session: that is how a guardian adds time on the spot.  Everybody else is told who they are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.ipc.protocol import (
    AcceptClock,
    Answer,
    Ask,
    Body,
    DeleteHistory,
    GetAgreement,
    GetAudit,
    GetDoctor,
    GetRecorded,
    GetStatus,
    GetWeek,
    GetWhy,
    Give,
    Hello,
    Install,
    ListRequests,
    Prove,
    Release,
    SetGoal,
    SetPin,
    Subscribe,
)

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

TABLE: Mapping[type[Body], tuple[frozenset[Role], bool]] = {
    # call: (roles that may make it, whether it needs the PIN)
    Hello: (ALL, False),
    GetStatus: (KNOWN, False),
    GetWeek: (KNOWN, False),
    GetAgreement: (KNOWN, False),
    GetRecorded: (KNOWN, False),
    GetWhy: (KNOWN, False),
    GetDoctor: (KNOWN, False),
    ListRequests: (KNOWN, False),
    Subscribe: (KNOWN, False),
    GetAudit: (ADULT, False),
    Ask: (CHILD, False),
    SetGoal: (CHILD, False),
    Prove: (KNOWN, False),
    Give: (KNOWN, True),
    Release: (KNOWN, True),
    Answer: (KNOWN, True),
    SetPin: (KNOWN, True),
    AcceptClock: (KNOWN, True),
    DeleteHistory: (ADULT, True),
    Install: (ADULT, False),  # the signatures are its authority
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


def may(caller: Who, body: Body, *, proven: bool) -> Ruling:
    """Whether ``caller`` may make this call; ``proven``: the PIN was proved on this connection within ``RIGHTS_LAST``."""
    roles, needs_pin = TABLE[type(body)]
    if caller.role not in roles:
        return Ruling(False, *_REFUSED[caller.role])
    if needs_pin and not proven:
        return Ruling(False, "This needs a guardian's PIN", "Enter the PIN, then try again within two minutes.")
    about = getattr(body, "child", None)
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
