"""The job ``summary``: facts in, a page out."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from agent.summary.facts import WeekFacts
from agent.summary.weekly import weekly


class Wanted(Struct, frozen=True, kw_only=True):
    """Which page of which facts."""

    form: Literal["json", "html", "text"]
    facts: WeekFacts


def run(request: bytes) -> bytes:
    """Render."""
    wanted = msgspec.json.decode(request, type=Wanted)
    week = weekly(wanted.facts)
    match wanted.form:
        case "json":
            return msgspec.json.encode(week)
        case "text":
            from agent.summary import text

            return text.render(week).encode()
        case "html":
            from agent.summary import html

            return html.render(week).encode()
