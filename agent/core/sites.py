"""Canonical host names, and which rule of a child's decides on one: the most specific that covers it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from agent.errors import PolicyError
from agent.model.policy import SiteRules

MAX_HOST = 253
_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?([^/\\?#]*)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """What may happen with a site."""

    action: Literal["allow", "ask", "block"]
    host: str
    rule: str
    sentence: str


def canonical(text: str) -> str:
    """The host in an address or name: lower case, ASCII (IDNA), without port, path or last dot.  ``PolicyError`` if none."""
    # As browsers read it (WHATWG URL): the authority ends at the first of / \\ ? #, so no address inside the rest counts.
    authority = _AUTHORITY.match(text.strip())
    host = authority[1].rpartition("@")[2].partition(":")[0].rstrip(".").lower() if authority else ""
    try:
        host = host.encode("idna").decode("ascii") if host else ""
    except UnicodeError:
        host = ""
    labels = host.split(".")
    if not host or len(host) > MAX_HOST or not all(_is_label(label) for label in labels):
        raise PolicyError(f"“{text}” is no host name", "Write one such as example.org.")
    return host


def decide_site(
    rules: SiteRules, host: str, helplines: Collection[str] = (), permitted: Iterable[str] = ()
) -> SiteVerdict:
    """The verdict on a host; helplines are always allowed, a guardian's grants come next, then the longest rule."""
    host = canonical(host)
    if _covering(host, helplines):
        return SiteVerdict("allow", host, "helpline", f"{host} is always open.")
    if _covering(host, permitted):
        return SiteVerdict("allow", host, "grant", f"A guardian has allowed {host} for now.")
    allowed, blocked = _covering(host, rules.allow), _covering(host, rules.block)
    if blocked and len(blocked) >= len(allowed):
        return SiteVerdict("block", host, f"site:{blocked}", f"{blocked} is not open for you. You can ask for it.")
    if allowed:
        return SiteVerdict("allow", host, f"site:{allowed}", f"{allowed} is on your list.")
    match rules.mode:
        case "block-list":
            return SiteVerdict("allow", host, "sites", f"{host} is open.")
        case "ask":
            return SiteVerdict("ask", host, "sites", f"{host} is new here. Ask a guardian for it.")
        case "allow-list":
            return SiteVerdict("block", host, "sites", f"{host} is not on your list yet. You can ask for it.")


def _covering(host: str, among: Iterable[str]) -> str:
    """The longest name that is ``host`` or a parent of it; empty when there is none."""
    found = ""
    for name in among:
        name = name.lower().rstrip(".")
        if (host == name or host.endswith(f".{name}")) and len(name) > len(found):
            found = name
    return found


def _is_label(label: str) -> bool:
    inside = label.replace("-", "").replace("_", "")
    return 0 < len(label) <= 63 and inside.isalnum() and inside.isascii() and label[0] != "-" and label[-1] != "-"
