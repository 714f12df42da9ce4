"""The firewall's text: a child's questions for names go to the child's own resolver, and the ways around it are closed.

Pure: values in, a script for ``nft -f`` out.  One script is one transaction (nft(8)): there is no moment with half a table.

Everything hangs on ``meta skuid``, the account that opened the socket; nobody else's packets are looked at twice.  The kernel
decides on a redirection once for each connection, and remembers it by addresses and ports, whoever's they are: so what is
redirected is in a conntrack zone of the child's own (nft(8), "ct original zone"; the answers are found without it, by the port
they come from).  What was redirected has another port by the time ``doors`` sees it (nat comes before filter), so whatever
still goes to port 53 there has nobody to answer it, and is refused.  A refusal is told to the program at once: what hangs looks
broken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import ip_network

from msgspec import Struct

from agent.model.site import SINK

TABLE = "inet fairtime"
DNS = 53
TLS = 853
"""DNS over TLS (RFC 7858), and over QUIC (RFC 9250)."""
QUIC_DRAFTS = (784, 8853)
"""Where DNS over QUIC was before it had a number of its own."""
HTTPS = 443

Range = tuple[int, int]
"""First and last uid, both included."""


class Way(Struct, frozen=True, kw_only=True):
    """One child's way out: whose packets, and the ports on 127.0.0.1 and ::1 that answer them.  Port 0: nobody does."""

    uids: tuple[Range, ...]
    dns_port: int
    page_port: int


def script(ways: Sequence[Way], doh: Collection[str]) -> str:
    """Puts the table in force in the place of the one before.  ``doh``: addresses and networks that answer DNS over HTTPS."""
    ways = [way for way in ways if way.uids]
    if not ways:
        return removal()
    children = _uids([uids for way in ways for uids in way.uids])
    lines = [
        _set("doh4", "ipv4_addr", [net for net in doh if ip_network(net).version == 4]),
        _set("doh6", "ipv6_addr", [net for net in doh if ip_network(net).version == 6]),
        "chain apart {",
        "  type filter hook output priority raw; policy accept;",
        *(f"  {what} ct original zone set {port}" for way in ways for what, port in _redirected(way)),
        "}",
        "chain names {",
        "  type nat hook output priority -100; policy accept;",
        # The kernel cannot send to ::1 what was for a neighbour on one cable: refused below, so that the next server is asked.
        "  ip6 daddr fe80::/10 accept",
        *(f"  {what} redirect to :{port}" for way in ways for what, port in _redirected(way)),
        "}",
        "chain doors {",
        "  type filter hook output priority 0; policy accept;",
        f"  meta skuid {children} jump closed",
        *(f"  {line}" for way in ways for line in _others(way, ways)),
        "}",
        "chain closed {",
        f"  tcp dport {{ {DNS}, {TLS} }} reject with tcp reset",
        f"  udp dport {{ {', '.join(str(port) for port in sorted((DNS, TLS, *QUIC_DRAFTS)))} }} reject",
        f"  ip daddr {SINK} meta l4proto tcp reject with tcp reset",
        f"  ip daddr {SINK} reject",
        *(
            line
            for family, name in (("ip", "doh4"), ("ip6", "doh6"))
            for line in (
                f"  {family} daddr @{name} tcp dport {HTTPS} reject with tcp reset",
                f"  {family} daddr @{name} udp dport {HTTPS} reject",
            )
        ),
        "}",
    ]
    body = "\n".join(f"  {line}" for line in "\n".join(lines).splitlines())
    return f"{removal()}table {TABLE} {{\n{body}\n}}\n"


def removal() -> str:
    """Takes the table away, whether it is there or not."""
    return f"table {TABLE}\ndelete table {TABLE}\n"


def _redirected(way: Way) -> list[tuple[str, int]]:
    """Which packets go to which port.  None where nobody answers: what is not redirected is refused."""
    who = f"meta skuid {_uids(way.uids)}"
    names = [(f"{who} {kind} dport {DNS}", way.dns_port) for kind in ("udp", "tcp") if way.dns_port]
    page = [(f"{who} ip daddr {SINK} tcp dport 80", way.page_port)] if way.page_port else []
    return names + page


def _others(way: Way, ways: Sequence[Way]) -> list[str]:
    """A child asks its own resolver, not a sister's."""
    ports = sorted({port for one in ways for port in (one.dns_port, one.page_port)} - {0, way.dns_port, way.page_port})
    if not ports:
        return []
    these = f"{{ {', '.join(map(str, ports))} }}"
    who = f"meta skuid {_uids(way.uids)} fib daddr type local"
    return [f"{who} tcp dport {these} reject with tcp reset", f"{who} udp dport {these} reject"]


def _uids(uids: Collection[Range]) -> str:
    parts = (str(first) if first == last else f"{first}-{last}" for first, last in _joined(uids))
    return f"{{ {', '.join(parts)} }}"


def _joined(ranges: Collection[Range]) -> list[Range]:
    """Without overlaps, which nft refuses."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _set(name: str, kind: str, networks: Collection[str]) -> str:
    """``auto-merge``: a list by hand may name a network and an address in it."""
    rows = sorted({ip_network(net) for net in networks}, key=str)
    single = {32, 128}
    shown = [str(net.network_address) if net.prefixlen in single else str(net) for net in rows]
    elements = f"\n  elements = {{ {', '.join(shown)} }}" if shown else ""
    return f"set {name} {{\n  type {kind}\n  flags interval\n  auto-merge{elements}\n}}"
