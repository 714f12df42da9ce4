"""The managed policy of Chromium and its family (Chrome, Edge, Brave, Vivaldi, Opera), from one child's plan.

Pure.  A filter ``example.org`` covers the host and all below it, the longest host wins, and allow beats block on a tie
(URLBlocklist's documentation): our own order but for the tie, so no name is in both lists.  What is blocked here is never
allowed by the plan; what the lists cannot hold (groups of any size, more than ``MOST`` rules) is left to the resolver.  A
browser reads it again while it runs, when the folder changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from agent.core.sites import STRICTNESS, parents
from agent.model.site import SINK, HostRule, SitePlan

MOST = 1000
"""Entries of a list that browsers promise to read."""
Brand = Literal["chromium", "chrome", "edge", "brave", "vivaldi", "opera"]
WEB = ("http://*", "https://*")
"""Every site, and nothing of the computer's own: files, the browser's pages."""
_DOORS = ("chrome://flags", "chrome://inspect", "chrome://net-internals")
_YOUTUBE = {"off": 0, "moderate": 1, "strict": 2}
NO_MEMBERS: Mapping[str, Collection[str]] = {}


def policy(
    plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS, brand: Brand = "chromium", ask: str = ""
) -> dict[str, object]:
    """``members``: the names of those groups that are known here.  ``ask``: the words of a bookmark to the page that asks."""
    allowed, blocked = lists(plan, members)
    found: dict[str, object] = {
        "URLBlocklist": blocked,
        "URLAllowlist": allowed,
        "ForceGoogleSafeSearch": plan.safe_search,
        "ForceYouTubeRestrict": _YOUTUBE[plan.youtube],
        "IncognitoModeAvailability": 1,
        "BrowserGuestModeEnabled": False,
        "BrowserAddPersonEnabled": False,
        # Names are asked for where the firewall sends them; encrypted questions to elsewhere would be refused anyway.
        "DnsOverHttpsMode": "off",
        "BuiltInDnsClientEnabled": False,
        # A name that its own rules close is not asked for ahead: what it knows of a name it keeps for a minute.
        "NetworkPredictionOptions": 2,
        "ExtensionInstallBlocklist": ["*"],
        "ProxySettings": {"ProxyMode": "direct"},
    }
    if ask:
        found["ManagedBookmarks"] = [{"toplevel_name": "Fairtime"}, {"name": ask, "url": f"http://{SINK}/"}]
    if brand == "edge":
        found |= {"InPrivateModeAvailability": 1, "ForceBingSafeSearch": 2 if plan.safe_search else 0}
    if brand == "brave":
        found |= {"TorDisabled": True, "BraveVPNDisabled": True}
    return found


def lists(plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> tuple[list[str], list[str]]:
    """``(URLAllowlist, URLBlocklist)``."""
    ruled = {rule.host: rule for rule in own_rules(plan, members)}
    always = frozenset(plan.always)
    closed = plan.otherwise != "allow" and not unknown(plan, members)
    allow = [*plan.always, *(host for host, rule in ruled.items() if rule.action == "allow" and host not in always)]
    if closed and len(allow) >= MOST:
        closed = False  # half a list of what is open would close the rest
    block = [rule.host for rule in ruled.values() if rule.action != "allow" and always.isdisjoint(parents(rule.host))]
    if closed:
        # Everything is closed, so only what lies below something open need be named.
        opened = frozenset(allow)
        block = [host for host in block if not opened.isdisjoint(list(parents(host))[1:])]
        return [SINK, *map(_filter, allow)], [*WEB, *_DOORS, *map(_filter, block)][:MOST]
    block = block[: MOST - len(_DOORS)]
    below = frozenset(block)
    allow = [host for host in allow if not below.isdisjoint(parents(host))]
    # An open name whose entry had no room would be closed by the one above it.
    lost = frozenset(allow[MOST - 1 :])
    if lost:
        block = [host for host in block if not any(host in parents(name) for name in lost)]
    return [SINK, *map(_filter, allow[: MOST - 1])], [*_DOORS, *map(_filter, block)]


def free(plan: SitePlan) -> bool:
    """Whether a plan closes nothing at all: then browsers are left as they are."""
    closes = [*(rule.action for rule in plan.hosts), *(rule.action for rule in plan.groups)]
    return {plan.otherwise, *closes} == {"allow"} and not plan.safe_search and plan.youtube == "off"


def unknown(plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> tuple[str, ...]:
    """Groups that are open and whose names are not known here, so that not everything else can be closed."""
    return tuple(rule.group for rule in plan.groups if rule.action == "allow" and rule.group not in members)


def own_rules(plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> list[HostRule]:
    """The strictest of a guardian's own rules for each host, then the strictest of the groups', the most important first;
    a group's name only where no host rule has it."""
    found: dict[str, HostRule] = {}
    for rule in plan.hosts:
        kept = found.get(rule.host)
        if kept is None or STRICTNESS[rule.action] > STRICTNESS[kept.action]:
            found[rule.host] = rule
    for group in sorted(plan.groups, key=lambda rule: -STRICTNESS[rule.action]):
        for host in members.get(group.group, ()):
            found.setdefault(host, HostRule(host=host, action=group.action, rule=group.rule, reason=group.reason))
    return list(found.values())


def _filter(host: str) -> str:
    return f"[{host}]" if ":" in host else host
