"""A child's site rules, grants and use of the day, turned into the one plan that every lane is compiled from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.core.constraints import Moment
from agent.core.helphosts import HELP_HOSTS
from agent.core.hosts import is_address, read
from agent.core.rules import ChildRules, clock_words
from agent.model.grant import Grant
from agent.model.site import HostRule, SiteAction, SitePlan

_OTHERWISE: dict[str, SiteAction] = {"allow-list": "block", "block-list": "allow", "ask": "ask"}


def site_plan(rules: ChildRules, now: Moment, grants: Iterable[Grant]) -> SitePlan:
    """What holds for this child's sites now."""
    sites = now.plan.sites
    found: dict[str, HostRule] = {}
    for rule in (*_permits(rules, now, grants), *_listed(rules.name, sites.block, "block")):
        found.setdefault(rule.host, rule)
    for rule in _listed(rules.name, sites.allow, "allow"):
        found.setdefault(rule.host, rule)
    for rule in tuple(found.values()):
        # A list may name www.example.org by itself; whoever writes example.org means both.
        if not rule.host.startswith("www.") and "." in rule.host and not is_address(rule.host):
            twin = f"www.{rule.host}"
            found.setdefault(twin, HostRule(host=twin, action=rule.action, rule=rule.rule, reason=rule.reason))
    return SitePlan(
        child=rules.name,
        always=HELP_HOSTS,
        hosts=tuple(found.values()),
        otherwise=_OTHERWISE[sites.mode],
        addresses=sites.mode == "block-list",
        safe_search=sites.safe_search,
    )


def _permits(rules: ChildRules, now: Moment, grants: Iterable[Grant]) -> Iterator[HostRule]:
    """What guardians permitted for now: on the very host it comes before every rule."""
    for grant in grants:
        host = read(grant.subject) if grant.kind == "site" else None
        if host is not None and (grant.until is None or grant.until > now.wall):
            until = f" until {clock_words(grant.until, rules.zone)}" if grant.until else ""
            yield HostRule(
                host=host, action="allow", rule=f"grant/{grant.id}", reason=f"{grant.by} allowed {host}{until}."
            )


def _listed(child: str, names: Iterable[str], action: SiteAction) -> Iterator[HostRule]:
    for name in names:
        host = read(name)
        if host is not None:
            yield HostRule(host=host, action=action, rule=f"{child}/site:{host}")
