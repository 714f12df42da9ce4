"""Figures of the resolver, beside dnsmasq and unbound with the same blocked names, in one run and one after the other.

``rows()`` gives the rows of ``make bench``.  Half of what is asked is blocked, the other half are a thousand names that the server
behind all of them (an unbound that knows every name) was asked for once.  dnsperf shares the processor with who it asks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tests.bench import peers_dns
from tests.bench.peers_dns import Flood
from tests.bench.rows import Row, row, unmeasured

SECONDS = 5
ASKED = 100_000
ALLOWED = 1_000
FIGURES = (
    ("start until the first answer", "s"),
    ("memory when it starts to answer", "MiB"),
    ("memory after a flood over all names", "MiB"),
    ("half blocked, half known", "q/s"),
    ("share lost", ""),
    ("at 1,000 q/s, p50", "ms"),
    ("at 1,000 q/s, p99", "ms"),
)
Figures = tuple[float, float, float, float, float, float, float]
"""In the order of ``FIGURES``."""


def rows(counts: tuple[int, ...] = (1_000_000, 5_000_000)) -> list[Row]:
    cache = Path("build/peers").absolute()
    cache.mkdir(parents=True, exist_ok=True)
    dnsperf = peers_dns.find("dnsperf", cache, "dnsperf", "libck0", "libldns3", "libnghttp2-14")
    unbound = peers_dns.find(
        "unbound", cache, "unbound", "libevent-2.1-7", "libpython3.11", "libnghttp2-14", "libprotobuf-c1"
    )
    dnsmasq = peers_dns.find(
        "dnsmasq", cache, "dnsmasq-base", "libnetfilter-conntrack3", "libnfnetlink0", "libubus20221123"
    )
    if dnsperf.path is None or unbound.path is None:
        return [unmeasured("resolver", dnsperf.why or unbound.why)]
    found: list[Row] = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="fairtime-dns-") as place:
            found += _rows(Path(place), count, dnsperf.path, unbound.path, dnsmasq.path)
    return found


def _rows(folder: Path, count: int, dnsperf: Path, unbound: Path, dnsmasq: Path | None) -> list[Row]:
    blocked, questions = folder / "blocked", folder / "questions"
    with blocked.open("w") as out:
        out.writelines(f"{name}\n" for name in peers_dns.names(count))
    with questions.open("w") as out:
        for number, name in enumerate(islice(peers_dns.names(count), 0, None, count // ASKED)):
            out.write(f"{name} A\nn{number % ALLOWED}.example.org A\n")
    flood = Flood(dnsperf, questions)
    behind = peers_dns.free_port()
    big = count > 2_000_000
    with peers_dns.running([str(unbound), *peers_dns.everything(folder, behind)], behind, "ready.example.org"):
        ours = _ours(flood, peers_dns.book(folder, blocked), behind)
        peers: dict[str, Figures] = {}
        if dnsmasq is not None:
            peers["dnsmasq"] = _peer(flood, dnsmasq, peers_dns.dnsmasq, folder, blocked, behind)
        if not big:  # with five million it takes two gigabytes and a minute
            peers["unbound"] = _peer(flood, unbound, peers_dns.unbound, folder, blocked, behind)
    million = f"{count // 1_000_000} M names"
    found = []
    for peer in peers or {"": ours}:
        theirs = peers.get(peer)
        bars = ((None if big else 0.5), *((None, None) if big else (25, 25)), 80_000, 0.001, None, 2)
        for at, (what, unit) in enumerate(FIGURES):
            beside = theirs[at] if theirs is not None else None
            made = row(f"resolver, {million}: {what}", ours[at], unit, bars[at], peer, beside)
            found.append({**made, "holds": ours[at] >= 80_000} if unit == "q/s" else made)
    return found


def _ours(flood: Flood, book: Path, behind: int) -> Figures:
    for at in range(2):  # the second time: as after a restart, with everything on disk read before
        resolver, seconds = peers_dns.ours(book, behind)
        if at == 0:
            resolver.close()
    try:
        return seconds, *_flooded(flood, resolver.served["mia"].dns_port, resolver.process.pid)
    finally:
        resolver.close()


def _peer(
    flood: Flood,
    program: Path,
    configure: Callable[[Path, Path, int, int], list[str]],
    folder: Path,
    blocked: Path,
    behind: int,
) -> Figures:
    port = peers_dns.free_port()
    command = [str(program), *configure(folder, blocked, port, behind)]
    with peers_dns.running(command, port, "ready.example.org") as (process, seconds):
        return seconds, *_flooded(flood, port, process.pid)


def _flooded(flood: Flood, port: int, pid: int) -> tuple[float, float, float, float, float, float]:
    """All figures but the first."""
    before = peers_dns.memory(pid)
    flood.rate(port, 1)
    rate, latency = flood.rate(port, SECONDS), flood.latency(port, SECONDS)
    return before, peers_dns.memory(pid), *rate, *latency
