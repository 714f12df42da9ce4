"""Answers of others that are remembered for a while: few, and no longer than they may be.  Pure.

One for each child: what one child looked up is not to be seen in how fast another's questions are answered.
"""

from __future__ import annotations

from msgspec import Struct

from agent.filter import wire

KEPT = 1024
"""Answers of one child (twice this while the older half fades)."""
LARGEST = 4096
"""Bytes of an answer that is worth keeping."""
LONGEST = 3600
"""Seconds that an answer is kept at most, whatever it says itself."""
LONGEST_NO = 300
"""Seconds for "there is no such name"."""


class Kept(Struct, frozen=True):
    """An answer as it came, and when."""

    data: bytes
    ttls: tuple[tuple[int, int], ...]
    """Where its TTLs are, and what they were."""
    since: float
    until: float
    leads: tuple[str, ...] = ()
    """The hosts that it leads to."""

    def at(self, now: float, most: int) -> bytes:
        """The answer as it is now, with TTLs of ``most`` seconds at most."""
        return wire.with_ttls(self.data, self.ttls, int(now - self.since), most)

    def same_for(self, now: float, most: int) -> float:
        """Seconds in which ``at`` gives the same again: a second, or until the shortest TTL falls below ``most``."""
        left = min((seconds for _, seconds in self.ttls), default=0) - most - (now - self.since)
        return min(max(1.0, left), self.until - now)


class Cache:
    """Bounded: when the fresh half is full, the older half is dropped."""

    __slots__ = ("_fresh", "_stale")

    def __init__(self) -> None:
        self._fresh: dict[bytes, Kept] = {}
        self._stale: dict[bytes, Kept] = {}

    def get(self, key: bytes, now: float) -> Kept | None:
        """The answer kept under ``key``, unless it has run out."""
        found = self._fresh.get(key)
        if found is None:
            found = self._stale.get(key)
            if found is None:
                return None
            self._keep(key, found)
        return found if now < found.until else None

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, if it is worth it."""
        if kept.until > kept.since and len(kept.data) <= LARGEST:
            self._keep(key, kept)

    def _keep(self, key: bytes, kept: Kept) -> None:
        if len(self._fresh) >= KEPT:
            self._stale = self._fresh
            self._fresh = {}
        self._fresh[key] = kept

    def clear(self) -> None:
        """Forget all."""
        self._fresh = {}
        self._stale = {}

    def __len__(self) -> int:
        return len(self._fresh.keys() | self._stale.keys())


def kept(
    data: bytes, question: bytes, records: tuple[wire.Record, ...], now: float, leads: tuple[str, ...] = ()
) -> Kept:
    """An answer to ``question`` that came ``now``, ready to be kept for as long as it may be: not at all if it is an error."""
    places = tuple((record.ttl_at, wire.ttl_of(data, record)) for record in records if record.type != wire.OPT)
    return Kept(data, places, now, now + _lifetime(data, int.from_bytes(question[-4:-2], "big"), records), leads)


def _lifetime(data: bytes, wanted: int, records: tuple[wire.Record, ...]) -> int:
    """Seconds: the shortest of its answers; of what is not there, as long as its SOA says (RFC 2308, 5)."""
    code = wire.code_of(data)
    if wire.truncated(data) or code not in (wire.NOERROR, wire.NXDOMAIN):
        return 0
    answers = [wire.ttl_of(data, record) for record in records if record.section == 0]
    if code == wire.NOERROR and any(record.section == 0 and record.type == wanted for record in records):
        return min(LONGEST, *answers)
    for record in records:
        if record.section == 1 and record.type == wire.SOA and record.length >= 4:
            end = record.data_at + record.length
            least = int.from_bytes(data[end - 4 : end], "big")
            return min([LONGEST_NO, wire.ttl_of(data, record), least, *answers])
    return 0
