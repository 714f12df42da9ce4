"""What was entered into the ledger and is not written yet; nothing but a disk that fails lets it grow."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from agent.model.record import LedgerEvent
from agent.model.usage import ChargeKind
from agent.service import ledger_book as book

MAX_PENDING = 20_000
"""Different charges kept while nothing can be written; beyond it hours of a day are put together (totals stay exact)."""

ChargeKey = tuple[str, str, int, ChargeKind, str]
"""Child, day, hour, kind, key."""

CHARGE = (
    "INSERT INTO charge (child, day, hour, kind, key, millis) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (child, day, hour, kind, key) DO UPDATE SET millis = millis + excluded.millis"
)
_STATE = "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"


@dataclass(slots=True)
class Pending:
    """Charges (ms), states, events and marks that wait to be written together."""

    charges: dict[ChargeKey, int] = field(default_factory=dict)
    states: dict[str, bytes] = field(default_factory=dict)
    events: list[LedgerEvent] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.charges) + len(self.states) + len(self.events) + len(self.meta)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it inside the caller's transaction; ``clear`` once that is committed."""
        connection.executemany(CHARGE, [(*key, millis) for key, millis in self.charges.items()])
        connection.executemany(_STATE, list(self.states.items()))
        connection.executemany(_META, list(self.meta.items()))
        book.add_events(connection, self.events)

    def clear(self) -> None:
        """It is written."""
        self.charges.clear()
        self.states.clear()
        self.events.clear()
        self.meta.clear()

    def bound(self) -> None:
        """While nothing can be written for days, keep exact sums and let the hours go."""
        if len(self.charges) > MAX_PENDING:
            whole: dict[ChargeKey, int] = {}
            for (child, day, _, kind, key), millis in self.charges.items():
                at = (child, day, 0, kind, key)
                whole[at] = whole.get(at, 0) + millis
            self.charges = whole
        if len(self.events) > MAX_PENDING:
            del self.events[: len(self.events) - MAX_PENDING]
