"""Groups that are short enough for the browsers' own lists: a job looks which these are, when the lists or the rules change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.errors import FairtimeError
from agent.model.site import SitePlan
from agent.model.sitewhy import ShortGroups
from agent.service import jobs

log = logging.getLogger(__name__)

MOST = 500
"""Names of a group; Chromium reads a thousand of all, the family's own rules among them."""
Named = tuple[Path | None, frozenset[str]]


@dataclass(slots=True)
class Short:
    """``named`` says which book is in force and which groups rules name; ``changed`` is called when the names are others."""

    named: Callable[[], Named]
    changed: Callable[[], None]
    task: asyncio.Task[None] | None = None
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _of: Named = (None, frozenset())

    def of(self, plan: SitePlan) -> dict[str, tuple[str, ...]]:
        """The short groups that a plan names, with their names."""
        return {rule.group: self._names[rule.group] for rule in plan.groups if rule.group in self._names}

    def mind(self) -> None:
        """The book or the rules may have changed."""
        if self.task is None and self._of != self.named():
            self.task = asyncio.create_task(self._look(), name="fairtime-short-groups")

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _look(self) -> None:
        try:
            while self._of != (named := self.named()):
                book, groups = self._of = named
                self._names = await _names(book, groups) if book is not None and groups else {}
                self.changed()
        finally:
            self.task = None


async def _names(book: Path, groups: frozenset[str]) -> dict[str, tuple[str, ...]]:
    asked = ShortGroups(book=str(book), groups=tuple(sorted(groups)), most=MOST)
    try:
        answer = await jobs.run("short-groups", msgspec.json.encode(asked))
    except FairtimeError as error:
        # The browsers then leave to the resolver what is in groups, which holds it all the same.
        log.warning("which groups are short is not known: %s", error)
        return {}
    return msgspec.json.decode(answer, type=dict[str, tuple[str, ...]])
