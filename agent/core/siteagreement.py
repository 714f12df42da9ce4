"""The site rules in the plain language of the agreement."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.browsers import closes
from agent.core.rules import ChildRules, Plan
from agent.core.siterules import SiteLimit, mode_of, safe_search, site_limits, youtube
from agent.core.timewords import duration_words
from agent.model.policy import HoursByDay

_FIRST = {
    "allow-list": "Only what is named here is open. You can ask for any other site; a no holds for the day.",
    "block-list": "All sites are open, except what is named here.",
    "ask": "A site that is not named here opens when you ask for it and a guardian says yes. A no holds for the day.",
}
_WORDS = {"allow": "open", "ask": "only after asking", "block": "closed"}


def site_sentences(rules: ChildRules, plan: Plan, days: Mapping[str, str]) -> list[str]:
    """One sentence a rule; ``days`` are the names of the policy's days."""
    sites = plan.sites
    found = [_FIRST[mode_of(sites)]]
    limits = site_limits(rules.name, sites, rules.family.site_groups, plan.date).rules
    short = len(limits) - len(sites.rules or ())
    for action in ("allow", "block"):
        names = [limit.title for limit in limits[:short] if limit.action == action]
        if names:
            word = _WORDS[action]
            found.append(f"{word[0].upper()}{word[1:]}: {', '.join(names)}.")
    found += [_sentence(limit, days) for limit in limits[short:]]
    if closes(sites):
        found.append("Browsers that do not keep these rules are closed, unless a guardian allows one by name.")
    if safe_search(sites):
        found.append("Search engines leave out what is not for children.")
    if youtube(sites) != "off":
        found.append("YouTube leaves out what is not for your age.")
    return found


def _sentence(limit: SiteLimit, days: Mapping[str, str]) -> str:
    within = f" ({', '.join((*limit.hosts, *limit.groups))})" if limit.hosts and not limit.single else ""
    more = f", {duration_words(limit.budget)} today" if limit.budget is not None else ""
    more += _hours(limit.hours, days) if limit.hours else ""
    why = f" {limit.reason}" if limit.reason else ""
    return f"{limit.title}{within}: {_WORDS[limit.action]}{more}.{why}"


def _hours(table: HoursByDay, days: Mapping[str, str]) -> str:
    spans = (
        f"{days[day]} {' and '.join(h.replace('-', ' to ') for h in hours) or 'not'}" for day, hours in table.items()
    )
    return ", " + "; ".join(spans)
