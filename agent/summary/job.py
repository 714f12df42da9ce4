"""The job ``summary``: facts in, a page out."""

from __future__ import annotations

import msgspec

from agent.summary.wanted import Wanted
from agent.summary.weekly import weekly


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
