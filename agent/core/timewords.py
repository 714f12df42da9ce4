"""The words of ``family.toml`` for time, read into numbers: durations, times of day, hours; and a time as faces show it.

The model's patterns have been checked before; what they cannot say (a minute 75, an hour 25) raises ``ValueError`` here,
with words for a guardian.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent.clock import SECOND, Millis
from agent.core.saying import length
from agent.model.site import Said

if TYPE_CHECKING:  # zones take longer to import than a whole command may
    from agent.core.schedule import MinuteSpan

_DURATION = re.compile(r"(?=.)(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?", re.ASCII)
_CLOCK = re.compile(r"(\d{2}):(\d{2})", re.ASCII)
DAY_MINUTES = 24 * 60
_WHEN = (
    Said("on Monday at {time}"),
    Said("on Tuesday at {time}"),
    Said("on Wednesday at {time}"),
    Said("on Thursday at {time}"),
    Said("on Friday at {time}"),
    Said("on Saturday at {time}"),
    Said("on Sunday at {time}"),
)


def parse_duration(text: str) -> int:
    """Seconds of ``"1h30m"``, ``"45m"``, ``"60s"``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"“{text}” is not a length of time such as “1h30m”, “45m” or “60s”")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def write_duration(seconds: int) -> str:
    """The shortest words that ``parse_duration`` reads as ``seconds``."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0m"


def duration_words(millis: Millis) -> str:
    """``1 h 05 min``, ``12 min``, ``40 s``: as faces show it, rounded down so that nobody is promised a minute too much."""
    return length(max(0, millis) // SECOND)


def when(weekday: int, time: str) -> Said:
    """``on Monday at 17:30``; ``weekday`` is 0 for Monday."""
    return Said(_WHEN[weekday].text, (("time", time),))


def parse_clock(text: str) -> int:
    """Minutes since midnight of ``"HH:MM"``; ``24:00`` is the end of a day."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"“{text}” is not a time of day such as “17:30”")
    hour, minute = int(found[1]), int(found[2])
    if minute > 59 or hour > 24 or (hour == 24 and minute):
        raise ValueError(f"“{text}” is no time of a day: 00:00 is its start and 24:00 its end")
    return hour * 60 + minute


def parse_hours(text: str) -> MinuteSpan:
    """Start and end of ``"15:00-18:30"``; an end at or before the start lies on the next day."""
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f"“{text}” are not hours such as “15:00-18:30”")
    opens, closes = parse_clock(start), parse_clock(end)
    if opens == DAY_MINUTES:
        raise ValueError(f"“{text}”: hours cannot begin at 24:00; write 00:00 on the next day")
    if opens == closes:
        raise ValueError(f"“{text}” begins and ends at the same minute; write 00:00-24:00 for a whole day")
    return opens, closes
