"""Sentences that the rules give as a reason, filled in, in English or in whatever language ``words`` are in."""

from __future__ import annotations

from collections.abc import Callable

from agent.model.site import Said

_NOTHING = ""
Translate = Callable[..., str]
"""Gives a sentence, with its places filled after it was translated (``agent.words.Words``)."""


def english(sentence: str, /, **places: object) -> str:
    return sentence.format(**places) if places else sentence


def say(said: Said, words: Translate = english) -> str:
    """The sentence, and after it what somebody added in words of their own."""
    text = said.text
    if said.places:
        # A loop, and no function for each place: every limit of every child is said at every tick.
        places: dict[str, object] = {}
        for name, value in said.places:
            if isinstance(value, int):
                places[name] = length(value, words)
            else:
                places[name] = say(value, words) if isinstance(value, Said) else value
        text = text.format(**places) if words is english else words(text, **places)
    elif text and words is not english:
        text = words(text)
    return f"{text} {said.note}".strip() if said.note else text


def own(text: str) -> Said:
    """What somebody said in words of their own: the same in every language."""
    return Said(_NOTHING, note=text)


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
