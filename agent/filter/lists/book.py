"""The book: every listed name with its groups, in one file that is mapped and never read into memory.

    MAGIC, length of the header (u32, little endian), header (JSON), and at multiples of eight: a trie (marisa-trie) of the
    names, label by label from the right and with a last dot, so that a prefix is a parent; a number for each name, one or
    two bytes; a trie of the public suffixes; and the CRC-32 of all that (against damage: whoever could exchange it is root).

The number of a name stands for the groups it is listed in and those it is excepted from: few combinations occur.  A book is
never written to again.  A new one takes its place by name, and whoever has the old one open keeps it.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import marisa_trie
import msgspec
from msgspec import Struct

from agent.errors import StoreError

MAGIC = b"fairtime names 1"
HEAD = struct.Struct("<16sI")
SUM = struct.Struct("<I4x")
_PART = 1024 * 1024


class Header(Struct, frozen=True, kw_only=True):
    """Places are offsets and lengths in bytes; ``kinds`` are pairs of masks, of groups listed in and excepted from."""

    groups: dict[str, int]
    """Group → how many names it has, in the order of the bits."""
    names: int
    kinds: tuple[tuple[int, int], ...]
    trie: tuple[int, int]
    numbers: tuple[int, int]
    suffixes: tuple[int, int]
    wild: frozenset[str]
    """Names right below which everything is a public suffix, but for ``never``."""
    never: frozenset[str]


class BookDamaged(StoreError):
    """A file that is no book, or not whole."""


class Book:
    """Looks names up; implements ``core.sites.Names``.  ``open`` and ``of`` make one; it is mapped as long as it lives."""

    def __init__(self, data: mmap.mmap, where: str) -> None:
        view = memoryview(data)
        _, size = HEAD.unpack_from(view)
        try:
            header = msgspec.json.decode(view[HEAD.size : HEAD.size + size], type=Header)
        except msgspec.DecodeError as error:  # the sum is right: another version made it
            raise _damaged("another version of Fairtime made it", where) from error

        def part(place: tuple[int, int]) -> memoryview:
            return view[place[0] : place[0] + place[1]]

        self.bits: Mapping[str, int] = {group: 1 << number for number, group in enumerate(header.groups)}
        self.sizes: Mapping[str, int] = header.groups
        self.names = header.names
        self._trie = marisa_trie.Trie().map(part(header.trie))
        self._suffixes = marisa_trie.Trie().map(part(header.suffixes))
        wide = header.numbers[1] > header.names
        self._numbers: memoryview[int] = part(header.numbers).cast("H" if wide else "B")
        self._listed = [listed for listed, _ in header.kinds]
        self._excepted = [excepted for _, excepted in header.kinds]
        self._wild = header.wild
        self._never = header.never

    @classmethod
    def open(cls, path: Path) -> Book:
        """The book in a file.  ``BookDamaged`` when it is none; ``StoreError`` when it cannot be read."""
        try:
            descriptor = os.open(path, os.O_RDONLY)  # never inherited (PEP 446)
        except OSError as error:
            raise StoreError(
                f"The compiled lists cannot be read: {error.strerror}", "They are compiled again.", where=str(path)
            ) from error
        try:
            return cls.of(descriptor, str(path))
        finally:
            os.close(descriptor)

    @classmethod
    def of(cls, descriptor: int, where: str = "") -> Book:
        """The book in an open file, which may be closed afterwards."""
        size = os.fstat(descriptor).st_size
        # Read, not mapped: what is only summed up need not stay in this process's memory.
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            if size < HEAD.size + SUM.size or file.read(len(MAGIC)) != MAGIC:
                raise _damaged("it is no such file, or empty", where)
            total, left = zlib.crc32(MAGIC), size - SUM.size - len(MAGIC)
            while left > 0 and (part := file.read(min(_PART, left))):
                total = zlib.crc32(part, total)
                left -= len(part)
            if file.read(SUM.size) != SUM.pack(total):
                raise _damaged("its sum is wrong", where)
        return cls(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ), where)

    def covering(self, host: str) -> list[tuple[str, int]]:
        """Every listed name that is ``host`` or above it, the longest first, with the bits of its groups.

        An exception ends the walk for its group: names above it lack that group's bit.
        """
        labels = host.split(".")
        labels.reverse()
        found = [*self._trie.iter_prefixes_with_ids(".".join(labels) + ".")]
        if not found:
            return []
        if len(found) == 1:
            key, ident = found[0]
            listed = self._listed[self._numbers[ident]]
            return [(host[1 - len(key) :], listed)] if listed else []
        covering, ended = [], 0
        for key, ident in reversed(found):
            number = self._numbers[ident]
            listed = self._listed[number] & ~ended
            ended |= self._excepted[number]
            if listed:
                covering.append((host[1 - len(key) :], listed))
        return covering

    def registrable(self, host: str) -> str:
        """The name that somebody registered, of which ``host`` is a part: what people call one site.

        A public suffix, a bare address and a name of one word are themselves.
        """
        labels = host.split(".")
        if labels[-1].isdigit() or ":" in host:
            return host
        count = 1
        for key in self._suffixes.iter_prefixes(".".join(reversed(labels)) + "."):
            count = max(count, key.count("."))
        for above in range(1, len(labels)):
            if ".".join(labels[above:]) in self._wild:
                below = ".".join(labels[above - 1 :])
                count = max(count, len(labels) - above if below in self._never else len(labels) - above + 1)
        return ".".join(labels[-count - 1 :])


def _damaged(why: str, where: str) -> BookDamaged:
    return BookDamaged(f"The compiled lists are damaged: {why}", "They are compiled again.", where=where)
