"""A child's site rules, grants and use of the day, turned into the one plan that every lane is compiled from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from agent.clock import SECOND, Millis
from agent.core.constraints import NO_USE, Moment
from agent.core.helphosts import HELP_HOSTS
from agent.core.hosts import is_address
from agent.core.rules import ChildRules, Plan, clock_words, hours_on
from agent.core.saying import say
from agent.core.schedule import Span, holding, opening, spans
from agent.core.siteanswers import last_words, no_said, said
from agent.core.siterules import Mode, SiteLimit, mode_of, safe_search, site_limits, youtube
from agent.core.sites import GIVEN, STRICTNESS
from agent.model.grant import Grant
from agent.model.site import GroupRule, HostRule, Said, SiteAction, SitePlan
from agent.model.usage import Usage

_OTHERWISE: dict[Mode, SiteAction] = {"allow-list": "block", "block-list": "allow", "ask": "ask"}
_WWW = "www."


class SitePlanner:
    """Makes the plans of one child on one policy day; the same object comes again while nothing has changed."""

    def __init__(self, rules: ChildRules, plan: Plan) -> None:
        self.rules = rules
        self.plan = plan
        sites = plan.sites
        self.limits, self.unreadable = _parts(rules, plan)
        self.keys = {limit.id: limit.key for limit in self.limits if limit.budget is not None}
        """Rule → the ledger's key for its minutes."""
        first = plan.date - dt.timedelta(days=1)
        self._passing = tuple(limit for limit in self.limits if limit.passing)
        self._hours = {limit.id: _spans(rules, limit, first) for limit in self._passing if limit.hours}
        self._otherwise = _OTHERWISE[mode_of(sites)]
        self._state: tuple[object, ...] | None = None
        self._made: SitePlan | None = None

    def at(self, now: Moment, usage: Usage, grants: Sequence[Grant]) -> SitePlan:
        """What holds now; ``now`` is a moment of the planner's day, ``grants`` are the oldest first."""
        words = said(grants, now.wall)
        shut = tuple(self._shut(limit, now, usage) for limit in self._passing)
        if self._made is None or self._state != (words, shut):
            closed = {limit.id: why for limit, why in zip(self._passing, shut, strict=True) if why is not None}
            self._made, self._state = self._plan(words, closed), (words, shut)
        return self._made

    def used(self, now: Moment, usage: Usage) -> tuple[tuple[SiteLimit, Millis], ...]:
        """The rules with minutes of their own today, and how much of them is used."""
        today = usage.days.get(now.today, NO_USE).sites
        return tuple((limit, today.get(limit.key, 0)) for limit in self.limits if limit.budget is not None)

    def _plan(self, words: tuple[Grant, ...], closed: Mapping[str, Said]) -> SitePlan:
        sites = self.plan.sites
        found: dict[str, HostRule] = {}
        for rule in self._answered(words):
            found.setdefault(rule.host, rule)
        # A host that a rule names itself comes before the hosts of own groups; of equals the strictest.
        for single in (True, False):
            level: dict[str, HostRule] = {}
            for rule in self._named(single, closed):
                kept = level.get(rule.host)
                if kept is None or STRICTNESS[rule.action] > STRICTNESS[kept.action]:
                    level[rule.host] = rule
            for rule in level.values():
                found.setdefault(rule.host, rule)
        for rule in tuple(found.values()):
            for twin in _twins(rule):
                found.setdefault(twin.host, twin)
        return SitePlan(
            child=self.rules.name,
            always=HELP_HOSTS,
            hosts=tuple(found.values()),
            groups=tuple(
                GroupRule(group=group, action=action, rule=limit.id, reason=reason, said=why)
                for limit in self.limits
                for action, reason, why in (_now(limit, closed),)
                for group in limit.groups
            ),
            otherwise=self._otherwise,
            addresses=self._otherwise == "allow",
            safe_search=safe_search(sites),
            youtube=youtube(sites),
            watched=tuple(self.keys),
        )

    def _answered(self, words: Sequence[Grant]) -> Iterator[HostRule]:
        """What guardians said yes and no to for now; on the very host this comes before every rule."""
        for host, grant in last_words(words).items():
            if grant.kind == "site-refusal":
                no = no_said(grant, host)
                yield HostRule(host=host, action="block", rule=GIVEN + grant.id, reason=say(no), said=no)
                continue
            until = f" until {clock_words(grant.until, self.rules.zone)}" if grant.until else ""
            text = f"{grant.by} allowed {host}{until}."
            rule = HostRule(host=host, action="allow", rule=GIVEN + grant.id, reason=text)
            yield rule
            yield from _twins(rule)

    def _named(self, single: bool, closed: Mapping[str, Said]) -> Iterator[HostRule]:
        for limit in self.limits:
            if limit.single == single:
                action, reason, why = _now(limit, closed)
                for host in limit.hosts:
                    yield HostRule(host=host, action=action, rule=limit.id, reason=reason, said=why)

    def _shut(self, limit: SiteLimit, now: Moment, usage: Usage) -> Said | None:
        """Why a rule with minutes or hours of its own opens nothing now; ``None`` when it does."""
        title = ("title", limit.title)
        open_spans = self._hours.get(limit.id)
        if open_spans is not None and not holding(now.wall, open_spans):
            again = opening(now.wall, open_spans)
            if not again:
                return Said("{title} has its own hours, and this is outside them.", (title,))
            when = ("time", clock_words(again, self.rules.zone))
            return Said("{title} has its own hours, and this is outside them. It opens at {time}.", (title, when))
        if limit.budget is None:
            return None
        if usage.lost:
            return Said("Today's record of use was lost, and with it how much of {title} was used.", (title,))
        if usage.days.get(now.today, NO_USE).sites.get(limit.key, 0) < limit.budget:
            return None
        much = ("time", limit.budget // SECOND)
        return Said("Today's {time} of {title} are used up. There is more tomorrow.", (much, title))


def site_plan(rules: ChildRules, now: Moment, usage: Usage, grants: Sequence[Grant]) -> SitePlan:
    """What holds for this child's sites now; who asks often keeps a ``SitePlanner``."""
    return SitePlanner(rules, now.plan).at(now, usage, grants)


def _parts(rules: ChildRules, plan: Plan) -> tuple[tuple[SiteLimit, ...], tuple[str, ...]]:
    found = site_limits(rules.name, plan.sites, rules.family.site_groups, plan.date)
    return found.rules, found.unreadable


def _now(limit: SiteLimit, closed: Mapping[str, Said]) -> tuple[SiteAction, str, Said | None]:
    why = closed.get(limit.id)
    return ("block", say(why), why) if why is not None else (limit.action, limit.reason, None)


def _spans(rules: ChildRules, limit: SiteLimit, first: dt.date) -> tuple[Span, ...]:
    return spans(lambda date: hours_on(limit.hours, date), first, 9, rules.zone)


def _twins(rule: HostRule) -> Iterator[HostRule]:
    """``www.`` before a name is the same site, which lists often name apart: whoever writes example.org means both."""
    if not rule.host.startswith(_WWW) and "." in rule.host and not is_address(rule.host):
        yield HostRule(host=_WWW + rule.host, action=rule.action, rule=rule.rule, reason=rule.reason, said=rule.said)
