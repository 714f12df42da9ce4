"""The ledger: what goes in comes out, summed, and nothing is lost while the disk refuses."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import NotFound, Refused, StoreError
from agent.model.grant import Grant, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge, DayUse
from agent.service import ledger_pending
from agent.service.store import Store

TODAY = "2026-01-14"
MINUTE = 60_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state", machine_id="pc-1")
    opened.usage("mia", TODAY)
    yield opened
    opened.close()


def charge(
    millis: int, kind: str = "total", key: str = "", *, child: str = "mia", day: str = TODAY, hour: int = 15
) -> Charge:
    return Charge(child=child, day=day, hour=hour, kind=kind, key=key, millis=millis)  # type: ignore[arg-type]  # words of the model, as they come


def grant(ident: str, **changes: object) -> Grant:
    fields = {"id": ident, "child": "mia", "kind": "time", "day": TODAY, "seconds": 900, "given": 1_000, "by": "ana"}
    return Grant(**{**fields, **changes})  # type: ignore[arg-type]  # a short way to write samples


def request(ident: str, **changes: object) -> Request:
    fields = {"id": ident, "child": "mia", "kind": "time", "seconds": 900, "asked": 1_000_000}
    return Request(**{**fields, **changes})  # type: ignore[arg-type]  # a short way to write samples


def event(subject: str = "chess", **changes: object) -> LedgerEvent:
    fields = {"at": 1_000, "day": TODAY, "child": "mia", "kind": "blocked", "subject": subject, "rule": "mia/chess"}
    return LedgerEvent(**{**fields, **changes})  # type: ignore[arg-type]  # a short way to write samples


def refuse_writes(store: Store) -> None:
    """What SQLite does on a disk that is mounted read-only."""
    store._db.connection.execute("PRAGMA query_only = ON")


def allow_writes(store: Store) -> None:
    store._db.connection.execute("PRAGMA query_only = OFF")


# ---- use -------------------------------------------------------------------------------------------------------------


def test_charges_add_up_by_child_day_hour_kind_and_key(store: Store) -> None:
    store.record([charge(1_000), charge(1_001), charge(7, "program", "chess"), charge(5, hour=16)], {})
    store.record([charge(3), charge(9, child="leo")], {})
    assert store.rows("mia", TODAY, TODAY) == [
        charge(7, "program", "chess"),
        charge(2_004),
        charge(5, hour=16),
    ]
    assert store.usage("mia", TODAY).days == {TODAY: DayUse(total=2_009, programs={"chess": 7})}
    assert store.usage("leo", TODAY).days == {TODAY: DayUse(total=9)}


def test_usage_sums_the_kinds_that_limits_read(store: Store) -> None:
    store.record(
        [
            charge(100),
            charge(40, "extra"),
            charge(30, "free"),
            charge(20, "group", "games"),
            charge(10, "program", "chess"),
            charge(5, "unobserved"),
            charge(4, "unconfirmed"),
        ],
        {},
    )
    assert store.usage("mia", TODAY).days[TODAY] == DayUse(
        total=100, extra=40, programs={"chess": 10}, groups={"games": 20}
    )


def test_usage_is_the_same_object_until_something_is_recorded(store: Store) -> None:
    store.record([charge(1)], {})
    first = store.usage("mia", TODAY)
    assert store.usage("mia", TODAY) is first
    store.record([charge(1)], {})
    assert store.usage("mia", TODAY) is not first
    assert first.days[TODAY].total == 1, "a value that was handed out must not change"


@pytest.mark.parametrize(
    ("today", "first"),
    [("2026-01-31", "2026-01-01"), ("2026-03-01", "2026-02-21"), ("2024-03-03", "2024-02-24")],
)
def test_usage_reaches_back_to_the_month_and_eight_days(tmp_path: Path, today: str, first: str) -> None:
    store = Store.open(tmp_path, machine_id="pc-1")
    day_before = {"2026-01-01": "2025-12-31", "2026-02-21": "2026-02-20", "2024-02-24": "2024-02-23"}[first]
    store.record([charge(5, day=first), charge(6, day=day_before), charge(7, day=today)], {})
    assert store.usage("mia", today).days == {first: DayUse(total=5), today: DayUse(total=7)}
    store.close()


def test_usage_follows_the_calendar_forwards_and_back(store: Store) -> None:
    store.record([charge(5, day="2025-11-03"), charge(6)], {})
    assert "2025-11-03" not in store.usage("mia", TODAY).days
    assert store.usage("mia", "2025-11-04").days["2025-11-03"].total == 5
    assert store.usage("mia", "2026-03-01").days == {}
    assert store.usage("mia", TODAY).days[TODAY].total == 6


@pytest.mark.parametrize("today", ["1970-01-01", "2106-02-07", "0001-01-02", "9999-12-31"])
def test_usage_bears_a_clock_that_is_wrong(store: Store, today: str) -> None:
    store.record([charge(5, day=today)], {})
    assert store.usage("mia", today).days[today].total == 5


def test_states_are_saved_with_the_charges(store: Store, tmp_path: Path) -> None:
    assert store.state("engine") is None
    store.record([charge(1)], {"engine": b"\x00one", "other": b""})
    store.record([], {"engine": b"two"})
    assert (store.state("engine"), store.state("other")) == (b"two", b"")
    store.close()
    again = Store.open(tmp_path / "state", machine_id="pc-1")
    assert (again.state("engine"), again.state("other")) == (b"two", b"")
    again.close()


@pytest.mark.parametrize("bad", [charge(-1), charge(1, hour=24), charge(1, hour=-1), charge(1, day=""), charge(2**62)])
def test_a_charge_that_cannot_be_is_refused(store: Store, bad: Charge) -> None:
    with pytest.raises(ValueError, match="at least 0 ms"):
        store.record([bad], {})
    assert store.usage("mia", TODAY).days == {}


def test_a_file_name_that_is_no_text_does_not_stop_the_ledger(store: Store) -> None:
    name = b"game\xff\xfe".decode("utf-8", "surrogateescape")
    store.record([charge(5, "program", name), charge(1, "program", "ゲーム")], {})
    store.add_event(event(name, text=name))
    store.add_request(request("r1", text=name, subject=name))
    store.add_grant(grant("g1", subject=name, note=name))
    assert store.pending == 0
    programs = store.usage("mia", TODAY).days[TODAY].programs
    assert programs == {"game\\udcff\\udcfe": 5, "ゲーム": 1}
    assert {row.key: row.millis for row in store.rows("mia", TODAY, TODAY)} == programs
    json.dumps(store.export("mia")).encode("utf-8")


def test_nothing_to_record_writes_nothing(store: Store) -> None:
    store.record([charge(1)], {})
    before = store._db.connection.total_changes
    store.record([], {})
    store.record([charge(0)], {})
    store.usage("mia", TODAY)
    assert store._db.connection.total_changes == before


# ---- since, a new child ----------------------------------------------------------------------------------------------


def test_since_is_the_first_day_that_the_ledger_knows(store: Store, tmp_path: Path) -> None:
    assert store.usage("mia", TODAY).since == TODAY
    store.record([charge(1)], {})
    store.close()
    later = Store.open(tmp_path / "state", machine_id="pc-1")
    assert later.usage("mia", "2026-01-20").since == TODAY
    assert later.usage("noa", "2026-01-20").since == "2026-01-20", "a child who came later saved nothing before"
    assert later.usage("mia", "2026-01-10").since == "2026-01-10", "never after today"
    later.close()


def test_since_of_an_old_ledger_is_its_first_charge(tmp_path: Path) -> None:
    store = Store.open(tmp_path, machine_id="pc-1")
    store.record([charge(1, day="2026-01-03")], {})
    assert store.usage("mia", TODAY).since == "2026-01-03"
    store.close()


# ---- grants ----------------------------------------------------------------------------------------------------------


def test_grants_in_force(store: Store) -> None:
    extra, other_day = grant("g1"), grant("g2", day="2026-01-15")
    permit = grant("g3", kind="program", subject="chess", day="", until=5_000, given=900)
    lock = grant("g4", kind="lock", day="", until=None, given=2_000, child="leo")
    for one in (extra, other_day, permit, lock):
        store.add_grant(one)
    assert store.grants(day=TODAY, at=4_999) == (permit, extra, lock)
    assert store.grants(day=TODAY, at=5_000) == (extra, lock)
    assert store.grants("mia", day="2026-01-15", at=5_000) == (other_day,)
    assert store.grants("leo", at=9_000_000) == (lock,)
    assert store.grants("mia", day=TODAY) == (extra,)
    assert store.grants() == (permit, extra, other_day, lock)


def test_an_ended_grant_is_out_of_force_and_remembered(store: Store, tmp_path: Path) -> None:
    lock, extra = grant("g1", kind="lock", day="", until=None), grant("g2")
    store.add_grant(lock)
    store.add_grant(extra)
    ended = store.end_grant("g1", 7_000)
    store.end_grant("g2", 8_000)
    assert ended.until == 7_000
    assert store.end_grant("g1", 9_000).until == 7_000, "it ended once"
    assert store.grants(day=TODAY, at=3_000) == (), "out of force even when the clock is set back before the end"
    store.close()
    again = Store.open(tmp_path / "state", machine_id="pc-1")
    assert again.grants(day=TODAY, at=3_000) == ()
    assert [g.until for g in again.grants()] == [7_000, 8_000]
    again.close()


def test_the_same_grant_twice_is_once(store: Store) -> None:
    store.add_grant(grant("g1"))
    store.add_grant(grant("g1"))
    assert len(store.grants(day=TODAY)) == 1
    with pytest.raises(StoreError, match="exists already"):
        store.add_grant(grant("g1", seconds=9_000))
    assert store.grants(day=TODAY) == (grant("g1"),)


def test_an_unknown_grant_cannot_be_ended(store: Store) -> None:
    with pytest.raises(NotFound):
        store.end_grant("nothing", 1)


# ---- requests --------------------------------------------------------------------------------------------------------


def test_requests_newest_first_and_answered_once(store: Store) -> None:
    store.add_request(request("r1"))
    store.add_request(request("r2", kind="program", subject="chess", asked=2_000_000))
    store.add_request(request("r3", child="leo", asked=3_000_000))
    assert [r.id for r in store.requests()] == ["r3", "r2", "r1"]
    assert [r.id for r in store.requests("mia", limit=1)] == ["r2"]
    answered = store.answer_request("r1", "granted", 4_000_000, "ana", "ok")
    assert (answered.state, answered.answered, answered.by, answered.reply) == ("granted", 4_000_000, "ana", "ok")
    assert [r.id for r in store.requests(open_only=True)] == ["r3", "r2"]
    with pytest.raises(Refused, match="answered already"):
        store.answer_request("r1", "granted", 5_000_000, "ana", "")
    with pytest.raises(NotFound):
        store.answer_request("nothing", "granted", 5_000_000, "ana", "")
    with pytest.raises(ValueError, match="no such answer"):
        store.answer_request("r2", "open", 5_000_000, "ana", "")


def test_the_same_request_within_five_minutes_is_one(store: Store) -> None:
    first = store.add_request(request("r1"))
    assert store.add_request(request("r2", asked=1_000_000 + 5 * MINUTE)) == first
    assert store.add_request(request("r3", asked=1_000_001 + 5 * MINUTE)).id == "r3"
    assert store.add_request(request("r4", kind="program", subject="chess")).id == "r4"
    assert store.add_request(request("r5", kind="comment", text="why?")).id == "r5"
    assert store.add_request(request("r6", kind="comment", text="really?")).id == "r6"
    assert store.add_request(request("r7", kind="comment", text="why?")).id == "r5"


def test_at_most_twenty_open_requests_a_child(store: Store) -> None:
    for number in range(20):
        store.add_request(request(f"r{number}", kind="site", subject=f"host{number}"))
    with pytest.raises(Refused) as refused:
        store.add_request(request("one too many", kind="site", subject="more"))
    assert refused.value.advice
    assert store.add_request(request("x", child="leo")).id == "x"
    store.answer_request("r3", "refused", 2_000_000, "ana", "")
    assert store.add_request(request("y", kind="site", subject="more")).id == "y"


def test_a_request_that_nobody_answers_expires(store: Store) -> None:
    for number in range(20):
        store.add_request(request(f"r{number}", kind="site", subject=f"host{number}"))
    later = 1_000_001 + 7 * 86_400_000
    store.add_request(request("new", asked=later))
    assert [r.id for r in store.requests("mia", open_only=True)] == ["new"]
    assert {r.state for r in store.requests("mia") if r.id != "new"} == {"expired"}


# ---- events ----------------------------------------------------------------------------------------------------------


def test_events_of_the_same_kind_add_up(store: Store) -> None:
    store.add_event(event())
    store.add_event(event(at=2_000, text="again", count=3))
    store.add_event(event(kind="warned"))
    store.add_event(event(child="", kind="clock", subject="", rule="", at=500))
    assert store.events("mia", TODAY, TODAY) == [event(kind="warned"), event(at=2_000, text="again", count=4)]
    assert store.events("", TODAY, TODAY) == [event(child="", kind="clock", subject="", rule="", at=500)]
    assert store.events("mia", "2026-01-15", "2026-01-31") == []


def test_ten_thousand_names_do_not_fill_the_disk(store: Store) -> None:
    for number in range(450):
        store.add_event(event(f"game{number}" + "x" * 900))
    rows = store.events("mia", TODAY, TODAY)
    assert len(rows) == 201
    assert sum(row.count for row in rows) == 450
    assert next(row.count for row in rows if row.subject == "(others)") == 250
    assert max(len(row.subject) for row in rows) == 500


# ---- when it cannot be written ---------------------------------------------------------------------------------------


def test_nothing_is_lost_while_writing_is_refused(store: Store, tmp_path: Path) -> None:
    store.record([charge(1_000)], {"engine": b"one"})
    refuse_writes(store)
    for _ in range(3):
        with pytest.raises(StoreError) as refused:
            store.record([charge(10), charge(2, "program", "chess")], {"engine": b"two"})
    assert refused.value.advice
    with pytest.raises(StoreError):
        store.add_event(event())
    assert store.usage("mia", TODAY).days[TODAY] == DayUse(total=1_030, programs={"chess": 6})
    assert store.rows("mia", TODAY, TODAY) == [charge(6, "program", "chess"), charge(1_030)]
    assert store.state("engine") == b"two"
    assert store.events("mia", TODAY, TODAY) == [event()]
    assert store.pending == 4
    allow_writes(store)
    store.record([charge(1)], {})
    assert store.pending == 0
    store.close()
    again = Store.open(tmp_path / "state", machine_id="pc-1")
    assert again.usage("mia", TODAY).days[TODAY] == DayUse(total=1_031, programs={"chess": 6})
    assert again.state("engine") == b"two"
    assert again.events("mia", TODAY, TODAY) == [event()]
    again.close()


def test_a_full_disk_is_told_with_advice_and_written_later(store: Store) -> None:
    pages = store._db.connection.execute("PRAGMA page_count").fetchone()[0]
    store._db.connection.execute(
        f"PRAGMA max_page_count = {pages}"
    )  # SQLite then fails as it does on a full disk: SQLITE_FULL
    many = [charge(1, "program", f"program-{n}" + "x" * 100) for n in range(500)]
    with pytest.raises(StoreError, match="disk is full") as full:
        store.record(many, {})
    assert "Free some space" in full.value.advice
    assert len(store.usage("mia", TODAY).days[TODAY].programs) == 500
    store._db.connection.execute("PRAGMA max_page_count = 1000000")
    store.flush()
    assert store.pending == 0
    assert len(store.rows("mia", TODAY, TODAY)) == 500


def test_a_guardians_act_that_cannot_be_kept_is_refused_and_has_no_effect(store: Store) -> None:
    store.add_grant(grant("g0"))
    store.add_request(request("r0"))
    refuse_writes(store)
    with pytest.raises(StoreError):
        store.add_grant(grant("g1"))
    with pytest.raises(StoreError):
        store.end_grant("g0", 5)
    with pytest.raises(StoreError):
        store.add_request(request("r1", kind="site", subject="x"))
    with pytest.raises(StoreError):
        store.answer_request("r0", "granted", 5, "ana", "")
    assert store.grants(day=TODAY) == (grant("g0"),)
    assert [(r.id, r.state) for r in store.requests()] == [("r0", "open")]
    allow_writes(store)


def test_what_is_pending_is_bounded_and_keeps_its_sums(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_pending, "MAX_PENDING", 50)
    refuse_writes(store)
    for hour in range(24):
        with pytest.raises(StoreError):
            store.record([charge(1, "program", f"p{n}", hour=hour) for n in range(10)], {})
        with pytest.raises(StoreError):
            store.add_event(event(f"s{hour}"))
    assert store.pending <= 50 + 24 + 1
    allow_writes(store)
    store.flush()
    assert store.usage("mia", TODAY).days[TODAY].programs == {f"p{n}": 24 for n in range(10)}
    assert sum(row.millis for row in store.rows("mia", TODAY, TODAY)) == 240


def test_closing_says_what_it_could_not_write(tmp_path: Path) -> None:
    store = Store.open(tmp_path, machine_id="pc-1")
    refuse_writes(store)
    with pytest.raises(StoreError):
        store.record([charge(1)], {})
    with pytest.raises(StoreError):
        store.close()
    Store.open(tmp_path, machine_id="pc-1").close()  # the file was let go all the same


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let an open file be deleted")
def test_a_ledger_deleted_while_open_is_put_back_whole(store: Store, tmp_path: Path) -> None:
    store.record([charge(1_000)], {"engine": b"one"})
    store.add_grant(grant("g1"))
    for path in (tmp_path / "state").glob("ledger.db*"):
        path.unlink()
    store.record([charge(1)], {})
    store.close()
    again = Store.open(tmp_path / "state", machine_id="pc-1")
    assert again.condition == "ok"
    assert again.usage("mia", TODAY).days[TODAY].total == 1_001
    assert again.grants(day=TODAY) == (grant("g1"),)
    assert [e.kind for e in again.events("", "", "9999-12-31")] == ["tamper"]
    again.close()


# ---- keeping and forgetting ------------------------------------------------------------------------------------------


def test_forgetting_keeps_only_what_running_limits_need(store: Store) -> None:
    store.usage("mia", TODAY)
    days = ["2025-11-20", "2026-01-02", "2026-01-06", TODAY]
    for day in days:
        store.record([charge(10, day=day), charge(4, day=day, hour=9), charge(3, "program", "chess", day=day)], {})
        store.add_event(event(day=day))
        store.add_grant(grant(day, day=day, given=1))
    store.add_grant(grant("lock", kind="lock", day="", until=None, given=1))
    store.add_request(request("old", asked=1_000))
    store.forget("2026-01-07")
    assert store.rows("mia", "", "9999") == [
        charge(14, day="2026-01-02", hour=0),
        charge(14, day="2026-01-06", hour=0),
        charge(4, hour=9),
        charge(3, "program", "chess"),
        charge(10),
    ]
    assert {day: use.total for day, use in store.usage("mia", TODAY).days.items()} == {
        "2026-01-02": 14,
        "2026-01-06": 14,
        TODAY: 14,
    }
    assert [e.day for e in store.events("mia", "", "9999")] == [TODAY]
    assert {g.id for g in store.grants()} == {TODAY, "lock"}, "a lock stays in force however old it is"
    assert store.requests() == ()


def test_deleting_history_leaves_nothing_of_it_in_any_file(store: Store, tmp_path: Path) -> None:
    secret = "unmistakable-program-name"  # not a password
    store.record([charge(10, "program", secret, day="2026-01-10"), charge(10, day="2026-01-10")], {})
    store.add_event(event(secret, day="2026-01-10"))
    store.add_request(request("r1", text=secret, asked=1))
    store.answer_request("r1", "refused", 2, "ana", secret)
    store.add_grant(grant("g1", note=secret, day="2026-01-10"))
    store.record([charge(10, child="leo", day="2026-01-10")], {})
    store.backup()
    folder = tmp_path / "state"
    assert any(secret.encode() in path.read_bytes() for path in (folder / "backups").iterdir())
    store.delete_history("mia", TODAY)
    for path in folder.rglob("*"):
        assert path.is_dir() or path.name == "ledger.db" or secret.encode() not in path.read_bytes(), path
    assert store.rows("mia", "", "9999") == [charge(10, day="2026-01-10", hour=0)], "the month's limit goes on"
    assert store.rows("leo", "", "9999") == [charge(10, child="leo", day="2026-01-10")]
    assert secret not in json.dumps(store.export("mia"))
    store.close()
    assert secret.encode() not in (folder / "ledger.db").read_bytes()


def test_deleting_history_does_not_begin_today_afresh(store: Store) -> None:
    store.record([charge(10), charge(5, "program", "chess")], {})
    before = store.usage("mia", TODAY)
    store.delete_history("mia", "2026-02-01")
    assert store.usage("mia", TODAY).days == before.days


def test_export_is_plain_json_and_complete(store: Store) -> None:
    store.record([charge(10), charge(9, child="leo")], {})
    store.add_grant(grant("g1"))
    store.add_request(request("r1"))
    store.add_event(event())
    found = json.loads(json.dumps(store.export("mia")))
    assert found["since"] == TODAY
    assert [row["millis"] for row in found["use"]] == [10]
    assert [len(found[part]) for part in ("grants", "requests", "events")] == [1, 1, 1]


def test_backups_are_rotated_and_whole(store: Store) -> None:
    for number in range(5):
        store.record([charge(1)], {})
        path = store.backup(keep=3)
        with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as copy:
            assert copy.execute("SELECT sum(millis) FROM charge").fetchone() == (number + 1,)
        copy.close()
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["ledger-000003.db", "ledger-000004.db", "ledger-000005.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no POSIX modes")
def test_only_the_service_can_read_any_of_it(store: Store, tmp_path: Path) -> None:
    store.record([charge(1)], {})
    store.backup()
    for path in [tmp_path / "state", *(tmp_path / "state").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert path.stat().st_uid == os.geteuid()
