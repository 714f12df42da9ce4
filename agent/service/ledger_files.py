"""The ledger as files: its folder, the mark that one existed, its backups, and finding one that can be trusted.

``ledger.db``            the ledger (SQLite, WAL while open)
``ledger.began``         says that a ledger was begun here, and on which machine: deleting the ledger is not a fresh start
``ledger.corrupt-N.db``  a ledger set aside because SQLite found it damaged; ``ledger.foreign-N.db``: of another machine
``backups/ledger-N.db``  copies, newest last

The folder's mode is what protects them: WAL's side files get their own permissions, and a reader may create them
(https://sqlite.org/wal.html#read_only_databases).  The ledger is locked for as long as it is open, so a second service
cannot write to it.  This module never opens ``ledger.db`` but through SQLite: closing any other descriptor of the file
would drop SQLite's POSIX locks (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import StoreError
from agent.service.migrations import POSSIBLE, STEPS, Step, migrate, version

Condition = Literal["ok", "new", "restored", "lost"]
LEDGER = "ledger.db"
MARK = "ledger.began"
TABLES = frozenset({"meta", "state", "charge", "given", "request", "event"})
KEEP_ASIDE = 3
"""How many damaged or foreign ledgers are kept of each kind."""
_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA})

_ADVICE = {
    sqlite3.SQLITE_FULL: ("The disk is full.", "Free some space; nothing is lost meanwhile and no time is given away."),
    sqlite3.SQLITE_READONLY: (
        "The ledger cannot be written.",
        "Let the service write to this folder: check its owner, and that its disk is not mounted read-only.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The ledger cannot be opened.",
        "Check that the folder exists, belongs to the service and is on a disk that can be written.",
    ),
    sqlite3.SQLITE_PERM: ("The ledger cannot be opened.", "Let the service own this folder."),
    sqlite3.SQLITE_BUSY: (
        "The ledger is in use by another process.",
        "Only one Fairtime service may run. Stop the other one first.",
    ),
    sqlite3.SQLITE_IOERR: ("The disk reports an error.", "Check the disk's health and make a copy of what matters."),
}


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """What a guardian can do about an SQLite error."""
    code = getattr(error, "sqlite_errorcode", None)
    title, advice = _ADVICE.get(
        (code or 0) & 0xFF,
        (f"The ledger failed: {error}.", "Restart the service: it checks the ledger and restores it from a backup."),
    )
    return StoreError(title, advice, where=str(path))


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger ready for use, and how it was found."""

    connection: sqlite3.Connection
    condition: Condition
    advice: str


def secure_folder(folder: Path) -> None:
    """Make ``folder`` if need be, its own and nobody else's (0700); a symbolic link is refused."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError(
                "The state folder is not a plain folder.",
                "Remove the link or file that stands in its place; the service makes the folder itself.",
                where=str(folder),
            )
        if sys.platform != "win32":
            if status.st_uid != os.geteuid():
                raise StoreError(
                    "The state folder belongs to somebody else.",
                    "Give it to the account that runs the service, or remove it.",
                    where=str(folder),
                )
            if stat.S_IMODE(status.st_mode) != 0o700:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    os.fchmod(descriptor, 0o700)
                finally:
                    os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"The state folder cannot be used: {error.strerror or error}.",
            "Check that it may be made and written by the service.",
            where=str(folder),
        ) from error


def open_ledger(folder: Path, machine: str, steps: Sequence[Step] = STEPS) -> Opened:
    """Open the ledger of ``folder``; whatever is wrong with it, never a fresh one that pretends to be the old one.

    Raises ``StoreError`` when it cannot be opened at all, is in use, or comes from a newer version (then it is untouched).
    """
    secure_folder(folder)
    path = folder / LEDGER
    for name in (path, folder / MARK):
        if name.is_symlink():
            raise StoreError("The ledger is a symbolic link.", "Remove it; the service keeps its own.", where=str(name))
    try:
        state = _look(path, machine, len(steps))
        condition, advice = _settle(folder, machine, state, steps)
        connection = _connect(path)
        try:
            if version(connection) < len(steps):
                write_backup(connection, folder)
                migrate(connection, steps)
        except (sqlite3.Error, StoreError):
            connection.close()
            raise
        _write_mark(folder, machine)
        return Opened(connection, condition, advice)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        raise StoreError(
            f"The ledger cannot be used: {error.strerror or error}.",
            "Check that the service may write to this folder and that the disk has room.",
            where=str(path),
        ) from error


State = Literal["absent", "empty", "good", "damaged", "foreign"]


def _look(path: Path, machine: str, newest: int) -> State:
    """What is there, without changing it."""
    if not path.exists():
        return "absent"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
    try:
        return _judge(connection, machine, newest, path)
    except UnicodeDecodeError:
        return "damaged"  # SQLite quotes the damaged schema in its message, which Python then cannot read
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED:
            return "damaged"
        raise
    finally:
        connection.close()


def _judge(connection: sqlite3.Connection, machine: str, newest: int, path: Path) -> State:
    connection.text_factory = _text
    found = version(connection)
    if found > newest:
        raise StoreError(
            f"The ledger comes from a newer Fairtime (format {found}, this one knows {newest}).",
            "Install the newer version again. The ledger was left as it is.",
            where=str(path),
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if found == 0 and not tables:
        return "empty"
    if found == 0 or not tables >= TABLES or connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
        return "damaged"
    # SQLite's own check leaves out CHECK constraints of tables without a rowid.
    if connection.execute(f"SELECT 1 FROM charge WHERE NOT ({POSSIBLE}) LIMIT 1").fetchone():
        return "damaged"
    owner = connection.execute("SELECT value FROM meta WHERE key = 'machine'").fetchone()
    return "good" if owner == (machine,) else "foreign"


def _settle(folder: Path, machine: str, state: State, steps: Sequence[Step]) -> tuple[Condition, str]:
    """Make sure that a good ledger is in place."""
    if state == "good":
        return "ok", ""
    if state in ("absent", "empty") and not (folder / MARK).exists():
        _remove(folder / LEDGER)
        _put_in_place(folder, machine, steps, None, lost=False)
        return "new", ""
    kept = ""
    if state in ("damaged", "foreign"):
        kept = _set_aside(folder, "corrupt" if state == "damaged" else "foreign")
    else:
        _remove(folder / LEDGER)  # a WAL without its ledger must not be read into a new one
    backup = next((b for b in reversed(backups(folder)) if _good_backup(b, machine, len(steps))), None)
    _put_in_place(folder, machine, steps, backup, lost=True)
    today = "Today counts as used up, apart from what a guardian grants."
    aside = f" The old file is kept as {kept}." if kept else ""
    history = f" What was recorded until {backup.name} is back." if backup else " What was recorded before is gone."
    match state:
        case "damaged" if backup:
            return "restored", f"The ledger was damaged and was restored from a backup.{aside}{history} {today}"
        case "damaged":
            return "lost", f"The ledger was damaged and there was no backup.{aside}{history} {today}"
        case "foreign":
            return "lost", f"The ledger was that of another machine.{aside}{history} {today}"
        case _:
            return "lost", f"The ledger was deleted.{history} {today} Find out who may write to {folder}."


def _put_in_place(folder: Path, machine: str, steps: Sequence[Step], backup: Path | None, *, lost: bool) -> None:
    """Build the ledger beside its place and move it there whole: a crash half-way leaves the loss to be seen again."""
    fresh = folder / "ledger.new"
    for side in _SIDE_FILES:
        fresh.with_name(fresh.name + side).unlink(missing_ok=True)
    if backup is not None:
        write_whole(fresh, backup.read_bytes())
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        if backup is None:
            migrate(connection, steps)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('machine', ?)", (machine,))
        if lost:
            # The day is filled in when it is first asked for: only the caller knows the policy's zone.
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('lost', '')")
    finally:
        connection.close()
    os.chmod(fresh, 0o600)
    os.replace(fresh, folder / LEDGER)
    sync_folder(folder)


def _connect(path: Path) -> sqlite3.Connection:
    """Open for writing, for ourselves alone."""
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    connection.text_factory = _text
    try:
        # Exclusive before the first access of the WAL: no shared memory file, no reader can delay a checkpoint, and a
        # second service is refused (https://sqlite.org/wal.html#use_of_wal_without_shared_memory).
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "wal_autocheckpoint = 256",
            "journal_size_limit = 1048576",
            "cache_size = -512",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


reopen = _connect


# ---- backups -------------------------------------------------------------------------------------------------------


def backups(folder: Path) -> list[Path]:
    """Backups, oldest first (they are numbered: a clock that was set back changes nothing)."""
    return [path for _, path in sorted(_numbered(folder / "backups", re.compile(r"ledger-(\d+)\.db")))]


def write_backup(connection: sqlite3.Connection, folder: Path, keep: int = 7) -> Path:
    """Copy an open ledger with SQLite's backup interface; keeps the newest ``keep``."""
    place = folder / "backups"
    secure_folder(place)
    have = backups(folder)
    number = int(have[-1].stem.rpartition("-")[2]) + 1 if have else 1
    target = place / f"ledger-{number:06d}.db"
    copy_to(connection, target)
    for old in (*have, target)[: -max(1, keep)]:
        old.unlink(missing_ok=True)
    return target


def copy_to(connection: sqlite3.Connection, target: Path) -> None:
    """A whole, synced copy of an open ledger at ``target``."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        connection.backup(copy)
        # Out of WAL mode, so that reading the copy makes no side files.
        copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        copy.close()
        part.unlink(missing_ok=True)
        raise
    copy.close()
    os.chmod(part, 0o600)
    os.replace(part, target)
    sync_folder(target.parent)


def _good_backup(path: Path, machine: str, newest: int) -> bool:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        try:
            return _judge(connection, machine, newest, path) == "good"
        except (sqlite3.Error, StoreError, UnicodeDecodeError):
            return False


def drop_copies(folder: Path, *, older_than: float | None = None) -> None:
    """Delete backups and set-aside ledgers (all, or set-aside ones last written before ``older_than``, epoch seconds)."""
    for kind in ("corrupt", "foreign"):
        for _, path in _numbered(folder, re.compile(rf"ledger\.{kind}-(\d+)\.db")):
            if older_than is None or path.stat().st_mtime < older_than:
                _remove(path)
    if older_than is None:
        for path in backups(folder):
            path.unlink(missing_ok=True)


# ---- small files ---------------------------------------------------------------------------------------------------


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; mode 0600."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(part, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut (Windows has no such call and needs none)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_mark(folder: Path, machine: str) -> None:
    content = json.dumps({"machine": machine}).encode() + b"\n"
    mark = folder / MARK
    if not mark.exists() or mark.read_bytes() != content:
        write_whole(mark, content)


def _set_aside(folder: Path, kind: str) -> str:
    """Move the ledger and its side files away; the new name."""
    pattern = re.compile(rf"ledger\.{kind}-(\d+)\.db")
    have = sorted(_numbered(folder, pattern))
    target = folder / f"ledger.{kind}-{have[-1][0] + 1 if have else 1}.db"
    for side in _SIDE_FILES:
        source = folder / (LEDGER + side)
        if source.exists():
            os.replace(source, target.with_name(target.name + side))
    for _, old in sorted(_numbered(folder, pattern))[:-KEEP_ASIDE]:
        _remove(old)
    return target.name


def _remove(path: Path) -> None:
    for side in _SIDE_FILES:
        path.with_name(path.name + side).unlink(missing_ok=True)


def _text(stored: bytes) -> str:
    """Text with a damaged byte in it is read with a mark in its place; it must not stop the service from starting."""
    return stored.decode("utf-8", "replace")


def _numbered(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[int, Path]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match:
            yield int(match[1]), path
