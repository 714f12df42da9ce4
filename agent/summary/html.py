"""The week as one page of HTML: nothing from elsewhere, charts as inline SVG with their numbers beside them.

Runs in the job process: Jinja2 escapes everything, because titles and requests come from children.
"""

from __future__ import annotations

from jinja2 import Environment, StrictUndefined

from agent.summary.page import PAGE
from agent.summary.text import words
from agent.summary.weekly import DayLine, Week


def render(week: Week) -> str:
    """The page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["words"] = words
    environment.globals["bar"] = bar
    return environment.from_string(PAGE).render(week=week)


def bar(day: DayLine, days: tuple[DayLine, ...]) -> dict[str, float]:
    """Widths of a day's bar in percent of the longest day or budget of the week."""
    longest = max([3600, *(max(d.seconds, d.budget or 0) for d in days)])
    within = min(day.seconds, day.budget) if day.budget is not None else day.seconds
    return {
        "within": round(100 * within / longest, 2),
        "beyond": round(100 * (day.seconds - within) / longest, 2),
        "budget": round(100 * (day.budget or 0) / longest, 2),
    }
