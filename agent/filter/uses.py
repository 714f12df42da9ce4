"""What one child's questions come to: which site, how often, in which minutes.  Counted in memory, told once a minute.

Full host names stay here: what is told is the registrable name above them, and nothing of what the rules keep unrecorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.core.sites import Ruling
from agent.model.site import SiteAction, SiteUse, WatchedUse

MOST = 1_000
"""Hosts of one child that are counted apart in a minute; a program that asks for names at random is not read by anybody."""


class Tally:
    """A number that goes up: whoever answers the same question again need not look it up."""

    __slots__ = ("action", "host", "rule", "times")

    def __init__(self, host: str, action: SiteAction, rule: str) -> None:
        self.host = host
        self.action = action
        self.rule = rule
        """The rule whose time is used; empty when none is."""
        self.times = 0


class Uses:
    """The tallies of one child."""

    def __init__(self, child: str) -> None:
        self._child = child
        self._tallies: dict[tuple[str, SiteAction], Tally] = {}

    def of(self, host: str, ruling: Ruling) -> Tally | None:
        """The tally of a host; ``None`` when there are too many this minute."""
        found = self._tallies.get((host, ruling.action))
        if found is None and len(self._tallies) < MOST:
            rule = ruling.rule if ruling.watched and ruling.action == "allow" else ""
            found = self._tallies[host, ruling.action] = Tally(host, ruling.action, rule)
        return found

    def watched(self) -> Iterator[WatchedUse]:
        """The rules whose time was used since the last ``take``."""
        for rule in sorted({tally.rule for tally in self._tallies.values() if tally.rule and tally.times}):
            yield WatchedUse(child=self._child, rule=rule, minutes=1)

    def take(self, registrable: Callable[[str], str]) -> Iterator[SiteUse]:
        """What was counted since the last time, by registrable name, and begin again: tallies that were
        given out must not be used any more."""
        sums: dict[tuple[str, SiteAction], int] = {}
        for tally in self._tallies.values():
            if tally.times:
                key = registrable(tally.host), tally.action
                sums[key] = sums.get(key, 0) + tally.times
                tally.times = 0
        for (host, action), asked in sums.items():
            yield SiteUse(child=self._child, host=host, action=action, asked=asked, minutes=1)
        self._tallies.clear()
