"""A child's site rules on one day, with canonical hosts and minutes as numbers: what ``siteplan`` reckons with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.clock import Millis
from agent.core.hosts import read
from agent.core.rules import by_day
from agent.model.policy import HoursByDay, SiteRule, SiteRules
from agent.model.site import SiteAction, YouTube

Mode = Literal["allow-list", "block-list", "ask"]


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """One rule.  ``hosts`` are its own host or those of an own group; ``groups`` are those of lists."""

    id: str
    key: str
    """Under which the ledger keeps the minutes of a rule that has some."""
    title: str
    """As a guardian wrote it."""
    action: SiteAction
    single: bool
    """It names a host itself: on a tie it comes before groups."""
    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    budget: Millis | None = None
    hours: HoursByDay | None = None
    reason: str = ""

    @property
    def passing(self) -> bool:
        """It opens only for a time."""
        return self.budget is not None or bool(self.hours)


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """All of a child's rules for one day, as written: the order has no meaning."""

    rules: tuple[SiteLimit, ...]
    unreadable: tuple[str, ...] = ()
    """What stands where a host should and is none: such an entry does nothing, which must be told."""


def host_of(text: str) -> str | None:
    """The host that a rule means; ``*.example.org`` and ``.example.org`` are people's ways to say all below it."""
    return read(text.removeprefix("*").removeprefix("."))


def asked_for(text: str) -> str | None:
    """The site that a child means who names this host or address: ``www.`` before it is the same site."""
    host = host_of(text)
    return host[4:] if host is not None and host.startswith("www.") and host.count(".") > 1 else host


def mode_of(sites: SiteRules) -> Mode:
    """What holds for hosts that no rule names."""
    return sites.mode or "block-list"


def safe_search(sites: SiteRules) -> bool:
    return sites.safe_search is not False


def youtube(sites: SiteRules) -> YouTube:
    return sites.youtube or ("moderate" if safe_search(sites) else "off")


def site_limits(child: str, sites: SiteRules, own: Mapping[str, Sequence[str]], date: dt.date) -> SiteLimits:
    """The rules of ``sites`` on a date; ``own`` are the family's groups of sites."""
    unreadable: list[str] = []

    def hosts(texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            host = host_of(text)
            if host is not None:
                yield host
            else:
                unreadable.append(text)

    found: list[SiteLimit] = []
    short: tuple[tuple[SiteAction, list[str]], ...] = (("block", sites.block or []), ("allow", sites.allow or []))
    for action, texts in short:
        for text in texts:
            found += [SiteLimit(f"{child}/site:{host}", host, text, action, True, (host,)) for host in hosts([text])]
    for rule in sites.rules or ():
        if rule.host is not None:
            one = tuple(hosts([rule.host]))
            found.append(_limit(child, rule, one[0] if one else rule.host, rule.host, one, (), date))
        elif rule.group is not None:
            members = own.get(rule.group, [rule.group])
            names = tuple(dict.fromkeys(hosts(name for name in members if "." in name)))
            lists = tuple(dict.fromkeys(name for name in members if "." not in name))
            found.append(_limit(child, rule, rule.group, rule.group, names, lists, date))
    return SiteLimits(tuple(found), tuple(unreadable))


def _limit(
    child: str, rule: SiteRule, what: str, title: str, hosts: tuple[str, ...], groups: tuple[str, ...], date: dt.date
) -> SiteLimit:
    return SiteLimit(
        id=f"{child}/{rule.id or f'site:{what}'}",
        key=rule.id or what,
        title=title,
        action=rule.action,
        single=rule.host is not None,
        hosts=hosts,
        groups=groups,
        budget=by_day(rule.budget, date),
        hours=rule.hours,
        reason=rule.reason or "",
    )
