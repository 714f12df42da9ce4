"""The weekly summary of five children from a ledger of 52 weeks."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from agent.core.rules import compile_policy
from agent.model.policy import Child
from agent.model.usage import Charge
from agent.resources import folder
from agent.service.store import Store
from agent.summary import html
from agent.summary.facts import gather
from agent.summary.weekly import weekly
from tests.bench.rows import Row, row
from tests.family import policy

TODAY = dt.date(2026, 11, 22)


def rows() -> list[Row]:
    """One row."""
    signed = policy((folder("policies") / "examples" / "family.toml").read_text(encoding="utf-8"))
    limits = signed.family.children[0].limits
    children = [Child(name=f"c{n}", accounts=[f"c{n}"], preset="teen", limits=limits) for n in range(5)]
    rules = compile_policy(replace(signed, family=replace(signed.family, children=children)))
    with tempfile.TemporaryDirectory() as place:
        store = Store.open(Path(place) / "state", machine_id="bench")
        for back in range(364):
            day = (TODAY - dt.timedelta(days=back)).isoformat()
            store.record(
                [
                    Charge(child=child.name, day=day, hour=hour, kind=kind, key=key, millis=600_000)
                    for child in children
                    for hour in (15, 16, 17, 18)
                    for kind, key in (("total", ""), ("program", "firefox"), ("program", "krita"), ("group", "school"))
                ],
                {},
            )
        before = time.perf_counter()
        page = html.render(weekly(gather(store, rules, TODAY, TODAY)))
        value = time.perf_counter() - before
        store.close()
    assert "c4" in page
    return [row("weekly summary, 5 children, 52 weeks of data", value, "s", 1.0)]
