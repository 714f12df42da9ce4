"""``fairtime simulate``: what a policy would mean, over weeks of a made-up family on a computer in memory."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import tempfile
from pathlib import Path

import msgspec

from agent.cli import options as shared
from agent.cli.times import date
from agent.clock import SECOND
from agent.core.timewords import duration_words

START = dt.date(2026, 3, 2)
"""A Monday four weeks before clocks change in Europe: the last day has 23 hours."""


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("simulate", help="weeks of a made-up family under a policy, in seconds")
    one.add_argument("--policy", type=Path, required=True, help="family.toml or a signed policy")
    one.add_argument("--days", type=int, default=28, help="how many (default: %(default)s)")
    one.add_argument("--seed", type=int, default=1, help="other chances (default: %(default)s)")
    one.add_argument("--start", type=date, default=START, help="first day (default: %(default)s)")
    one.add_argument("--out", type=Path, help="folder for the ledger and the summaries (default: a new one)")
    shared.as_json(one)
    one.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    from agent.cli.policy import either
    from agent.core.rules import compile_policy
    from agent.errors import FairtimeError
    from agent.service.simulation import Simulation, weeks_of
    from agent.service.store import Store
    from agent.summary import html
    from agent.summary.facts import gather
    from agent.summary.weekly import weekly

    if not 1 <= options.days <= 366:
        raise FairtimeError("A simulation lasts from 1 to 366 days", "Choose fewer with --days.")
    rules = compile_policy(either(options.policy))
    folder = options.out or Path(tempfile.mkdtemp(prefix="fairtime-simulated-"))
    if (folder / "ledger.db").exists():
        raise FairtimeError("There is a ledger in this folder already", "Choose an empty one.", where=str(folder))
    store = Store.open(folder, machine_id="simulated")
    try:
        simulation = Simulation(rules, store, options.start, options.days, options.seed)
        asyncio.run(simulation.run())
        pages = []
        for monday in weeks_of(options.start, options.days):
            last = options.start + dt.timedelta(days=options.days - 1)
            week = weekly(gather(store, rules, monday, last, protection="simulated"))
            page = folder / f"week-{monday}.html"
            page.write_text(html.render(week), encoding="utf-8")
            page.with_suffix(".json").write_bytes(msgspec.json.encode(week))
            pages.append(str(page))
        ledger = str(store.path)
    finally:
        store.close()
    totals = {
        name: {"total_seconds": one["total"] // SECOND, "total_millis": one["total"], **one}
        for name, one in simulation.totals.items()
    }
    if options.json:
        print(
            json.dumps(
                {
                    "days": options.days,
                    "seed": options.seed,
                    "start": options.start.isoformat(),
                    "ledger": ledger,
                    "summaries": pages,
                    "children": totals,
                }
            )
        )
        return 0
    for name, one in totals.items():
        used, extra = duration_words(one["total"]), duration_words(one["extra"])
        print(f"{name}: {used} counted, {extra} of it extra; {one['notices']} notices, {one['blocked']} not allowed")
    print(f"ledger: {ledger}")
    for page_path in pages:
        print(page_path)
    return 0
