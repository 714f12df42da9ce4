"""The ledger against an oracle that is a dictionary: whatever happens in whatever order, every sum is exact."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.errors import StoreError
from agent.model.usage import Charge, DayUse
from agent.service.store import Store

TODAY = "2026-03-05"
DAYS = ["2026-02-24", "2026-02-25", TODAY]
CHILDREN = ["mia", "名"]
CHARGES = st.lists(
    st.builds(
        Charge,
        child=st.sampled_from(CHILDREN),
        day=st.sampled_from(DAYS),
        hour=st.sampled_from([0, 23]),
        kind=st.sampled_from(["total", "extra", "free", "program", "group", "site", "site-rule"]),
        key=st.sampled_from(["", "a'b", "ゲーム"]),
        millis=st.integers(0, 5_000) | st.just(86_400_000),
    ),
    max_size=12,
)


class Ledger(RuleBasedStateMachine):
    """Record, fail to write, reopen, back up, ask; in any order."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.store = Store.open(self.folder, machine_id="pc-1")
        self.rows: Counter[tuple[str, str, int, str, str]] = Counter()
        self.states: dict[str, bytes] = {}
        self.refusing = False

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.accept()
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(charges=CHARGES, states=st.dictionaries(st.sampled_from(["a", "b"]), st.binary(max_size=4), max_size=2))
    def record(self, charges: list[Charge], states: dict[str, bytes]) -> None:
        try:
            self.store.record(charges, states)
        except StoreError:
            assert self.refusing
        for one in charges:
            self.rows[one.child, one.day, one.hour, one.kind, one.key] += one.millis
        self.states.update(states)

    @precondition(lambda self: not self.refusing)
    @rule()
    def refuse(self) -> None:
        self.store._db.connection.execute("PRAGMA query_only = ON")
        self.refusing = True

    @rule()
    def accept(self) -> None:
        self.store._db.connection.execute("PRAGMA query_only = OFF")
        self.refusing = False

    @precondition(lambda self: not self.refusing)
    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.folder, machine_id="pc-1")
        assert self.store.condition == "ok"

    @precondition(lambda self: not self.refusing)
    @rule()
    def back_up(self) -> None:
        self.store.backup(keep=2)

    @rule(child=st.sampled_from(CHILDREN), today=st.sampled_from(["2026-02-28", "2026-04-01"]))
    def look_from_another_day(self, child: str, today: str) -> None:
        self.store.usage(child, today)

    @invariant()
    def rows_and_sums_agree_with_the_oracle(self) -> None:
        for child in CHILDREN:
            mine = {key: millis for key, millis in self.rows.items() if key[0] == child and millis}
            rows = self.store.rows(child, "", "9999-12-31")
            assert {(r.child, r.day, r.hour, r.kind, r.key): r.millis for r in rows} == mine
            days: dict[str, DayUse] = {}
            for day in DAYS:
                if day >= "2026-02-25" and any(key[1] == day for key in mine):
                    days[day] = DayUse(
                        total=self.sum(mine, day, "total"),
                        extra=self.sum(mine, day, "extra"),
                        programs=self.by_key(mine, day, "program"),
                        groups=self.by_key(mine, day, "group"),
                        sites=self.by_key(mine, day, "site-rule"),
                    )
            found = self.store.usage(child, TODAY).days
            assert {day: use for day, use in found.items() if day >= "2026-02-25"} == days
        for key, value in self.states.items():
            assert self.store.state(key) == value

    @staticmethod
    def sum(rows: dict[tuple[str, str, int, str, str], int], day: str, kind: str) -> int:
        return sum(millis for key, millis in rows.items() if key[1] == day and key[3] == kind)

    @staticmethod
    def by_key(rows: dict[tuple[str, str, int, str, str], int], day: str, kind: str) -> dict[str, int]:
        found: Counter[str] = Counter()
        for key, millis in rows.items():
            if key[1] == day and key[3] == kind:
                found[key[4]] += millis
        return dict(found)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
