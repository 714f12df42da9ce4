"""May an account begin a session now, or open a locked one again?  What the login screen asks, and what it tells the child.

The same limits as ``core.decide``, asked about somebody who is not there yet: what will run is unknown, so minutes bind,
except where learning goes on when they are used up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.clock import Millis
from agent.core.constraints import Moment, allowance, paused
from agent.core.rules import ChildRules
from agent.model.grant import Grant
from agent.model.usage import Folding, Usage
from agent.model.verdict import Ladder


@dataclass(frozen=True, slots=True)
class Entry:
    """The answer; ``sentence`` is for the child, empty when it may come in, and ``rule`` is the limit that binds."""

    allowed: bool
    sentence: str = ""
    rule: str = ""


COME_IN = Entry(True)


def entry(
    rules: ChildRules,
    now: Moment,
    usage: Usage,
    grants: Iterable[Grant],
    folding: Folding,
    ladder: Ladder,
    boot: Millis,
) -> Entry:
    """The answer for one child at trusted time ``now.wall``; ``boot`` is the boot clock that ``ladder`` goes by."""
    grants = tuple(grants)
    if paused(grants, now.wall):
        return COME_IN
    left = allowance(rules, now, usage, grants, folding, counts=True)
    if left.remaining is None or left.remaining > 0 or left.binding is None:
        return COME_IN
    if now.plan.learning_after and left.only_minutes:
        return COME_IN
    locked = left.binding.kind == "lock"
    if now.plan.mode != "block" and not locked:
        return COME_IN
    if not locked and ladder.grace_from is not None and boot < ladder.grace_from + now.plan.grace:
        return COME_IN  # the child is saving its work, perhaps from behind a screen that locked itself
    return Entry(False, left.binding.sentence, left.binding.rule)
