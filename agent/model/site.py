"""Sites: what the rules of one child come to at one time, in the one form that every lane is compiled from.

``core.siteplan`` makes it from the policy, the grants and the use of the day; the resolver, the browsers' policies and the
firewall each take it and nothing else (ADR 0021).  Host names are canonical (``core.hosts``): lower case, A-labels, no last
dot; a bare IPv6 address is without brackets.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

SiteAction = Literal["allow", "ask", "block"]
YouTube = Literal["off", "moderate", "strict"]


SINK = "127.84.0.1"
"""The address (A; there is no AAAA) that a blocked name has: nothing listens there but the page that says why, on port 80
by the firewall's redirect; port 443 is refused at once, so that a browser need not wait."""


class Said(Struct, frozen=True, array_like=True):
    """A sentence in English with places to fill, for whoever shows it in another language (``core.saying.say``)."""

    text: str
    places: tuple[tuple[str, str | int | Said], ...] = ()
    """A number is a length of time in seconds; a sentence may be part of another."""
    note: str = ""
    """What a person added, in words of their own."""


class HostRule(Struct, frozen=True, kw_only=True, array_like=True):
    """A host and all below it."""

    host: str
    action: SiteAction
    rule: str
    """The rule's id, as ``fairtime why`` names it."""
    reason: str = ""
    """A guardian's own words for the child, or why it is so now ("today's 30 min are used up")."""
    said: Said | None = None
    """The same where it is the rules' and not a guardian's."""


class GroupRule(Struct, frozen=True, kw_only=True, array_like=True):
    """Every host of a group: a list that was handed in, or one of the groups that come with the program."""

    group: str
    action: SiteAction
    rule: str
    reason: str = ""
    said: Said | None = None


class SitePlan(Struct, frozen=True, kw_only=True):
    """What holds for one child from now until a new plan comes.

    The most specific name that covers a host decides: ``always`` first, then the longest of ``hosts`` and of the groups'
    names; on a tie ``hosts`` before groups, and block before ask before allow; ``otherwise`` when nothing covers it.
    """

    child: str
    always: tuple[str, ...] = ()
    """Help lines: open whatever the rules say, and never recorded."""
    hosts: tuple[HostRule, ...] = ()
    groups: tuple[GroupRule, ...] = ()
    otherwise: SiteAction = "block"
    addresses: bool = False
    """Whether a bare IP address may be visited: only where unnamed hosts may, and never a private network's by name."""
    safe_search: bool = True
    youtube: YouTube = "moderate"
    watched: tuple[str, ...] = ()
    """Ids of the rules whose time is limited: answers for what they decide are short-lived, so that use is seen."""


class SiteVerdict(Struct, frozen=True, kw_only=True):
    """What may happen with a host, by which rule, in a sentence for the child."""

    action: SiteAction
    host: str
    rule: str
    sentence: str
    groups: tuple[str, ...] = ()


class SiteUse(Struct, frozen=True, kw_only=True, array_like=True):
    """What the resolver saw of one registrable host since its last report: never a full address, never a help line."""

    child: str
    host: str
    action: SiteAction
    asked: int
    """Questions for it or a name below it."""
    minutes: int
    """Minutes of the clock in which there was one, and which no report before counted."""


class WatchedUse(Struct, frozen=True, kw_only=True, array_like=True):
    """How long the hosts were used that a rule with a time limit (``SitePlan.watched``) decided on."""

    child: str
    rule: str
    minutes: int
    """Minutes of the clock in which one of them was asked for; each counts once, however many there were."""


class SiteLane(Struct, frozen=True, kw_only=True):
    """One child's lane through this PC: whose questions go where."""

    plan: SitePlan
    accounts: tuple[str, ...]
    dns_port: int
    """Where the resolver answers this child, UDP and TCP, on 127.0.0.1 and ::1."""
    page_port: int
    """Where the page that says why a site is blocked is served to this child (HTTP, 127.0.0.1)."""
    few: dict[str, tuple[str, ...]] = {}
    """Groups that are short enough for a browser's own list, with every name in them.  An open group that is not here keeps
    the browsers from closing everything else by themselves; the resolver does."""
