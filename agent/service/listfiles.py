"""The files of the site lists, and what is known of them.

``index.json`` (which lists there are, and which edition of each is in force) with a spare, ``NAME-N.names`` (an edition, read) and
``book-N`` (all of them, compiled).  A change writes new files and then the index, in one step; what no index names is swept
away, but for the last book, which somebody may be about to open.
"""

from __future__ import annotations

import contextlib
import logging
import os
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.errors import ListError, StoreError
from agent.service.editions import Edition, Index
from agent.service.whole import write

log = logging.getLogger(__name__)

INDEX, SPARE = "index.json", "index.spare.json"
_MOST_INDEX = 4 * 1024 * 1024
_PLAIN: int = getattr(os, "O_BINARY", 0)
"""Windows' C library changes the ends of lines unless it is told not to."""


class ListFiles:
    """One folder of lists.  ``damaged``: what was known of it could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = False
        self._before = ""
        self.index = self._load()

    @property
    def book(self) -> Path | None:
        """The compiled lists in force; ``None`` before the first time."""
        return self.folder / self.index.book if self.index.book else None

    def has(self, edition: Edition | None) -> bool:
        """Whether an edition's names are there."""
        return edition is not None and (self.folder / edition.file).exists()

    def save(self, index: Index) -> None:
        """Put an index in force: all of it or nothing.  ``StoreError`` leaves the one before."""
        data = msgspec.json.encode(index)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            write(self.folder / INDEX, data)
            write(self.folder / SPARE, data)
        except OSError as error:
            raise self._unkept(error) from error
        if index.book != self.index.book:
            self._before = self.index.book
        self.index = index

    def number(self) -> int:
        """One that no file has."""
        self.index = replace(self.index, serial=self.index.serial + 1)
        return self.index.serial

    def create(self, file: str) -> int:
        """A new file, open to read and write."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            # What has this number is left over from a run that ended before its index was written.
            (self.folder / file).unlink(missing_ok=True)
            return os.open(self.folder / file, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, 0o600)
        except OSError as error:
            raise self._unkept(error) from error

    def scratch(self, stack: ExitStack) -> int:
        """A file that is gone when it is closed; without a name where the system can have that."""
        file = f"scratch-{self.number()}"
        descriptor = self.create(file)
        # Windows forgets no name while the file is open: there it goes when it is closed.
        stack.callback(self.drop, file)
        stack.callback(os.close, descriptor)
        self.drop(file)
        return descriptor

    def open(self, name: str, file: str) -> int:
        """The names of an edition of list ``name``."""
        try:
            return os.open(self.folder / file, os.O_RDONLY | _PLAIN)
        except OSError as error:
            raise ListError(
                f"What was read of the list “{name or 'own'}” is gone: {error.strerror}",
                f"Read it again (“fairtime lists update {name}”) or remove it; the lists before stay in force.",
            ) from error

    def drop(self, file: str) -> None:
        """Away with a file."""
        with contextlib.suppress(OSError):  # swept away another time
            (self.folder / file).unlink()

    def sweep(self) -> None:
        """Away with all that the index does not name."""
        index = self.index
        kept = {INDEX, SPARE, index.book, self._before}
        kept |= {e.file for one in index.lists.values() for e in (one.now, one.waiting) if e is not None}
        kept |= {index.starter.file} if index.starter else set()
        for path in self.folder.iterdir():
            if path.name not in kept:
                self.drop(path.name)

    def _unkept(self, error: OSError) -> StoreError:
        return StoreError(
            f"The site lists cannot be kept: {error.strerror}",
            "Check that the disk has room; the lists before stay in force.",
            where=str(self.folder),
        )

    def _load(self) -> Index:
        for file in (INDEX, SPARE):
            try:
                with (self.folder / file).open("rb") as opened:
                    found = msgspec.json.decode(opened.read(_MOST_INDEX), type=Index)
            except FileNotFoundError:
                continue
            except (OSError, msgspec.DecodeError) as error:
                log.error("%s cannot be read: %s", file, error)
                self.damaged = True
                continue
            self.damaged = False
            return found
        return Index()
