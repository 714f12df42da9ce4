"""However the ledger is found, nobody gets a fresh budget out of it, and what can be saved is saved."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.model.usage import Charge
from agent.service import ledger_files as files
from agent.service import migrations
from agent.service.store import Store

TODAY, TOMORROW = "2026-01-14", "2026-01-15"


def charge(millis: int, day: str = TODAY) -> Charge:
    return Charge(child="mia", day=day, hour=15, kind="total", millis=millis)


def begin(folder: Path, *, backup: bool = False) -> Path:
    """A ledger with one charge, closed; its path."""
    store = Store.open(folder, machine_id="pc-1")
    assert store.condition == "new"
    store.record([charge(1_000)], {"engine": b"one"})
    if backup:
        store.backup()
        store.record([charge(500)], {})
    store.close()
    return folder / "ledger.db"


def total(store: Store, day: str = TODAY) -> int:
    use = store.usage("mia", day).days.get(day)
    return use.total if use else 0


def overwrite(path: Path, content: bytes, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_a_new_ledger_and_an_old_one(tmp_path: Path) -> None:
    begin(tmp_path)
    again = Store.open(tmp_path, machine_id="pc-1")
    assert (again.condition, again.advice, total(again)) == ("ok", "", 1_000)
    assert not again.usage("mia", TODAY).lost
    again.close()


# ---- lost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "emptied", "deleted but for its log"])
def test_a_deleted_ledger_is_no_fresh_start(tmp_path: Path, how: str) -> None:
    path = begin(tmp_path)
    path.unlink()
    if how == "emptied":
        path.touch()
    if how == "deleted but for its log":
        (tmp_path / "ledger.db-wal").write_bytes(b"left behind" * 500)
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.condition == "lost"
    assert "deleted" in store.advice
    assert store.usage("mia", TODAY).lost
    store.close()


def test_a_loss_lasts_until_its_day_is_over_also_over_restarts(tmp_path: Path) -> None:
    begin(tmp_path).unlink()
    store = Store.open(tmp_path, machine_id="pc-1")
    store.close()  # nobody asked for a day yet
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.condition == "ok"
    assert store.usage("mia", TODAY).lost
    assert store.usage("leo", TODAY).lost
    store.record([charge(1)], {})
    store.close()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.usage("mia", TODAY).lost
    assert store.usage("mia", "2026-01-13").lost, "a clock set back does not end the day"
    assert not store.usage("mia", TOMORROW).lost
    assert store.usage("mia", TODAY).since == TODAY, "days before the loss saved nothing"
    store.close()


def test_a_guardian_can_accept_a_loss(tmp_path: Path) -> None:
    begin(tmp_path).unlink()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.usage("mia", TODAY).lost
    store.accept_loss()
    assert not store.usage("mia", TODAY).lost
    store.close()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert not store.usage("mia", TODAY).lost
    store.close()
    (tmp_path / "ledger.db").unlink()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.usage("mia", TODAY).lost, "the next loss is another one"
    store.close()


def test_a_crash_while_replacing_a_lost_ledger_does_not_hide_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path).unlink()
    moved = os.replace

    def stop(source: object, target: object) -> None:
        if Path(str(target)).name == "ledger.db":
            raise KeyboardInterrupt
        moved(str(source), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            Store.open(tmp_path, machine_id="pc-1")
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.condition == "lost"
    assert store.usage("mia", TODAY).lost
    store.close()


def test_a_deleted_ledger_gets_its_history_back_from_a_backup(tmp_path: Path) -> None:
    begin(tmp_path, backup=True).unlink()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert (store.condition, total(store)) == ("lost", 1_000)
    assert store.usage("mia", TODAY).lost, "what was used after the backup is not known"
    assert "ledger-000001.db" in store.advice
    store.close()


def test_the_ledger_of_another_machine_is_kept_aside(tmp_path: Path) -> None:
    begin(tmp_path, backup=True)
    store = Store.open(tmp_path, machine_id="pc-2")
    assert (store.condition, total(store)) == ("lost", 0), "nor are its backups believed"
    assert store.usage("mia", TODAY).lost
    assert "another machine" in store.advice
    store.close()
    assert (tmp_path / "ledger.foreign-1.db").exists()


# ---- damaged ---------------------------------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    match how:
        case "not a database":
            path.write_bytes(b"\0" * 4096)
        case "a text":
            path.write_text("[limits]\nminutes = 0\n" * 300)
        case "cut short":
            overwrite(path, b"")
            os.truncate(path, path.stat().st_size // 2)
        case "junk inside":
            overwrite(path, os.urandom(3 * 4096), 4096)
        case "junk 1 MiB":
            path.write_bytes(os.urandom(1024 * 1024))
        case "a table is missing":
            connection = sqlite3.connect(path)
            connection.execute("DROP TABLE charge")
            connection.commit()
            connection.close()
        case "a negative charge":
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("UPDATE charge SET millis = -5000000")
            connection.commit()
            connection.close()
        case _:
            raise AssertionError(how)


WAYS = ["not a database", "a text", "cut short", "junk inside", "junk 1 MiB", "a table is missing", "a negative charge"]


@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_ledger_is_restored(tmp_path: Path, how: str) -> None:
    path = begin(tmp_path, backup=True)
    damage(path, how)
    broken = path.read_bytes()
    store = Store.open(tmp_path, machine_id="pc-1")
    assert (store.condition, total(store)) == ("restored", 1_000)
    assert store.usage("mia", TODAY).lost, "what was used after the backup is not known"
    assert store.state("engine") == b"one"
    assert "ledger.corrupt-1.db" in store.advice
    store.close()
    assert (tmp_path / "ledger.corrupt-1.db").read_bytes() == broken


@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_ledger_without_a_backup_is_lost(tmp_path: Path, how: str) -> None:
    damage(begin(tmp_path), how)
    store = Store.open(tmp_path, machine_id="pc-1")
    assert (store.condition, total(store)) == ("lost", 0)
    assert store.usage("mia", TODAY).lost
    store.close()


def test_the_newest_good_backup_is_taken(tmp_path: Path) -> None:
    path = begin(tmp_path, backup=True)
    store = Store.open(tmp_path, machine_id="pc-1")
    store.backup()
    newest = store.backup()
    store.close()
    damage(newest, "junk 1 MiB")
    damage(path, "not a database")
    store = Store.open(tmp_path, machine_id="pc-1")
    assert (store.condition, total(store)) == ("restored", 1_500)
    assert "ledger-000002.db" in store.advice
    store.close()


def test_few_damaged_ledgers_are_kept(tmp_path: Path) -> None:
    begin(tmp_path)
    for _ in range(5):
        damage(tmp_path / "ledger.db", "not a database")
        Store.open(tmp_path, machine_id="pc-1").close()
    assert sorted(p.name for p in tmp_path.glob("ledger.corrupt-*.db")) == [
        f"ledger.corrupt-{number}.db" for number in (3, 4, 5)
    ]


def test_any_flipped_byte_is_survived(tmp_path: Path) -> None:
    """Damage is found or harmless; it never raises anything but our own error, and never loses the mark of a loss."""
    path = begin(tmp_path / "whole", backup=True)
    size = path.stat().st_size
    for at in range(0, size, 331):
        folder = tmp_path / f"at-{at}"
        shutil.copytree(tmp_path / "whole", folder)
        byte = path.read_bytes()[at]
        overwrite(folder / "ledger.db", bytes([byte ^ 0xFF]), at)
        try:
            store = Store.open(folder, machine_id="pc-1")
        except StoreError as error:
            assert error.advice, at
            continue
        usage = store.usage("mia", TODAY)
        assert store.condition in ("ok", "restored", "lost")
        assert usage.lost == (store.condition != "ok")
        store.close()


# ---- versions --------------------------------------------------------------------------------------------------------


def test_a_newer_ledger_is_left_alone(tmp_path: Path) -> None:
    path = begin(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer Fairtime") as refused:
        Store.open(tmp_path, machine_id="pc-1")
    assert "newer version again" in refused.value.advice
    assert path.read_bytes() == before
    assert list(tmp_path.glob("ledger.corrupt*")) == []


def test_migrating_keeps_everything_and_a_copy_of_before(tmp_path: Path) -> None:
    begin(tmp_path)
    newer = (*migrations.STEPS, ("ALTER TABLE charge ADD COLUMN device TEXT NOT NULL DEFAULT ''",))
    opened = files.open_ledger(tmp_path, "pc-1", newer)
    assert migrations.version(opened.connection) == len(newer)
    assert opened.connection.execute("SELECT millis, device FROM charge").fetchall() == [(1_000, "")]
    opened.connection.close()
    with sqlite3.connect(files.backups(tmp_path)[0]) as copy:
        assert migrations.version(copy) == len(newer) - 1
        assert copy.execute("SELECT millis FROM charge").fetchall() == [(1_000,)]
    copy.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    begin(tmp_path)
    broken = (*migrations.STEPS, ("ALTER TABLE charge ADD COLUMN device TEXT", "ALTER TABLE nothing ADD COLUMN x"))
    with pytest.raises(StoreError):
        files.open_ledger(tmp_path, "pc-1", broken)
    store = Store.open(tmp_path, machine_id="pc-1")
    assert (store.condition, total(store)) == ("ok", 1_000)
    columns = [row[1] for row in store._db.connection.execute("PRAGMA table_info(charge)")]
    assert "device" not in columns
    store.close()


def test_a_backup_of_an_older_version_can_be_restored(tmp_path: Path) -> None:
    damage(begin(tmp_path, backup=True), "not a database")
    newer = (*migrations.STEPS, ("ALTER TABLE charge ADD COLUMN device TEXT NOT NULL DEFAULT ''",))
    opened = files.open_ledger(tmp_path, "pc-1", newer)
    assert opened.condition == "restored"
    assert opened.connection.execute("SELECT millis, device FROM charge").fetchall() == [(1_000, "")]
    opened.connection.close()


# ---- the folder ------------------------------------------------------------------------------------------------------


def test_a_second_service_is_refused(tmp_path: Path) -> None:
    begin(tmp_path)
    first = Store.open(tmp_path, machine_id="pc-1")
    with pytest.raises(StoreError, match="in use by another process") as refused:
        Store.open(tmp_path, machine_id="pc-1")
    assert "Stop the other one" in refused.value.advice
    first.record([charge(1)], {})
    assert total(first) == 1_001
    first.close()


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
@pytest.mark.parametrize("which", ["folder", "ledger.db", "ledger.began", "backups"])
def test_links_are_not_followed(tmp_path: Path, which: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "state"
    if which == "folder":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        (folder / which).symlink_to(elsewhere if which == "backups" else elsewhere / "file")
    with pytest.raises(StoreError, match=r"link|plain folder") as refused:
        store = Store.open(folder, machine_id="pc-1")
        try:
            store.backup()
        finally:
            store.close()
    assert refused.value.advice
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(StoreError) as refused:
        Store.open(tmp_path / "state", machine_id="pc-1")
    assert refused.value.advice
    assert (tmp_path / "state").read_text() == "not a folder"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no POSIX modes")
def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    begin(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.root
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(StoreError, match="somebody else"):
        Store.open(folder, machine_id="pc-1")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.SQLITE_FULL, "disk is full"),
        (sqlite3.SQLITE_READONLY, "cannot be written"),
        (sqlite3.SQLITE_IOERR | (4 << 8), "reports an error"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_PERM, "cannot be opened"),
        (sqlite3.SQLITE_BUSY, "in use"),
        (sqlite3.SQLITE_CORRUPT, "failed"),
    ],
)
def test_every_error_comes_with_advice(tmp_path: Path, error: int, words: str) -> None:
    raised = sqlite3.OperationalError("why")
    raised.sqlite_errorcode = error
    told = files.explain(raised, tmp_path)
    assert words in told.title
    assert told.advice
    assert told.where == str(tmp_path)
