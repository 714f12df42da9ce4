"""What the service does by the calendar, and the clock that it goes by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.clock import Clock, Instant
from agent.core.schedule import policy_day
from agent.service import jobs
from agent.service.chores import Job
from agent.service.doctor import Doctor
from agent.service.engine import Engine
from agent.service.loop import Loop
from agent.service.store import Store
from agent.summary.facts import gather
from agent.summary.wanted import Wanted

SUMMARIES = "summaries"


@dataclass(slots=True)
class TrustedClock:
    """The clock that calendar chores go by."""

    engine: Engine
    clock: Clock

    def now(self) -> Instant:
        """The host's instant with trusted wall time."""
        now = self.clock.now()
        keeper = self.engine.keeper
        if keeper is None or keeper.boot_id != now.boot_id:
            return now
        return Instant(keeper.wall + now.boot - keeper.boot, now.boot, now.awake, now.boot_id, now.synchronised)


def deeds(loop: Loop, store: Store, doctor: Doctor, state: Path) -> Mapping[str, Job]:
    """The chores by name: the page of the week, what is kept no longer, the spare copy of the ledger."""

    async def summary() -> None:
        """Keep the page of the week that ends now, one file a week."""
        today = loop.engine.today()
        protection, notes = doctor.verdict(None)
        loop.save()
        facts = gather(store, loop.engine.rules, today, today, protection=protection, notes=notes)
        page = await jobs.run("summary", msgspec.json.encode(Wanted(form="html", facts=facts)))
        place = state / SUMMARIES
        place.mkdir(mode=0o700, exist_ok=True)
        aside = place / f".{facts.first}.new"
        aside.write_bytes(page)
        aside.replace(place / f"{facts.first}.html")

    async def retention() -> None:
        today = loop.engine.today()
        weeks = loop.engine.rules.policy.family.retention_weeks
        before = (today - dt.timedelta(weeks=weeks)).isoformat()
        store.forget(before)
        for child, known in list(loop.learner.of.items()):
            if known.over and policy_day(known.until, loop.engine.rules.zone, 0).isoformat() < before:
                loop.learner.forget(child)
                loop.save_learning()
        for page in (state / SUMMARIES).glob("*.html"):
            if page.stem < before:
                page.unlink()

    async def backup() -> None:
        store.backup()

    return {"summary": summary, "retention": retention, "backup": backup}
