"""What the service says, in the language of the session: sentences from their parts, refusals from what the tray knows of.  Pure."""

from __future__ import annotations

from agent.core.saying import say
from agent.errors import FairtimeError, Refused
from agent.model.site import Said
from agent.tray.face import duration
from agent.words import Words, marked

TOO_MANY = marked("There were too many wrong tries from this account")
REFUSALS = (
    marked("Ask for at most four hours"),
    marked("A guardian can give more in one go."),
    marked("Name its host, such as example.org."),
    marked("You can ask again tomorrow."),
    marked("There are many open requests already."),
    marked("Wait until a guardian has answered some of them, then ask again."),
    marked("This is not the PIN"),
    marked("This is not the rescue code"),
    marked("Try again."),
    TOO_MANY,
    marked("There is no PIN yet"),
    marked("An administrator sets one with “fairtime setup”."),
    marked("Fairtime's service does not answer"),
    marked("Fairtime's service did not answer in time"),
    marked("Look whether it was done before you try again."),
    marked("The connection to Fairtime's service was lost"),
    marked("It may be starting again; try once more."),
    marked("The signed policy is missing."),
    marked("The policy file was exchanged for an older one."),
    marked("Until a guardian signs a policy, every standard account has an hour a day."),
)
"""Titles, advice and notes of the service that families meet, word for word; others are shown in English."""


def told(said: Said | None, text: str, words: Words) -> str:
    """``said`` in the session's language; ``text`` as it stands where it is somebody's own words."""
    return say(said, words) if said is not None else text


def noted(line: str, words: Words) -> str:
    """A line of the service without places to fill."""
    return words(line) if line else ""


def refused(error: FairtimeError, words: Words) -> tuple[str, str]:
    """Title and advice."""
    title = told(getattr(error, "said", None), noted(error.title, words), words)
    wait = error.retry_after if isinstance(error, Refused) else None
    if wait is None:
        return title, noted(error.advice, words)
    if wait < 2 * 60:
        advice = words.many("Wait {n} second before the next try.", "Wait {n} seconds before the next try.", wait)
    else:
        advice = words("Wait {time} before the next try.", time=duration(wait, words))
    if error.title == TOO_MANY:
        advice = words("{wait} The paper code works meanwhile.", wait=advice)
    return title, advice
