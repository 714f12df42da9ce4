"""Firefox's managed policy, from the plans of the children that use this PC.

Pure.  Firefox reads it at its start only and has one file for all, so it gets what stands, and for every child: the doors
around the resolver, and the names that are blocked for good.  What an approval, the hour or the minutes used may open is left
to the resolver.  Any exception wins over any block (WebsiteFilter's documentation), so what is blocked below an open name is
left to it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from agent.core.hosts import is_address
from agent.core.sites import parents
from agent.filter.chromium import MOST, NO_MEMBERS, own_rules, unknown
from agent.model.site import SINK, SitePlan

ADDRESSES = tuple(f"*://*.{last}/*" for last in range(256))
"""Every IPv4 address: a pattern's ``*.1`` is the end of a host, and no name ends in a number (RFC 3696).  There is no such
pattern for IPv6."""
Members = Mapping[str, Collection[str]]
_LOCKED = {
    # What would answer names in the browser itself; a profile's own file could set it.
    "network.dns.forceResolve": "",
    "network.dns.localDomains": "",
    "network.trr.mode": 5,
    # Firefox keeps an address for a minute and uses it for one more while it asks again; the resolver beside it is quick.  With
    # this it asks after a second; that one older than that is used once more cannot be taken away (nsHostRecord::SetExpiration).
    "network.dnsCacheExpiration": 1,
    "network.dnsCacheExpirationGracePeriod": 0,
}


def policy(
    plans: Sequence[SitePlan], members: Members = NO_MEMBERS, ask: str = "", no_extension: str = ""
) -> dict[str, object]:
    """``members``: the names of those groups that are known here.  ``ask``: the words of a bookmark to the page that asks.  ``no_extension``: why an extension cannot be added."""
    block, exceptions = lists(plans, members)
    found: dict[str, object] = {
        "WebsiteFilter": {"Block": block, "Exceptions": exceptions},
        "DNSOverHTTPS": {"Enabled": False, "Locked": True},
        "Proxy": {"Mode": "none", "Locked": True},
        "DisablePrivateBrowsing": True,
        "BlockAboutConfig": True,
        "ExtensionSettings": {"*": {"installation_mode": "blocked", "blocked_install_message": no_extension}},
        "Preferences": {name: {"Value": value, "Status": "locked"} for name, value in _LOCKED.items()},
    }
    if ask:
        found["Bookmarks"] = [{"Title": ask, "URL": f"http://{SINK}/", "Placement": "toolbar"}]
        found["SupportMenu"] = {"Title": ask, "URL": f"http://{SINK}/"}
    return found


def merged(theirs: Mapping[str, object], ours: Mapping[str, object]) -> dict[str, object]:
    """Another program's rules and ours in one file, ours before theirs; preferences one by one."""
    found = {**theirs, **ours}
    if isinstance(them := theirs.get("Preferences"), dict) and isinstance(us := ours.get("Preferences"), dict):
        found["Preferences"] = them | us
    return found


def lists(plans: Sequence[SitePlan], members: Members = NO_MEMBERS) -> tuple[list[str], list[str]]:
    """``(Block, Exceptions)``."""
    addresses = [] if all(_addresses(plan) for plan in plans) else list(ADDRESSES)
    names = standing(plans, members)[: MOST - len(addresses)]
    shut = frozenset(names)
    exceptions = dict.fromkeys([f"*://{SINK}/*"])
    for plan in plans:
        for host in (*plan.always, *(rule.host for rule in own_rules(plan, members) if rule.action != "block")):
            if is_address(host):
                exceptions[f"*://{f'[{host}]' if ':' in host else host}/*"] = None
            elif not shut.isdisjoint(parents(host)):
                exceptions[f"*://*.{host}/*"] = None
    if len(exceptions) > MOST:
        # An open name without its exception would be closed: then no name is, and the resolver has the word.
        return addresses, list(exceptions)[:MOST]
    return [*addresses, *(f"*://*.{host}/*" for host in names)], list(exceptions)


def standing(plans: Sequence[SitePlan], members: Members = NO_MEMBERS) -> list[str]:
    """Names that are closed for good for one of these children and that no other may visit, the most important first."""
    shut = [_shut(plan, members) for plan in plans]
    closed = [_closed(plan, frozenset(names), members) for plan, names in zip(plans, shut, strict=True)]
    named = {host: None for names in shut for host in names}
    return [host for host in named if all(for_one(host) for for_one in closed)]


def _shut(plan: SitePlan, members: Members) -> list[str]:
    """Names that a rule closes, whatever the hour."""
    watched, always = frozenset(plan.watched), frozenset(plan.always)
    return [
        rule.host
        for rule in own_rules(plan, members)
        if rule.action == "block" and not rule.reason and watched.isdisjoint((rule.host, rule.rule))
        if always.isdisjoint(parents(rule.host)) and not is_address(rule.host)
    ]


def _closed(plan: SitePlan, shut: frozenset[str], members: Members) -> Callable[[str], bool]:
    """Whether a name is closed for good, by a rule or because nothing opens it."""
    opens = {*plan.always, *(rule.host for rule in own_rules(plan, members))}
    unnamed = plan.otherwise == "block" and not unknown(plan, members)
    return lambda host: any(name in shut for name in parents(host)) or (unnamed and opens.isdisjoint(parents(host)))


def _addresses(plan: SitePlan) -> bool:
    return plan.addresses and plan.otherwise == "allow"
