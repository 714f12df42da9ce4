"""What is wrong with site rules and groups of sites: names that are no hosts, rules that say nothing or too much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.core.helphosts import HELP_HOSTS
from agent.core.hosts import is_address, read
from agent.core.problems import Problem, by_day, hours, near
from agent.core.siterules import host_of
from agent.core.sites import parents
from agent.model.policy import SiteRule, SiteRules

MOST_HOSTS = 5000
"""That a child's own rules may name, groups included; more belong into a list."""
_SERVER = re.compile(
    r"(\d+\.){3}\d+(:\d+)?|\[[0-9a-f:.]+\](:\d+)?|[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*", re.ASCII | re.IGNORECASE
)
_LONG = "Hand them in as a list: fairtime lists add NAME FILE."


@dataclass(frozen=True, slots=True)
class SiteNames:
    """What site rules may name."""

    own: frozenset[str]
    """The family's own groups."""
    lists: frozenset[str] | None
    """Groups that lists bring; ``None``: not known here."""
    lenient: bool = False
    """What is no host is only remarked upon."""


def site_groups(groups: Mapping[str, Sequence[str]], known: SiteNames) -> Iterator[Problem]:
    """Of the family's own groups of sites."""
    for name, members in groups.items():
        where = f"site_groups.{name}"
        if "." in name:
            yield Problem(where, f"A group called {name} looks like a host", "Give it a name without a dot.")
        for member in members:
            if "." in member:
                yield from _host(member, where, known)
            elif member in known.own and member != name:
                yield Problem(
                    where,
                    f"The group {name} holds your group {member}",
                    "Name its hosts instead: groups of groups are not read.",
                )
            else:
                yield from _list(member, where, known)
        if len(members) > MOST_HOSTS:
            yield Problem(where, f"{len(members)} hosts are too many for a group", _LONG)


def name_servers(texts: Iterable[str]) -> Iterator[Problem]:
    """Of the name servers that the children's resolver is to ask."""
    for text in texts:
        host = read(text) if _SERVER.fullmatch(text) else None
        if host is None or not is_address(host):
            yield Problem(
                "name_servers",
                f"“{text}” is no address of a name server",
                "Write one such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53.",
            )


def site_rules(sites: SiteRules, where: str, known: SiteNames) -> Iterator[Problem]:
    """Of one child's site rules, or a profile's."""
    allow, block, rules = sites.allow or [], sites.block or [], sites.rules or []
    for key, names in (("allow", allow), ("block", block)):
        for name in names:
            yield from _host(name, f"{where}.{key}", known)
    for name in _hosts(allow) & _hosts(block):
        yield Problem(
            f"{where}.block",
            f"{name} is both allowed and blocked, so it is blocked",
            "Take it off one of the two lists.",
            error=False,
        )
    for name in block:
        yield from _help(host_of(name), f"{where}.block")
    ids: set[str] = set()
    named: set[str] = _hosts([*allow, *block])
    for number, rule in enumerate(rules, 1):
        here = f"{where}.rules[{number}]"
        yield from _rule(rule, here, known)
        if rule.id is not None and rule.id in ids:
            yield Problem(here, f"Two rules have the id {rule.id}", "Give each its own.")
        ids.add(rule.id or "")
        what = host_of(rule.host) if rule.host is not None else rule.group
        if what is not None and what in named:
            yield Problem(here, f"{what} has a rule already", "Put what you want of it into one rule.")
        named.add(what or "")
    if len(allow) + len(block) + len(rules) > MOST_HOSTS:
        yield Problem(where, "These are too many sites for a family file", _LONG)


def _rule(rule: SiteRule, where: str, known: SiteNames) -> Iterator[Problem]:
    if (rule.host is None) == (rule.group is None):
        what = "names no site" if rule.host is None else "names both a host and a group"
        yield Problem(where, f"The rule {what}", "Give exactly one of host, group.")
        return
    if rule.host is not None:
        yield from _host(rule.host, where, known)
        if rule.action == "block":
            yield from _help(host_of(rule.host), where)
    elif rule.group is not None and rule.group not in known.own:
        if "." in rule.group:
            yield Problem(where, f"“{rule.group}” is a host and no group", f'Write host = "{rule.group}".')
        else:
            yield from _list(rule.group, where, known)
    if rule.action != "allow" and (rule.budget or rule.hours):
        yield Problem(
            where,
            f"A rule that says “{rule.action}” cannot have minutes or hours of its own",
            'Write action = "allow": outside its minutes and hours it is closed by itself.',
        )
    yield from by_day(rule.budget, f"{where}.budget")
    yield from hours(rule.hours, f"{where}.hours")


def _host(text: str, where: str, known: SiteNames) -> Iterator[Problem]:
    host = host_of(text)
    if host is None:
        yield Problem(
            where,
            f"“{text}” is no host name" + (", so it does nothing" if known.lenient else ""),
            "Write one such as example.org; it stands for all below it, too.",
            error=not known.lenient,
        )
    elif host.startswith("www.") and host.count(".") > 1:
        yield Problem(
            where,
            f"{host} is only a part of {host[4:]}",
            f"Write {host[4:]}, which covers {host} as well.",
            error=False,
        )
    elif "." not in host and not is_address(host):
        yield Problem(where, f"{host} covers every name that ends in .{host}", "Is that meant?", error=False)


def _list(name: str, where: str, known: SiteNames) -> Iterator[Problem]:
    """A group of a list may come later, so its absence keeps nobody from signing; the doctor goes on saying it."""
    if known.lists is not None and name not in known.lists:
        yield Problem(
            where,
            f"There is no group of sites “{name}” here yet, so the rule does nothing",
            near(name, known.lists | known.own)
            + f"Hand it in (fairtime lists add {name} FILE), or add it to site_groups.",
            error=False,
        )


def _help(host: str | None, where: str) -> Iterator[Problem]:
    if host is not None and any(name in HELP_HOSTS for name in parents(host)):
        yield Problem(where, f"{host} is a help line and stays open", "Help lines are never blocked.", error=False)


def _hosts(texts: Iterable[str]) -> set[str]:
    return {host for text in texts if (host := host_of(text)) is not None}
