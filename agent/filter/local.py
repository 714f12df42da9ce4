"""Names that are answered here whatever the rules say: they are not of the public's names, or lead around the filter.  Pure."""

from __future__ import annotations

import re
from typing import Literal

from agent.filter import wire

Answer = Literal["no-name", "no-data", "loopback", "network"]
"""There is no such name; it has nothing of this kind; this PC itself; if the child's rules let it, the home network's server is
asked, which may answer with a private address."""

_CANARIES = frozenset(
    {
        # Firefox's sign that DNS over HTTPS is not wanted here; it counts only where nobody has chosen it by hand.
        "use-application-dns.net",
        # Apple's Private Relay asks for these and stays off where they are not there.
        "mask.icloud.com",
        "mask-h2.icloud.com",
    }
)
_NETWORK = ("lan", "home", "home.arpa", "internal", "intranet", "corp", "private", "localdomain")
"""What routers call the home network (home.arpa: RFC 8375; internal: reserved for this in 2024)."""
_NOWHERE = ("local", "invalid", "test", "onion", "alt")
"""Never asked of a DNS server: local is multicast DNS's (RFC 6762), the others RFC 6761, 7686 and 9476."""
_REVERSE = re.compile(r"(?:\d{1,3}\.){1,4}in-addr\.arpa|(?:[0-9a-f]\.){1,32}ip6\.arpa", re.ASCII)


def answer(host: str, kind: int) -> Answer | None:
    """What to answer for a name; ``None`` when the child's rules decide."""
    if host in _CANARIES:
        return "no-name"
    dot = host.rfind(".")
    if dot >= 0 and host[dot + 1 :] not in _LAST:
        return None  # nearly all
    if _below(host, _NOWHERE):
        return "no-name"
    if _below(host, ("resolver.arpa",)):
        return "no-data"  # how a client finds this server's encrypted twin (RFC 9462): there is none
    if _below(host, ("localhost",)):
        return "loopback"
    if not host:
        return "network" if kind in (wire.NS, wire.SOA, wire.DS, wire.DNSKEY) else "no-data"
    return "network" if dot < 0 or _below(host, _NETWORK) else None


def is_special(host: str) -> bool:
    """Whether ``answer`` has to be asked about a name, or it stands for an address; for nearly all it need not."""
    return host[host.rfind(".") + 1 :] in _LAST or host in _CANARIES or "." not in host


def is_reverse(host: str) -> bool:
    """Whether a name stands for an address, in the zone that leads from addresses to names."""
    return host.endswith(".arpa") and _REVERSE.fullmatch(host) is not None


def _below(host: str, zones: tuple[str, ...]) -> bool:
    return any(host == zone or host.endswith(f".{zone}") for zone in zones)


_LAST = frozenset(zone.rpartition(".")[2] for zone in (*_NETWORK, *_NOWHERE, "localhost", "resolver.arpa"))
