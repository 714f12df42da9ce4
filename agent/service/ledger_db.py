"""The one connection to an open ledger: transactions, errors that a guardian understands, and a file that stays in place."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.errors import StoreError
from agent.service import ledger_files as files

SYNC_EVERY = 30.0
"""Seconds between synced writes at the least."""


class Database:
    """The ledger in ``folder``.  ``connection`` is another one after ``put_back``: never keep it."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._folder = folder
        self._path = folder / files.LEDGER
        self._inode = self._path.stat().st_ino
        self._synced = float("-inf")

    def close(self) -> None:
        """Close; what is not committed is undone."""
        self.connection.close()

    @property
    def sync_due(self) -> bool:
        """Whether the next write must be synced."""
        return time.monotonic() - self._synced >= SYNC_EVERY

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing; ``durable`` syncs it, and with it everything written before.  ``StoreError`` when it fails."""
        db = self.connection
        try:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except sqlite3.Error as error:
            # SQLite itself rolls back after some errors (disk full, input/output error); then there is nothing to undo.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise self._failed(error) from error
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if durable:
            self._synced = time.monotonic()

    def ask(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; ``StoreError`` when it fails."""
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def put_back(self) -> bool:
        """Somebody may delete or replace the file while it is open; what we hold is the ledger, so it is put back.

        Says whether that had to be done.
        """
        try:
            if self._path.stat().st_ino == self._inode:
                return False
        except FileNotFoundError:
            files.secure_folder(self._folder)
        with self._explained():
            files.copy_to(self.connection, self._path)
            self.connection.close()
            for side in ("-wal", "-shm"):
                self._path.with_name(self._path.name + side).unlink(missing_ok=True)
            self.connection = files.reopen(self._path)
            self._inode = self._path.stat().st_ino
        return True

    def backup(self, keep: int = 7) -> Path:
        """Copy the ledger while it is open; keeps the newest ``keep`` copies."""
        with self._explained():
            return files.write_backup(self.connection, self._folder, keep)

    def renew_copies(self) -> None:
        """After rows were deleted for good: nothing of them stays in the log or in an older copy."""
        with self._explained():
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            files.drop_copies(self._folder)
            files.write_backup(self.connection, self._folder)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, sqlite3.Error):
            return files.explain(error, self._path)
        return StoreError(
            f"The ledger's folder failed: {error.strerror or error}.",
            "Check that the service may write to it and that the disk has room.",
            where=str(self._folder),
        )
