"""What is wrong with a family, as a value; and what is asked of durations and hours wherever they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from agent.core.timewords import parse_duration, parse_hours
from agent.model.policy import ByDay, HoursByDay

DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.  ``where`` is a key path."""

    where: str
    title: str
    advice: str = ""
    error: bool = True

    def __str__(self) -> str:
        kind = "error" if self.error else "remark"
        return f"{kind}: {self.where}: {self.title}" + (f"\n  {self.advice}" if self.advice else "")


def near(name: str, among: Collection[str]) -> str:
    """“Did you mean …? ” when one of ``among`` is much like ``name``."""
    import difflib  # here: the service never guesses what was meant, and need not hold it

    near = difflib.get_close_matches(name, sorted(among), n=1)
    return f"Did you mean “{near[0]}”? " if near else ""


def by_day(table: ByDay | None, where: str) -> Iterator[Problem]:
    """Of minutes by the day."""
    for day, text in (table or {}).items():
        if parse_duration(text) > DAY_SECONDS:
            yield Problem(f"{where}.{day}", f"{text} is more than a day has", "A day has 24h.")


def hours(table: HoursByDay | None, where: str) -> Iterator[Problem]:
    """Of hours by the day."""
    for day, texts in (table or {}).items():
        spans = []
        for text in texts:
            try:
                start, end = parse_hours(text)
            except ValueError as error:
                yield Problem(f"{where}.{day}", str(error), 'Write hours such as "15:00-18:30".')
                continue
            spans.append((start, end if end > start else end + DAY_SECONDS // 60, text))
        spans.sort()
        for (_, end, first), (start, _, second) in pairwise(spans):
            if start < end:
                yield Problem(
                    f"{where}.{day}",
                    f"{first} and {second} overlap",
                    "Make one of them, or let them end and begin apart.",
                )
