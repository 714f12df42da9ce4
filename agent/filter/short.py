"""A job: the names of short groups, for the browsers' own lists.  The service itself holds no list."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.filter.lists.book import Book
from agent.model.sitewhy import ShortGroups


def run(request: bytes) -> bytes:
    """``ShortGroups`` in, the names by group out."""
    asked = msgspec.json.decode(request, type=ShortGroups)
    return msgspec.json.encode(Book.open(Path(asked.book)).short(asked.groups, asked.most))
