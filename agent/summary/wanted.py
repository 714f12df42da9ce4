"""What the service asks of the job that renders summaries."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.summary.facts import WeekFacts


class Wanted(Struct, frozen=True, kw_only=True):
    """Which page of which facts."""

    form: Literal["json", "html", "text"]
    facts: WeekFacts
