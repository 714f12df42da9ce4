"""The resolver of a computer in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.filter.control import Ask, Outcome, Served, Trouble, Used
from agent.model.site import SiteLane


@dataclass(slots=True)
class FakeResolver:
    """A resolver that is told what holds; scenario code says what it saw (``heard``) and how it is (``change``)."""

    heard: Callable[[Used | Ask], None]
    changed: Callable[[], None]
    why: str = "The resolver has not started yet."
    served: tuple[Served, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    lanes: tuple[SiteLane, ...] = ()
    upstreams: tuple[str, ...] = ()
    books: list[Path | None] = field(default_factory=list)
    """Every book that it was given, the last one in force."""
    answers: dict[int, Outcome] = field(default_factory=dict)
    opened: bool = False

    def open(self) -> None:
        self.opened = True

    async def close(self) -> None:
        self.opened, self.served = False, ()

    def serve(self, lanes: Sequence[SiteLane], upstreams: Sequence[str]) -> None:
        self.lanes, self.upstreams, self.why = tuple(lanes), tuple(upstreams), ""
        self.served = tuple(
            Served(child=lane.plan.child, dns_port=5300 + 2 * n, page_port=5301 + 2 * n) for n, lane in enumerate(lanes)
        )
        self.changed()

    def lists(self, book: Path | None) -> None:
        self.books.append(book)

    def answered(self, number: int, outcome: Outcome) -> None:
        self.answers[number] = outcome

    def fail(self, why: str) -> None:
        """It has ended."""
        self.why, self.served, self.troubles = why, (), ()
        self.changed()

    def suffer(self, *troubles: Trouble) -> None:
        """Something about it is not as it should be."""
        self.troubles = troubles
        self.changed()
