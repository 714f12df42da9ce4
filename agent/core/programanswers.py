"""A no to a program that a child asked for by name: it holds until the policy's day ends, and answers who asks for it again.

It closes nothing: what rules let run goes on running, and a program that is held or stopped has its own question, which rests
on its identity.  A later yes to the program ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.clock import Millis
from agent.core.judge import permitted
from agent.core.programs import Match
from agent.core.saying import say
from agent.model.grant import Grant
from agent.model.program import ProgramId
from agent.model.site import Said

ASKED = "asked:"
"""Begins the subject of such a no, which is therefore no program's identity (``judge.permitted``)."""
LONGEST = 200
"""Characters of a child's words for a program by which it is known again."""


def no_subject(identity: str, words: str) -> str:
    """What a no is kept under: what the program is known by, or, where there is none, the child's ``words`` for it."""
    return ASKED + (identity or _plain(words))


def answer(words: str, found: tuple[ProgramId, Match] | None, grants: Sequence[Grant], wall: Millis) -> Grant | None:
    """The last word on the program that a child asks for with these ``words``, which still holds at trusted time ``wall``.

    ``found``: the program that they mean, if there is one here.  ``grants``: the oldest first.
    """
    for grant in reversed(grants):
        if grant.kind not in ("program", "refusal") or (grant.until is not None and grant.until <= wall):
            continue
        about = grant.subject.removeprefix(ASKED)
        if grant.subject == ASKED + _plain(words):
            return grant
        if found is not None and permitted(about, found[0], found[1].key, found[1].strong):
            return grant
    return None


def no_words(grant: Grant) -> str:
    """A no, for the child."""
    return say(no_said(grant))


def no_said(grant: Grant) -> Said:
    """The same, for other languages."""
    return Said("{by} said no to {title} for today.", (("by", grant.by), ("title", grant.title)), grant.note)


def _plain(words: str) -> str:
    return " ".join(words.split()).casefold()[:LONGEST]
