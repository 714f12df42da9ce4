"""The audit: every change, loss or reorder is found, and a crash is mended and named."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.model.record import AuditEntry
from agent.service.audit import Audit, AuditReport, Head, digest, verify_file
from agent.service.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state", machine_id="pc-1")
    yield opened
    opened.close()


def write(folder: Path, count: int, keeper: Store | None = None) -> Path:
    audit = Audit.open(folder, keeper)
    for number in range(count):
        audit.append("ana", "tray", "grant", "mia", f"+{number} min: because", at=1_000 * number)
    return audit.path


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_entries_are_chained_and_read_back(tmp_path: Path) -> None:
    audit = Audit.open(tmp_path)
    first = audit.append("ana", "tray", "grant", "mia", "+15 min", at=1_000)
    second = audit.append("service", "service", "started", at=2_000)
    assert (first.seq, first.prev, second.seq, second.prev) == (1, "", 2, first.hash)
    assert audit.tail(10) == [first, second]
    assert audit.tail(1) == [second]
    assert audit.tail(0) == []
    assert audit.verify() == AuditReport(ok=True, entries=2)
    again = Audit.open(tmp_path)
    third = again.append("leo", "tray", "goal", "leo", at=3_000)
    assert (third.seq, third.prev) == (3, second.hash)
    assert again.verify().ok


def test_the_hash_can_be_checked_without_this_program(tmp_path: Path) -> None:
    entry = json.loads(lines(write(tmp_path, 3))[2])
    names = ["prev", "seq", "at", "actor", "via", "action", "child", "detail"]
    text = json.dumps([entry[name] for name in names], separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == entry["hash"]


def test_no_field_runs_into_the_next() -> None:
    one = AuditEntry(seq=1, at=0, actor="a", via="b", action="grant", child="mia", detail="x")
    two = AuditEntry(seq=1, at=0, actor="a", via="b", action="grant", child="miax", detail="")
    assert digest(one) != digest(two)


def test_an_empty_audit_holds(tmp_path: Path, store: Store) -> None:
    audit = Audit.open(tmp_path, store)
    assert audit.verify() == AuditReport(ok=True, entries=0)
    assert audit.tail(5) == []


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, 4)
    whole = path.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == 0x0A]
    for at in range(len(whole)):
        for change in (0x01, 0x20, 0x80):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
            report = verify_file(path)
            line = sum(end < at for end in ends) + 1
            assert not report.ok, (at, change)
            assert report.first_bad == line, (at, change, report)
            assert report.entries == line - 1
            assert report.reason


def test_any_inserted_or_removed_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + whole[at + 1 :])
        assert not verify_file(path).ok, at
        for byte in (b" ", b"\n", b"0"):
            path.write_bytes(whole[:at] + byte + whole[at:])
            assert not verify_file(path).ok, (at, byte)


@pytest.mark.parametrize("gone", range(5))
def test_a_removed_entry_is_found(tmp_path: Path, store: Store, gone: int) -> None:
    path = write(tmp_path, 5, store)
    path.write_bytes(b"".join(line for number, line in enumerate(lines(path)) if number != gone))
    report = Audit.open(tmp_path, store).verify()
    assert not report.ok
    assert report.first_bad == gone + 1


@pytest.mark.parametrize("left", range(5))
def test_an_audit_that_was_cut_short_is_found_and_stays_so(tmp_path: Path, store: Store, left: int) -> None:
    path = write(tmp_path, 5, store)
    path.write_bytes(b"".join(lines(path)[:left]))
    assert verify_file(path).ok, "the file alone cannot tell; the ledger can"
    audit = Audit.open(tmp_path, store)
    report = audit.verify()
    assert (report.ok, report.first_bad) == (False, left + 1)
    assert "entry 5" in report.reason
    entry = audit.append("service", "service", "started", at=9)
    assert entry.seq == 6, "a number is never given twice"
    report = audit.verify()
    assert (report.ok, report.first_bad) == (False, left + 1)
    assert not verify_file(path).ok, "and now the gap is in the file itself"


def test_a_deleted_audit_is_found(tmp_path: Path, store: Store) -> None:
    write(tmp_path, 3, store).unlink()
    audit = Audit.open(tmp_path, store)
    assert not audit.verify().ok
    assert audit.append("service", "service", "started", at=1).seq == 4
    assert not audit.verify().ok


def test_swapped_and_doubled_entries_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    one = lines(path)
    path.write_bytes(b"".join([one[0], one[2], one[1], *one[3:]]))
    assert verify_file(path).first_bad == 2
    path.write_bytes(b"".join([*one, one[4]]))
    assert verify_file(path).first_bad == 6


def test_a_chain_made_anew_is_not_the_one_the_ledger_knows(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path / "a", 3, store)
    forged = Audit.open(tmp_path / "b")
    for number in range(4):
        forged.append("ana", "tray", "grant", "leo", "never happened", at=number)
    path.write_bytes(forged.path.read_bytes())
    assert verify_file(path).ok
    for _ in range(2):
        audit = Audit.open(tmp_path / "a", store)
        report = audit.verify()
        assert (report.ok, report.first_bad) == (False, 3)
        assert "the ledger knows" in report.reason
    assert audit.append("service", "service", "started", at=9).seq == 5
    for _ in range(2):
        report = Audit.open(tmp_path / "a", store).verify()
        assert (report.ok, report.first_bad) == (False, 5), "it cannot be made good by going on"


def test_a_torn_last_line_is_cut_off_and_named(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path, 3, store)
    whole = path.read_bytes()
    for torn in (b"{", b'{"seq":4,"at":7,"actor":"an', b"\xff\xfe"):
        path.write_bytes(whole + torn)
        assert verify_file(path).first_bad == 4
        path.write_bytes(whole + torn)
        folder = tmp_path / f"copy-{len(torn)}"
        folder.mkdir()
        (folder / "audit.log").write_bytes(whole + torn)
        audit = Audit.open(folder, at=77)
        assert f"{len(torn)} bytes" in audit.repaired
        assert audit.verify() == AuditReport(ok=True, entries=4)
        last = audit.tail(1)[0]
        assert (last.seq, last.at, last.action, last.detail) == (4, 77, "audit-repaired", audit.repaired)


def test_a_last_entry_without_its_end_of_line_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    audit = Audit.open(tmp_path)
    assert "entry 3" in audit.repaired
    assert audit.verify() == AuditReport(ok=True, entries=4)
    assert audit.tail(4)[2].seq == 3


def test_an_entry_whose_crash_came_before_the_ledger_knew_it_is_kept(tmp_path: Path, store: Store) -> None:
    write(tmp_path, 2, store)
    known = store.state("audit.head")
    assert known is not None
    Audit.open(tmp_path, store).append("ana", "tray", "grant", at=5)
    store.record((), {"audit.head": known})
    audit = Audit.open(tmp_path, store)
    assert audit.verify() == AuditReport(ok=True, entries=3)
    assert audit.append("ana", "tray", "grant", at=6).seq == 4
    assert audit.verify().ok


def test_a_broken_chain_is_still_appended_to(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path, 3, store)
    one = lines(path)
    path.write_bytes(one[0] + b"rubbish\n" + one[2])
    audit = Audit.open(tmp_path, store)
    assert audit.append("service", "service", "tamper", at=9).seq == 4
    assert audit.verify().first_bad == 2
    assert [entry.seq for entry in audit.tail(10)] == [1, 3, 4]


def test_what_cannot_be_written_has_not_happened(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 2, store)
    audit = Audit.open(tmp_path, store)
    before = path.read_bytes()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr("agent.service.audit.os.write", lambda descriptor, data: real(descriptor, data[:10]))
        with pytest.raises(StoreError) as refused:
            audit.append("ana", "tray", "grant", at=5)
    assert refused.value.advice
    assert path.read_bytes() == before
    assert audit.append("ana", "tray", "grant", at=6).seq == 3
    assert audit.verify().ok


def test_a_ledger_that_cannot_be_written_gets_the_head_later(tmp_path: Path, store: Store) -> None:
    audit = Audit.open(tmp_path, store)
    store._db.connection.execute("PRAGMA query_only = ON")
    audit.append("ana", "tray", "grant", at=5)
    assert audit.verify().ok
    store._db.connection.execute("PRAGMA query_only = OFF")
    store.flush()
    assert b'"seq":1' in (store.state("audit.head") or b"")


def test_names_that_are_no_text_can_be_entered(tmp_path: Path) -> None:
    audit = Audit.open(tmp_path)
    audit.append(
        b"an\xffa".decode("utf-8", "surrogateescape"),
        "cli",
        "why",
        "mia",
        b"/tmp/\xfe\nseq".decode("utf-8", "surrogateescape") + "x" * 5_000,
        at=1,
    )
    assert audit.verify() == AuditReport(ok=True, entries=1)
    assert len(audit.tail(1)[0].detail) == 1_000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no POSIX modes")
def test_only_the_service_can_read_it(tmp_path: Path) -> None:
    assert stat.S_IMODE(write(tmp_path, 1).stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "audit.log").symlink_to(elsewhere)
    with pytest.raises(StoreError):
        Audit.open(tmp_path / "state")
    assert elsewhere.read_text() == "mine"


def test_a_damaged_note_in_the_ledger_is_told(tmp_path: Path, store: Store) -> None:
    write(tmp_path, 1, store)
    store.record((), {"audit.head": b"{"})
    with pytest.raises(StoreError) as told:
        Audit.open(tmp_path, store)
    assert told.value.advice


def test_the_document_for_faces(tmp_path: Path, store: Store) -> None:
    audit = Audit.open(write(tmp_path, 3, store).parent, store)
    document = audit.document(2)
    assert document["report"] == {"ok": True, "entries": 3, "first_bad": None, "reason": ""}
    assert [entry["seq"] for entry in document["entries"]] == [2, 3]


def test_a_head_of_nothing_asks_for_nothing(tmp_path: Path) -> None:
    assert verify_file(tmp_path / "none", Head()).ok
    assert not verify_file(tmp_path / "none", Head(seq=1, hash="x")).ok
