"""Firefox's managed policy, from the plans of the children that use this PC.

Pure.  Firefox reads it at its start only and has one file for all, so it gets what stands, and for every child: the doors
around the resolver, and the names that are blocked for good.  What an approval, the hour or the minutes used may open is left
to the resolver.  Any exception wins over any block (WebsiteFilter's documentation), so what is blocked below an open name is
left to it, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.core.hosts import is_address
from agent.core.sites import parents
from agent.filter.chromium import MOST, own_rules
from agent.model.site import SINK, SitePlan

ADDRESSES = tuple(f"*://*.{last}/*" for last in range(256))
"""Every IPv4 address: a pattern's ``*.1`` is the end of a host, and no name ends in a number (RFC 3696).  There is no such
pattern for IPv6."""
_LOCKED = {
    # What would answer names in the browser itself; a profile's own file could set it.
    "network.dns.forceResolve": "",
    "network.dns.localDomains": "",
    "network.trr.mode": 5,
}


def policy(plans: Sequence[SitePlan], ask: str = "", no_extension: str = "") -> dict[str, object]:
    """``ask``: the words of a bookmark to the page that asks.  ``no_extension``: why an extension cannot be added."""
    block, exceptions = lists(plans)
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


def lists(plans: Sequence[SitePlan]) -> tuple[list[str], list[str]]:
    """``(Block, Exceptions)``."""
    block = [] if all(_addresses(plan) for plan in plans) else list(ADDRESSES)
    block += (f"*://*.{host}/*" for host in standing(plans)[: MOST - len(block)])
    exceptions = dict.fromkeys([f"*://{SINK}/*"])
    shut = frozenset(standing(plans))
    for plan in plans:
        for host in (*plan.always, *(rule.host for rule in own_rules(plan) if rule.action != "block")):
            if is_address(host):
                exceptions[f"*://{f'[{host}]' if ':' in host else host}/*"] = None
            elif not shut.isdisjoint(parents(host)):
                exceptions[f"*://*.{host}/*"] = None
    if len(exceptions) > MOST:
        # An open name without its exception would be closed: then no name is, and the resolver has the word.
        return block[: 0 if len(block) < len(ADDRESSES) else len(ADDRESSES)], list(exceptions)[:MOST]
    return block, list(exceptions)


def standing(plans: Sequence[SitePlan]) -> list[str]:
    """Names that are blocked for each of these children whatever the hour, the most important first."""
    found: list[str] = []
    for number, plan in enumerate(plans):
        watched, always = frozenset(plan.watched), frozenset(plan.always)
        mine = [
            rule.host
            for rule in own_rules(plan)
            if rule.action == "block" and not rule.reason and watched.isdisjoint((rule.host, rule.rule))
        ]
        mine = [host for host in mine if always.isdisjoint(parents(host)) and not is_address(host)]
        found = mine if number == 0 else [host for host in found if not frozenset(mine).isdisjoint(parents(host))]
    return found


def _addresses(plan: SitePlan) -> bool:
    return plan.addresses and plan.otherwise == "allow"
