"""What guardians said about sites, and which of their words hold: the last one said about a host, as long as it was said for.

A yes opens a host and all below it.  A no to what a child asked for holds until the policy's day ends: it opens nothing, it
answers whoever asks for that host or one below it again, and a later yes to the host, or above it, ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.clock import Millis
from agent.core.saying import say
from agent.core.siterules import host_of
from agent.core.sites import parents
from agent.model.grant import Grant
from agent.model.site import Said


def said(grants: Iterable[Grant], wall: Millis) -> tuple[Grant, ...]:
    """The yeses and noes to sites whose time is not over at trusted time ``wall``.  Quick: asked at every tick."""
    return tuple(g for g in grants if g.kind in ("site", "site-refusal") and (g.until is None or g.until > wall))


def last_words(words: Sequence[Grant]) -> dict[str, Grant]:
    """Which of ``words``, the oldest first, count: host → the last one said of it, without noes that a later yes ended."""
    found: dict[str, Grant] = {}
    opened: set[str] = set()
    for grant in reversed(words):
        host = host_of(grant.subject)
        if host is None or host in found:
            continue
        if grant.kind == "site":
            opened.add(host)
        elif not opened.isdisjoint(parents(host)):
            continue
        found[host] = grant
    return found


def answer(host: str, grants: Iterable[Grant], wall: Millis) -> Grant | None:
    """What was said of ``host``, which is canonical: of itself, or of the nearest name above it.  ``grants``: oldest first."""
    words = last_words(said(grants, wall))
    return next((words[name] for name in parents(host) if name in words), None)


def no_words(grant: Grant, host: str) -> str:
    """A no, for the child."""
    return say(no_said(grant, host))


def no_said(grant: Grant, host: str) -> Said:
    """The same, for other languages."""
    return Said("{by} said no to {host} for today.", (("by", grant.by), ("host", host)), grant.note or "")
