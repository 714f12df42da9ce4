"""Time is up and the grace is over: which sessions are ended how, now and each time it is undone."""

from __future__ import annotations

from collections.abc import Iterable

from agent.clock import SECOND
from agent.core.activity import CONFIRM_AFTER, of_session
from agent.core.rules import Plan
from agent.model.policy import Ending
from agent.model.snapshot import Session
from agent.model.usage import Folding
from agent.model.verdict import Clear, EndSession

AT_THE_KEYS = 5 * SECOND


def endings(child: str, plan: Plan, sessions: Iterable[Session], folding: Folding, rule: str) -> list[EndSession]:
    """What to end.  A log-out takes every session of the account along: nothing of it goes on in the background."""
    sessions = tuple(sessions)
    found = {s.id: _ending(plan, s, folding) for s in sessions if s.active}
    leaving = {s.account for s in sessions if found.get(s.id) == "logout" == plan.ending}
    due = []
    for session in sessions:
        ending: Ending | None = "logout" if session.account in leaving and not session.within else found.get(session.id)
        if ending is not None:
            due.append(EndSession(child=child, session=session.id, account=session.account, ending=ending, rule=rule))
    return due


def clearing(child: str, plan: Plan, leftovers: Iterable[str], rule: str) -> list[Clear]:
    """After a log-out nothing of an account goes on without a session: no service, no job, nothing left behind."""
    if plan.ending != "logout":
        return []
    return [Clear(child=child, account=account, rule=rule) for account in leftovers]


def frozen_on(plan: Plan, *, held: bool) -> bool:
    """Whether what is frozen stays so.  ``held``: time is up, and the policy does more than tell."""
    return held and plan.ending == "freeze"


def _ending(plan: Plan, session: Session, folding: Folding) -> Ending | None:
    _, lie = of_session(session)
    if not session.locked_hint:
        return plan.ending
    if lie:
        # A session that claims to be locked while its programs are at work will not be held by another lock.
        return "logout" if plan.ending == "lock" else plan.ending
    if _typed_at(session, folding):
        return plan.ending
    return None


def _typed_at(session: Session, folding: Folding) -> bool:
    """Whether somebody has been at the keys of a screen that says it is locked, for longer than a password takes.

    Each of its programs may set that hint.  To lock it once more means to put the login screen in front of it, which none
    of them can do away with.
    """
    at_it = session.input_idle is not None and session.input_idle < AT_THE_KEYS
    return at_it and folding.unconfirmed >= CONFIRM_AFTER
