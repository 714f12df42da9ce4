"""The shape of the ledger, one step per version.

Each step runs in one transaction together with its ``PRAGMA user_version`` (which SQLite rolls back like any row), so a
ledger is always wholly of one version.  A step that has been released is never edited; a change is a new step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

Step = Sequence[str]

POSSIBLE = "millis >= 0 AND hour BETWEEN 0 AND 23 AND day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'"
"""What every charge fulfils."""

STEPS: tuple[Step, ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        f"""CREATE TABLE charge (
            child TEXT NOT NULL, day TEXT NOT NULL, hour INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
            millis INTEGER NOT NULL, CHECK ({POSSIBLE}),
            PRIMARY KEY (child, day, hour, kind, key)) STRICT, WITHOUT ROWID""",
        """CREATE TABLE given (
            id TEXT PRIMARY KEY, child TEXT NOT NULL, kind TEXT NOT NULL, seconds INTEGER NOT NULL,
            subject TEXT NOT NULL, day TEXT NOT NULL, given INTEGER NOT NULL, until INTEGER, by TEXT NOT NULL,
            via TEXT NOT NULL, note TEXT NOT NULL, ended INTEGER) STRICT, WITHOUT ROWID""",
        """CREATE TABLE request (
            id TEXT PRIMARY KEY, child TEXT NOT NULL, kind TEXT NOT NULL, seconds INTEGER NOT NULL,
            subject TEXT NOT NULL, text TEXT NOT NULL, asked INTEGER NOT NULL, state TEXT NOT NULL, answered INTEGER,
            by TEXT NOT NULL, reply TEXT NOT NULL) STRICT, WITHOUT ROWID""",
        """CREATE TABLE event (
            child TEXT NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, rule TEXT NOT NULL,
            at INTEGER NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (child, day, kind, subject, rule)) STRICT, WITHOUT ROWID""",
    ),
    (
        # ``seal``: the signed envelope of a grant (``trust.seal``); a row without one that holds is no grant.
        "ALTER TABLE given ADD COLUMN once INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE given ADD COLUMN title TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE given ADD COLUMN seal BLOB NOT NULL DEFAULT x''",
        # ``identity``: what a permission for the program asked for rests on; ``place``: where it lies.
        "ALTER TABLE request ADD COLUMN identity TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN place TEXT NOT NULL DEFAULT ''",
    ),
)


def version(connection: sqlite3.Connection) -> int:
    """The version a ledger is of; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Bring the ledger to ``len(steps)``; ``connection`` is in autocommit mode.  A step that fails leaves nothing."""
    for number in range(version(connection) + 1, len(steps) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in steps[number - 1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
