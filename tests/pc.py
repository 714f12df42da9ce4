"""A family's PC in memory on a Monday afternoon, and an engine that watches over a family that has used nothing yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from agent.clock import FakeClock, Instant, Millis
from agent.core.rules import Rules
from agent.core.schedule import wall_of
from agent.model.grant import Grant
from agent.model.usage import Usage
from agent.platforms.fake import FakeHost
from agent.service.engine import Engine
from tests.family import MONDAY


def computer(
    rules: Rules, *people: str, minute: int = 15 * 60, day: dt.date = MONDAY, host: type[FakeHost] = FakeHost
) -> FakeHost:
    """A PC with these accounts, a minute after it was switched on; ``minute`` of the day in the family's zone."""
    made = host(clock=FakeClock(Instant(wall_of(day, minute, rules.zone), 60_000, 60_000, "boot")))
    for name in people:
        made.add_account(name)
    return made


def engine(rules: Rules, grants: Callable[[], tuple[Grant, ...]] = tuple, floor: Millis = 0) -> Engine:
    """An engine with these grants, whoever's they are; ``floor`` as in ``Engine``."""
    return Engine(rules, lambda name, _: Usage(child=name, since="2026-01-01"), lambda _: grants(), floor=floor)
