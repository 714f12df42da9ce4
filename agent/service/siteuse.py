"""Use of sites, from the resolver's word to the ledger: registrable hosts, whole minutes and counts, nothing more.

A minute counts when the child was at the PC in it; what programs ask for in an empty chair is nobody's use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.clock import MINUTE, SECOND, Instant, Millis
from agent.core.constraints import paused
from agent.core.schedule import local, policy_day
from agent.core.siteplan import SitePlanner
from agent.filter.control import Used
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.service.engine import Child
from agent.service.loop import Loop

MOST_HOSTS = 300
"""Different hosts of one child on one day; what goes beyond adds up under ``OTHERS``."""
MOST_BLOCKED = 60
OTHERS = "(others)"
_SEEN_WITHIN = 75 * SECOND
"""Boot time since a child was last in use, when a minute's report arrives, for the minute to count."""


@dataclass(slots=True)
class SiteUses:
    """``known`` reads the hosts that the ledger has of a child's day."""

    loop: Loop
    known: Callable[[str, str], set[str]]
    _last: dict[str, Millis] = field(default_factory=dict)
    _children: Mapping[str, Child] = field(default_factory=dict)
    _hosts: dict[str, tuple[str, set[str], set[str]]] = field(default_factory=dict)
    _boot: Millis = 0

    def look(self, now: Instant, children: Mapping[str, Child]) -> None:
        """After each tick: who is at the PC."""
        self._boot, self._children = now.boot, children
        for name, child in children.items():
            if child.folding.in_use:
                self._last[name] = now.boot

    def add(self, used: Used, wall: Millis, planners: Mapping[str, SitePlanner]) -> None:
        """A minute that has just ended."""
        rules = self.loop.engine.rules
        at = wall - 30 * SECOND
        day, hour = policy_day(at, rules.zone, rules.reset).isoformat(), local(at, rules.zone).hour
        charges: list[Charge] = []
        for site in used.sites:
            if not self._in_use(site.child):
                continue
            if site.action == "allow":
                host = self._kept(site.child, day, site.host, blocked=False)
                charges.append(
                    Charge(child=site.child, day=day, hour=hour, kind="site", key=host, millis=site.minutes * MINUTE)
                )
            else:
                host = self._kept(site.child, day, site.host, blocked=True)
                text = f"{host} was asked for and is not open."
                self.loop.enter(
                    LedgerEvent(
                        at=wall,
                        day=day,
                        child=site.child,
                        kind="site-blocked",
                        subject=host,
                        text=text,
                        count=site.minutes,
                    )
                )
        for watched in used.watched:
            planner = planners.get(watched.child)
            key = planner.keys.get(watched.rule) if planner is not None else None
            if (
                key is not None
                and self._in_use(watched.child)
                and not paused(self._children[watched.child].grants, wall)
            ):
                charges.append(
                    Charge(
                        child=watched.child,
                        day=day,
                        hour=hour,
                        kind="site-rule",
                        key=key,
                        millis=watched.minutes * MINUTE,
                    )
                )
        if charges:
            self.loop.charge(charges)

    def _in_use(self, child: str) -> bool:
        last = self._last.get(child)
        return child in self._children and last is not None and self._boot - last <= _SEEN_WITHIN

    def _kept(self, child: str, day: str, host: str, *, blocked: bool) -> str:
        """The host, or ``OTHERS`` for a child that asks for names at random."""
        found = self._hosts.get(child)
        if found is None or found[0] != day:
            found = self._hosts[child] = (day, self.known(child, day), set())
        names, most = (found[2], MOST_BLOCKED) if blocked else (found[1], MOST_HOSTS)
        if host not in names:
            if len(names) >= most:
                return OTHERS
            names.add(host)
        return host
