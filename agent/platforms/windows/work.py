"""Whether an account's programs use the processor as only a program in use does.  Pure."""

from __future__ import annotations

from collections import deque

from agent.clock import SECOND, Millis

SHARE = 0.25
"""Of one core, over ``SPAN``: above a desktop at rest with an editor open, below any moving picture."""
SPAN: Millis = 10 * SECOND
_TICKS = 10_000
"""Of 100 ns in a millisecond."""


class Work:
    """Asked at each look."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[tuple[Millis, int]]] = {}

    def busy(self, account: str, spent: int, now: Millis) -> bool | None:
        """``spent``: processor time so far, in 100 ns; it never falls.  ``None`` until ten seconds have been seen."""
        samples = self._samples.setdefault(account, deque(maxlen=64))
        if not samples or now - samples[-1][0] >= SECOND:
            samples.append((now, spent))
        while len(samples) > 2 and now - samples[1][0] >= SPAN:
            samples.popleft()
        since, before = samples[0]
        if now - since < SPAN:
            return None
        return (spent - before) / _TICKS > SHARE * (now - since)

    def keep(self, accounts: frozenset[str]) -> None:
        """Forget all others."""
        self._samples = {account: samples for account, samples in self._samples.items() if account in accounts}
