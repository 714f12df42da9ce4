"""The audit: who did what, in a file that only grows and whose every line carries the hash of the one before.

``audit.log`` is JSON Lines, mode 0600, synced after each entry.  The chain shows a changed, removed or reordered line; its
newest sequence number and hash are also kept in the ledger, which shows a file that was cut short, replaced or removed.
Nothing here hides what happened: after a loss the next entry takes the number that it would have had, so the gap stays to
be seen for as long as the file does.

A line that an append left half-written (a crash, a power cut) is cut off at the next start, and an entry says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from agent.errors import StoreError
from agent.model.record import AuditEntry
from agent.model.usage import Charge
from agent.service.ledger_files import secure_folder, sync_folder

AUDIT = "audit.log"
HEAD = "audit.head"
"""The key of the head in the ledger's states."""
MAX_DETAIL = 1_000
"""Characters of ``detail`` that are kept."""


class Head(Struct, frozen=True, kw_only=True):
    """Newest entry of an audit."""

    seq: int = 0
    hash: str = ""


class AuditReport(Struct, frozen=True, kw_only=True):
    """What a look at the whole chain found.  ``first_bad`` is the line (from 1) that does not hold; None when all do."""

    ok: bool
    entries: int
    first_bad: int | None = None
    reason: str = ""


class HeadKeeper(Protocol):
    """Where the head is kept besides the file: the ledger."""

    def state(self, key: str) -> bytes | None: ...
    def record(self, charges: Iterable[Charge], states: Mapping[str, bytes]) -> None: ...


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the previous hash and the entry's own fields, as one JSON array (no field can run into the next)."""
    fields = [entry.prev, entry.seq, entry.at, entry.actor, entry.via, entry.action, entry.child, entry.detail]
    return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()


class Audit:
    """An open audit.  Use it from one thread; only the service has one."""

    def __init__(self, path: Path, keeper: HeadKeeper | None) -> None:
        self.path = path
        self._keeper = keeper
        self._head = Head()
        self.repaired = ""
        """What was mended when it was opened; empty when nothing was."""

    @classmethod
    def open(cls, folder: Path, keeper: HeadKeeper | None = None, *, at: int = 0) -> Audit:
        """Open or begin ``audit.log`` in ``folder``; ``keeper`` (the ledger) remembers the head.

        A torn last line is cut off and an entry of time ``at`` (trusted wall ms) says so.  A chain that does not hold is no
        error here: it is appended to, and ``verify`` tells.  Raises ``StoreError`` when the file cannot be used.
        """
        secure_folder(folder)
        audit = cls(folder / AUDIT, keeper)
        try:
            audit._mend()
        except OSError as error:
            raise _failed(error, audit.path) from error
        if audit.repaired:
            audit.append("service", "service", "audit-repaired", detail=audit.repaired, at=at)
        return audit

    def append(self, actor: str, via: str, action: str, child: str = "", detail: str = "", *, at: int) -> AuditEntry:
        """Enter who (``actor``, ``via`` what) did what (``action``) at ``at`` (trusted wall ms).  Synced before it returns.

        Raises ``StoreError`` when it cannot be written; then nothing was: an act that must be audited must not be done.
        """
        bare = AuditEntry(
            seq=self._head.seq + 1,
            at=at,
            actor=_plain(actor),
            via=_plain(via),
            action=_plain(action),
            child=_plain(child),
            detail=_plain(detail)[:MAX_DETAIL],
            prev=self._head.hash,
        )
        entry = msgspec.structs.replace(bare, hash=digest(bare))
        try:
            _write(self.path, msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            raise _failed(error, self.path) from error
        self._head = Head(seq=entry.seq, hash=entry.hash)
        self._keep_head()
        return entry

    def verify(self) -> AuditReport:
        """Check every line, and that the file ends where the ledger says."""
        return verify_file(self.path, self._kept())

    def tail(self, n: int) -> list[AuditEntry]:
        """The newest ``n`` entries, oldest first; lines that cannot be read are left out (``verify`` names them)."""
        found: deque[AuditEntry] = deque(maxlen=n)
        for line in _lines(self.path):
            entry = _read(line)
            if entry is not None:
                found.append(entry)
        return list(found)

    def document(self, limit: int) -> dict[str, Any]:
        """What faces are shown: ``{"report": AuditReport, "entries": [AuditEntry, …]}``, newest last, as JSON values."""
        return {"report": msgspec.to_builtins(self.verify()), "entries": msgspec.to_builtins(self.tail(limit))}

    # ---- within ------------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        last: AuditEntry | None = None
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise StoreError("The audit is not a plain file.", "Remove what stands in its place.", where=str(self.path))
        lines = list(_lines(self.path))
        if lines and not lines[-1].endswith(b"\n"):
            self._mend_tear(lines.pop())
            lines = list(_lines(self.path))
        for line in reversed(lines):
            last = _read(line)
            if last is not None:
                break
        kept = self._kept()
        at_end = Head(seq=last.seq, hash=last.hash) if last else Head()
        if kept.seq == 0 or verify_file(self.path, kept).ok:
            # The file may be ahead of the ledger by what was written just before a crash.
            self._head = at_end
            if at_end != kept:
                self._keep_head()
        else:
            # Not the file that the ledger knows: what follows is chained to what the ledger knows, so the break stays.
            self._head = Head(seq=max(kept.seq, at_end.seq), hash=kept.hash)

    def _mend_tear(self, torn: bytes) -> None:
        entry = _read(torn)
        if entry is not None and digest(entry) == entry.hash:
            _write(self.path, b"\n")
            self.repaired = f"entry {entry.seq} had lost its end of line"
            return
        with self.path.open("r+b") as file:
            file.truncate(self.path.stat().st_size - len(torn))
            file.flush()
            os.fsync(file.fileno())
        self.repaired = f"a half-written last line of {len(torn)} bytes was cut off"

    def _kept(self) -> Head:
        held = self._keeper.state(HEAD) if self._keeper is not None else None
        if held is None:
            return Head()
        try:
            return msgspec.json.decode(held, type=Head)
        except msgspec.DecodeError as error:
            raise StoreError(
                "The ledger's note about the audit cannot be read.",
                "Restore the ledger from a backup; the audit itself was left as it is.",
                where=str(self.path),
            ) from error

    def _keep_head(self) -> None:
        if self._keeper is not None:
            # The entry is written and must count as written; the ledger keeps the head pending and its own flush complains.
            with contextlib.suppress(StoreError):
                self._keeper.record((), {HEAD: msgspec.json.encode(self._head)})


def verify_file(path: Path, head: Head = Head()) -> AuditReport:  # noqa: B008  # a frozen value
    """Check an audit file from its first line; ``head``: where it must reach at least.

    Without ``head`` a file that was cut short after a whole line cannot be told from one that is younger.
    """
    prev, seq, number = "", 0, 0
    met = head.seq == 0
    try:
        for line in _lines(path):
            number += 1
            entry = _read(line)
            if entry is None:
                torn = not line.endswith(b"\n")
                reason = "the line is cut off" if torn else "the line is not an entry of the audit"
            elif msgspec.json.encode(entry) + b"\n" != line:
                reason = "the line was changed"
            elif entry.seq != seq + 1:
                gap = f"entries {seq + 1} to {entry.seq - 1} are missing"
                reason = gap if entry.seq > seq + 1 else f"entry {entry.seq} is out of order"
            elif entry.prev != prev:
                reason = "it does not follow from the entry before"
            elif digest(entry) != entry.hash:
                reason = "the entry was changed"
            elif entry.seq == head.seq and entry.hash != head.hash:
                reason = "the entry is not the one that the ledger knows"
            else:
                prev, seq = entry.hash, entry.seq
                met = met or seq == head.seq
                continue
            return AuditReport(ok=False, entries=number - 1, first_bad=number, reason=f"Line {number}: {reason}.")
    except OSError as error:
        raise _failed(error, path) from error
    if not met:
        reason = f"The file ends at entry {seq}, but the ledger knows entry {head.seq}: it was cut short or replaced."
        return AuditReport(ok=False, entries=number, first_bad=number + 1, reason=reason)
    return AuditReport(ok=True, entries=number)


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        yield from file


def _read(line: bytes) -> AuditEntry | None:
    try:
        return msgspec.json.decode(line, type=AuditEntry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _plain(text: str) -> str:
    """Lone surrogates (undecodable file names) cannot be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _write(path: Path, data: bytes) -> None:
    """Append and sync; on failure the file is as before."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    begun = not path.exists()
    descriptor = os.open(path, flags, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError("the disk is full")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if begun:
        sync_folder(path.parent)


def _failed(error: OSError, path: Path) -> StoreError:
    return StoreError(
        f"The audit cannot be used: {error.strerror or error}.",
        "Check that the disk has room and that the service may write to this folder.",
        where=str(path),
    )
