"""One tick of the core: five children, fifty rules each, five hundred processes."""

from __future__ import annotations

import asyncio
import datetime as dt
import statistics
import time
from typing import Any

from msgspec.structs import replace

from agent.clock import SECOND, FakeClock, Instant
from agent.core.family import build_policy, parse
from agent.core.rules import compile_policy
from agent.core.schedule import wall_of
from agent.model.policy import Child, ProgramRule
from agent.model.program import ProgramId
from agent.model.usage import Usage
from agent.platforms.fake import FakeHost
from agent.resources import folder, load_catalogue, load_presets
from agent.service.engine import Engine

CHILDREN, RULES, PROCESSES = 5, 50, 500


def rows() -> list[dict[str, Any]]:
    """One row."""
    text = (folder("policies") / "examples" / "family.toml").read_text(encoding="utf-8")
    policy = build_policy(
        parse(text), load_catalogue(), load_presets(), policy_id="b", version=1, issued="2026-01-01T00:00:00Z"
    )
    first = policy.family.children[0]
    listed = [ProgramRule(path=f"/opt/program{n}", budget={"all": "1h"}) for n in range(RULES - 1)]
    limits = replace(first.limits, windows={}, programs=[*listed, ProgramRule(group="games", action="block")])
    children = [Child(name=f"c{n}", accounts=[f"c{n}"], preset="teen", limits=limits) for n in range(CHILDREN)]
    rules = compile_policy(replace(policy, family=replace(policy.family, children=children)))
    wall = wall_of(dt.date(2026, 3, 4), 17 * 60, rules.zone)
    host = FakeHost(clock=FakeClock(Instant(wall, 60_000, 60_000, "b")))
    for child in children:
        host.add_account(child.name)
    host.watch([child.name for child in children])
    for child in children:
        host.login(child.name)
    for number in range(PROCESSES):
        program = ProgramId(name=f"program{number % 60}", path=f"/opt/program{number % 60}", protected=True)
        host.start(f"c{number % CHILDREN}", program)
    engine = Engine(rules, lambda child, _: Usage(child=child), lambda _: (), floor=wall)
    costs = []
    for _ in range(300):
        host.advance(SECOND)
        now, snapshot = host.clock.now(), asyncio.run(host.observe())
        before = time.thread_time_ns()
        engine.step(now, snapshot)
        costs.append((time.thread_time_ns() - before) / 1e6)
    value = round(statistics.median(costs[50:]), 3)
    return [
        {
            "name": f"one tick of the core: {CHILDREN} children, {RULES} rules each, {PROCESSES} processes",
            "value": value,
            "unit": "ms",
            "bar": 1.0,
            "holds": value <= 1.0,
            "peer": "",
            "peer_value": None,
            "ratio": None,
        }
    ]
