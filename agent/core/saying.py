"""Sentences that the rules give as a reason, filled in, in English or in whatever language ``words`` are in."""

from __future__ import annotations

from collections.abc import Callable

from agent.model.site import Said

Translate = Callable[..., str]
"""Gives a sentence, with its places filled after it was translated (``agent.words.Words``)."""


def english(sentence: str, **places: object) -> str:
    return sentence.format(**places) if places else sentence


def say(said: Said, words: Translate = english) -> str:
    """The sentence, and after it what somebody added in words of their own."""
    places = {name: length(value, words) if isinstance(value, int) else value for name, value in said.places}
    text = words(said.text, **places)
    return f"{text} {said.note}" if said.note else text


def length(seconds: int, words: Translate = english) -> str:
    """``1 h 05 min``, ``12 min``, ``40 s``: rounded down, so that nobody is promised a minute too much."""
    if seconds < 60:
        return words("{seconds} s", seconds=seconds)
    hours, minutes = divmod(seconds // 60, 60)
    if not hours:
        return words("{minutes} min", minutes=minutes)
    if not minutes:
        return words("{hours} h", hours=hours)
    two = f"{minutes:02d}"
    return words("{hours} h {minutes} min", hours=hours, minutes=two)
