"""A job: what a plan says of one host, with the lists that are compiled now.  The service itself holds no list."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.core.sites import NO_NAMES, SiteMatcher
from agent.errors import FairtimeError
from agent.filter.lists.book import Book
from agent.model.sitewhy import Because, WhySite


def run(request: bytes) -> bytes:
    """``WhySite`` in, ``Because`` out."""
    asked = msgspec.json.decode(request, type=WhySite)
    try:
        matcher = SiteMatcher(asked.plan, Book.open(Path(asked.book)) if asked.book else NO_NAMES)
        found = Because(verdict=matcher.decide(asked.host), missing=matcher.missing)
    except FairtimeError as error:
        found = Because(title=error.title, advice=error.advice)
    return msgspec.json.encode(found)
