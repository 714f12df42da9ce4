"""What trays say of hands that rest, where the system tells a service nothing of keyboard and mouse (Windows).

A child's own programs can say the same, so it is a hint like the session's own: ``core.activity`` believes it where nothing speaks
against it, and ``core.usage`` no longer than it allows for unconfirmed idleness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.clock import SECOND, Millis
from agent.core.activity import AWAY_AFTER
from agent.model.snapshot import Session, Snapshot

FRESH: Millis = 90 * SECOND
"""A tray says it every half minute; one that is gone says nothing any more."""
MOST = 64
"""Accounts."""


@dataclass(slots=True)
class Idleness:
    """The last word of each account's tray."""

    _said: dict[str, tuple[Millis, Millis]] = field(default_factory=dict)
    """Account → (when, for how long)."""

    def say(self, account: str, idle: Millis, now: Millis) -> None:
        """``now`` in boot milliseconds.  Hands that are back are known at once."""
        if idle <= 0:
            self._said.pop(account, None)
        elif account in self._said or len(self._said) < MOST:
            self._said[account] = now, idle

    def put(self, seen: Snapshot, now: Millis) -> Snapshot:
        """The snapshot with what was said, where the host knows no better."""
        if not self._said:
            return seen
        self._said = {account: said for account, said in self._said.items() if now - said[0] <= FRESH}
        return replace(seen, sessions=tuple(self._one(session) for session in seen.sessions))

    def _one(self, session: Session) -> Session:
        _, idle = self._said.get(session.account, (0, 0))
        if idle < AWAY_AFTER or session.input_idle is not None or session.playing or session.busy:
            return session
        return replace(session, idle_hint=True)
