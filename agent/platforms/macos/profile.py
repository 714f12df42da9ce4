"""A configuration profile (``.mobileconfig``) with one child's standing rules for browsers and names.  Pure.

Payloads and keys are those of Apple's "Device Management" reference and of the browsers' own lists of policies for macOS.
A profile is a person's to install (since macOS 11 no command may), and only with an administrator's name and password may
one that disallows its removal be taken away.  So it holds what stands: what the hour, an answer or the minutes of today
may open is open in it.
"""

from __future__ import annotations

import plistlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec.structs import replace

from agent.filter import chromium, firefox
from agent.filter.chromium import NO_MEMBERS, Brand
from agent.model.site import SINK, SitePlan

PREFIX = "org.fairtime.sites"
DOMAINS: Mapping[str, Brand] = {
    "com.google.Chrome": "chrome",
    "org.chromium.Chromium": "chromium",
    "com.microsoft.Edge": "edge",
    "com.brave.Browser": "brave",
    "com.vivaldi.Vivaldi": "vivaldi",
    "com.operasoftware.Opera": "opera",
}
"""Preference domains of Chromium's family."""
FIREFOX = "org.mozilla.firefox"
SAFARI = "com.apple.familycontrols.contentfilter"
RESTRICTIONS = "com.apple.applicationaccess"
DNS = "com.apple.dnsSettings.managed"
NO_EXTENSION = "Extensions are added by a guardian."
_SPACE = uuid.UUID("6f0d6f9f-4f0c-5f7a-9d57-4b6d1d8f4a11")
"""Names below it become UUIDs, so that the same rules make the same file."""


@dataclass(frozen=True, slots=True)
class EncryptedDns:
    """A name server that filters: macOS takes none from a profile but over HTTPS or TLS.  ``server``: its URL, or its name."""

    protocol: Literal["HTTPS", "TLS"]
    server: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """``data`` is the file; the system shows ``identifier`` and ``uuid`` once it is installed."""

    identifier: str
    uuid: str
    data: bytes


def profile(
    account: str, plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS, dns: EncryptedDns | None = None
) -> Profile:
    """The profile for one child's account."""
    rules = standing(plan)
    settings: dict[str, dict[str, Any]] = {
        domain: chromium.policy(rules, members, brand) for domain, brand in DOMAINS.items()
    }
    settings[FIREFOX] = {"EnterprisePoliciesEnabled": True, **firefox.policy([rules], members, "", NO_EXTENSION)}
    settings[SAFARI] = safari(rules, members)
    # Private Relay hides names from whoever filters them.
    settings[RESTRICTIONS] = {"allowCloudPrivateRelay": False}
    if dns is not None:
        settings[DNS] = _dns(dns)
    identifier = f"{PREFIX}.{account}"
    content = [_payload(f"{identifier}.{kind}", kind, keys) for kind, keys in settings.items()]
    whole = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadDisplayName": f"Fairtime: sites for {account}",
        "PayloadDescription": "What browsers of this account may open. A guardian has signed the rules.",
        "PayloadScope": "User",
        "PayloadRemovalDisallowed": True,
        "PayloadContent": content,
    }
    whole["PayloadUUID"] = _uuid(plistlib.dumps(whole))
    return Profile(identifier, str(whole["PayloadUUID"]), plistlib.dumps(whole))


def standing(plan: SitePlan) -> SitePlan:
    """The plan without what the clock changes: a rule with minutes is open, because nobody installs a profile each time."""
    watched = frozenset(plan.watched)
    return replace(
        plan,
        hosts=tuple(replace(rule, action="allow") if rule.rule in watched else rule for rule in plan.hosts),
        groups=tuple(replace(rule, action="allow") if rule.rule in watched else rule for rule in plan.groups),
    )


def safari(plan: SitePlan, members: Mapping[str, Collection[str]] = NO_MEMBERS) -> dict[str, Any]:
    """The parental controls' web filter, which Safari and what is built on WebKit obey.

    An allow-list where everything else is closed; else Apple's filter of adult pages with our names closed and open in it.
    The old names of the keys are those that macOS before 15.2 reads.
    """
    allowed, blocked = chromium.lists(plan, members)
    opened = [name for name in allowed if name != SINK]
    if chromium.WEB[0] in blocked:
        sites = [
            {"address": f"{scheme}://{host}", "pageTitle": host} for host in opened for scheme in ("https", "http")
        ]
        return {
            "restrictWeb": True, "useContentFilter": False, "allowListEnabled": True, "whitelistEnabled": True,
            "siteAllowList": sites, "siteWhitelist": sites,
        }  # fmt: skip
    closed = [name for name in blocked if not name.startswith("chrome:")]
    if not plan.safe_search and not closed:
        return {"restrictWeb": False}
    allow, deny = _urls(opened), _urls(closed)
    return {
        "restrictWeb": True, "useContentFilter": True, "allowListEnabled": False, "whitelistEnabled": False,
        "filterAllowList": allow, "filterWhitelist": allow, "filterDenyList": deny, "filterBlacklist": deny,
    }  # fmt: skip


def _urls(hosts: Collection[str]) -> list[str]:
    return [f"{scheme}://{host}" for host in hosts for scheme in ("https", "http")]


def _dns(dns: EncryptedDns) -> dict[str, Any]:
    where = {"ServerURL": dns.server} if dns.protocol == "HTTPS" else {"ServerName": dns.server}
    addresses = {"ServerAddresses": list(dns.addresses)} if dns.addresses else {}
    return {"DNSSettings": {"DNSProtocol": dns.protocol, **where, **addresses}, "ProhibitDisablement": True}


def _payload(identifier: str, kind: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    own = {"PayloadType": kind, "PayloadVersion": 1, "PayloadIdentifier": identifier, **keys}
    return {**own, "PayloadUUID": _uuid(plistlib.dumps(own))}


def _uuid(content: bytes) -> str:
    return str(uuid.uuid5(_SPACE, content.decode("utf-8"))).upper()
