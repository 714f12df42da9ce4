"""Sites: each child's plan, kept in step with policy, clock, use and grants, in every lane of this PC.

After each tick the plans are looked at again; one that is another goes to the resolver, and to the host's firewall and browsers
with the ports at which the resolver serves.  While it serves nowhere, the firewall refuses the children's questions: a name
then does not resolve, and nothing is open by accident.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.clock import SECOND, Instant
from agent.core.constraints import Moment
from agent.core.siteanswers import answer
from agent.core.siteplan import SitePlanner
from agent.core.siterules import asked_for, host_of
from agent.errors import FairtimeError, HostError, Refused, StoreError
from agent.filter.control import Ask, Outcome, Served, Used
from agent.ipc.answers import SiteTime
from agent.model.grant import Grant, Request
from agent.model.site import SiteLane, SitePlan
from agent.platforms.base import Finding, Host, Resolver
from agent.service.engine import Child
from agent.service.lists import Lists
from agent.service.loop import Loop
from agent.service.shortgroups import Short
from agent.service.siteuse import SiteUses
from agent.service.store import Store

log = logging.getLogger(__name__)

MOST_SHOWN = 12
RESOLVER, LANES = "resolver", "site-lanes"
"""Under which troubles the loop keeps what does not work."""
_SEVERITY: Mapping[str, str] = {
    "no-port": "weak",
    "lists": "weak",
    "group": "weak",
    "upstream": "note",
    "no-upstream": "note",
}
_ADVICE: Mapping[str, str] = {
    "no-port": "Other programs hold all ports; start the PC again.",
    "lists": "“fairtime lists update” reads the lists again.",
    "group": "Hand the list in (fairtime lists add NAME FILE), or take the group out of the rules.",
    "upstream": "The others are asked; look at the network's settings if it stays.",
    "no-upstream": "Is the PC online? Its name servers stand in /etc/resolv.conf, or in the policy's name_servers.",
}


@dataclass(slots=True)
class Sites:
    """Keeps them for as long as the service runs."""

    host: Host
    loop: Loop
    store: Store
    uses: SiteUses
    lists: Lists
    _resolver: Resolver | None = None
    _open: bool = False
    _planners: dict[str, SitePlanner] = field(default_factory=dict)
    _told: tuple[tuple[SiteLane, ...], tuple[str, ...]] | None = None
    _put: tuple[SiteLane, ...] | None = None
    _task: asyncio.Task[None] | None = None
    _listing: asyncio.Task[None] | None = None
    _damaged: bool = False
    short: Short = field(init=False)

    def __post_init__(self) -> None:
        self.short = Short(self._named, self._mind_host)

    # ---- life ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Keep sites from the next tick on, where the host can."""
        self._resolver = self.host.resolver(self._heard, self._changed)
        if self._resolver is not None:
            self.lists.changed = self._new_book
            self._listing = asyncio.create_task(self._prepare(), name="fairtime-site-lists")

    async def close(self) -> None:
        """End the resolver; the host's lanes end with the host."""
        resolver, self._resolver = self._resolver, None
        tasks = [task for task in (self._task, self._listing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self.short.close(), return_exceptions=True)
        if resolver is not None:
            await resolver.close()

    # ---- the lists -----------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """What was compiled before holds at once; what comes with the program is compiled the first time."""
        if self.lists.book is not None:
            self._new_book()
        await self.lists.ensure()
        if self.lists.book is None and self.lists.trouble is None:
            self._new_book()  # there are none; where they should be and are not, nothing resolves

    def _new_book(self) -> None:
        if self._resolver is not None:
            self._resolver.lists(self.lists.book)
            self.short.mind()

    def _mind_book(self, resolver: Resolver) -> None:
        """A book that the resolver cannot read is compiled again, once until one can be read."""
        before, self._damaged = self._damaged, any(trouble.kind == "lists" for trouble in resolver.troubles)
        if self._damaged and not before and (self._listing is None or self._listing.done()):
            self._listing = asyncio.create_task(self._rebuild(), name="fairtime-site-lists")

    async def _rebuild(self) -> None:
        try:
            await self.lists.rebuild()
        except FairtimeError as error:
            log.error("the lists cannot be compiled again: %s", error)  # the resolver's own trouble tells everyone

    def _named(self) -> tuple[Path | None, frozenset[str]]:
        """The book, and the groups that rules name."""
        lanes = self._told[0] if self._told is not None else ()
        return self.lists.book, frozenset(rule.group for lane in lanes for rule in lane.plan.groups)

    # ---- what holds ----------------------------------------------------------------------------------------------

    def plan(self, child: Child) -> SitePlan:
        """What holds for a child's sites now."""
        planner, at = self._planner(child)
        return planner.at(at, child.usage, child.grants)

    def times(self, child: Child) -> tuple[SiteTime, ...]:
        """What a child has used of the sites with minutes of their own, most first."""
        planner, at = self._planner(child)
        found = [
            SiteTime(title=limit.title, seconds=used // SECOND, left=max(0, (limit.budget or 0) - used) // SECOND)
            for limit, used in planner.used(at, child.usage)
        ]
        return tuple(sorted(found, key=lambda one: (-one.seconds, one.title))[:MOST_SHOWN])

    def _planner(self, child: Child) -> tuple[SitePlanner, Moment]:
        assert child.moment is not None, "asked before the first tick"
        name, at = child.rules.name, child.moment
        planner = self._planners.get(name)
        if planner is None or planner.plan is not at.plan:
            planner = self._planners[name] = SitePlanner(child.rules, at.plan)
        return planner, at

    def look(self, now: Instant) -> None:
        """After each tick: let the lanes follow.  Quick; nothing is done while nothing changes."""
        if self._resolver is None:
            return
        children = {name: child for name, child in self.loop.engine.children.items() if child.moment is not None}
        for name in self._planners.keys() - children.keys():
            del self._planners[name]
        self.uses.look(now, children)
        plans = {name: self.plan(child) for name, child in children.items()}
        servers = tuple(self.loop.engine.rules.policy.family.name_servers) or self.host.name_servers()
        lanes = tuple(
            SiteLane(plan=plan, accounts=tuple(children[name].rules.child.accounts), dns_port=0, page_port=0)
            for name, plan in plans.items()
        )
        if self._told is not None and self._told[1] == servers and _same(self._told[0], lanes):
            return
        self._told = (lanes, servers)
        if lanes and not self._open:
            self._open = True
            self._resolver.open()
        if self._open:
            self._resolver.serve(lanes, servers)
        self._mind_host()
        self.short.mind()

    def findings(self) -> Iterator[Finding]:
        """What of the sites guardians should know."""
        for planner in self._planners.values():
            for text in planner.unreadable:
                title = f"“{text}” is no host name: a site rule of {planner.rules.name} does nothing"
                yield Finding(f"site-name:{text}", "weak", title, "Correct it in the family file and sign it again.")
        for trouble in self._resolver.troubles if self._resolver is not None else ():
            severity = _SEVERITY.get(trouble.kind)
            if severity is not None:
                yield Finding(f"sites-{trouble.kind}:{trouble.about}", severity, trouble.text, _ADVICE[trouble.kind])

    # ---- the resolver --------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Where the resolver serves, or how it is, has changed."""
        resolver = self._resolver
        if resolver is None:
            return
        if resolver.why and self._open:
            self.loop.stumbled(RESOLVER, resolver.why)
        else:
            self.loop.recovered(RESOLVER)
        self._mind_book(resolver)
        self._mind_host()
        self.loop.changed()

    def _heard(self, message: Used | Ask) -> None:
        match message:
            case Used():
                self.uses.add(message, self.loop.wall, self._planners)
            case Ask(number=number, child=child, host=host):
                outcome: Outcome = self.ask(child, host) if child in self._planners else "refused"
                if self._resolver is not None:
                    self._resolver.answered(number, outcome)

    def ask(self, child: str, host: str) -> Outcome:
        """Enter what a child asked for on the page in the place of a site."""
        subject = asked_for(host)
        if subject is None:
            return "refused"
        said = self.answer(child, subject)
        if said is not None and said.kind == "site-refusal":
            return "no"
        # What is shut below a host that was opened is shut by a rule of its own, and can be asked for.
        if said is not None and host_of(said.subject) == subject:
            return "open"
        request = Request(id=secrets.token_hex(6), child=child, kind="site", subject=subject, asked=self.loop.wall)
        try:
            kept = self.store.add_request(request)
        except Refused:
            return "too-many"
        except StoreError as error:
            self.loop.stumbled("ledger", error.title, error.advice)
            return "refused"
        if kept.id != request.id:
            return "already"
        self.loop.changed()
        return "asked"

    def answer(self, child: str, host: str) -> Grant | None:
        """What a guardian said of a canonical host that this child asks for, while it holds."""
        return answer(host, self.loop.engine.grants_of(child), self.loop.wall)

    # ---- the host ------------------------------------------------------------------------------------------------

    def _mind_host(self) -> None:
        """Let the host's lanes follow, in a task of its own; the newest wish wins."""
        if self._told is not None and self._task is None and self._put != self._wanted():
            self._task = asyncio.create_task(self._follow(), name="fairtime-sites")

    async def _follow(self) -> None:
        try:
            while self._resolver is not None and self._put != (wanted := self._wanted()):
                self._put = wanted
                try:
                    await self.host.put_sites(wanted)
                except HostError as error:
                    self.loop.stumbled(LANES, f"{error.title}.", error.advice)
                else:
                    self.loop.recovered(LANES)
        finally:
            self._task = None

    def _wanted(self) -> tuple[SiteLane, ...]:
        """The lanes with the ports at which the resolver serves; 0 where it does not."""
        assert self._told is not None, "asked before there were plans"
        served = {one.child: one for one in self._resolver.served} if self._resolver is not None else {}
        nowhere = Served(child="", dns_port=0, page_port=0)
        return tuple(
            SiteLane(
                plan=lane.plan,
                accounts=lane.accounts,
                dns_port=at.dns_port,
                page_port=at.page_port,
                few=self.short.of(lane.plan),
            )
            for lane in self._told[0]
            for at in (served.get(lane.plan.child, nowhere),)
        )


def _same(before: tuple[SiteLane, ...], after: tuple[SiteLane, ...]) -> bool:
    """A planner gives the same object while nothing changes: no plan is read through at every tick."""
    return len(before) == len(after) and all(
        one.plan is other.plan and one.accounts == other.accounts for one, other in zip(before, after, strict=True)
    )
