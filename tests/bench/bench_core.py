"""One tick of the core: five children, fifty rules each, five hundred processes."""

from __future__ import annotations

import asyncio
import datetime as dt
import statistics
import time

from msgspec.structs import replace

from agent.clock import SECOND
from agent.core.rules import compile_policy
from agent.model.policy import Child, ProgramRule
from agent.model.program import ProgramId
from agent.resources import folder
from tests.bench.rows import Row, row
from tests.family import policy
from tests.pc import computer, engine

CHILDREN, RULES, PROCESSES = 5, 50, 500


def rows() -> list[Row]:
    """One row."""
    signed = policy((folder("policies") / "examples" / "family.toml").read_text(encoding="utf-8"))
    first = signed.family.children[0]
    listed = [ProgramRule(path=f"/opt/program{n}", budget={"all": "1h"}) for n in range(RULES - 1)]
    limits = replace(first.limits, windows={}, programs=[*listed, ProgramRule(group="games", action="block")])
    children = [Child(name=f"c{n}", accounts=[f"c{n}"], preset="teen", limits=limits) for n in range(CHILDREN)]
    rules = compile_policy(replace(signed, family=replace(signed.family, children=children)))
    host = computer(rules, *(child.name for child in children), minute=17 * 60, day=dt.date(2026, 3, 4))
    host.watch([child.name for child in children])
    for child in children:
        host.login(child.name)
    for number in range(PROCESSES):
        program = ProgramId(name=f"program{number % 60}", path=f"/opt/program{number % 60}", protected=True)
        host.start(f"c{number % CHILDREN}", program)
    watching = engine(rules, floor=host.clock.instant.wall)
    costs = []
    for _ in range(300):
        host.advance(SECOND)
        now, snapshot = host.clock.now(), asyncio.run(host.observe())
        before = time.thread_time_ns()
        watching.step(now, snapshot)
        costs.append((time.thread_time_ns() - before) / 1e6)
    name = f"one tick of the core: {CHILDREN} children, {RULES} rules each, {PROCESSES} processes"
    return [row(name, statistics.median(costs[50:]), "ms", 1.0)]
