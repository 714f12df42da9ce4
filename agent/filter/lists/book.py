"""The book: every listed name with its groups, in one file that is mapped and never read into memory.

    MAGIC; parts, each at a multiple of eight; the header (JSON); TAIL: where the header is, how long, and the CRC-32 of all
    before it (against damage: whoever could exchange a book is root).

The parts are tries (marisa-trie) of the names, label by label from the right and with a last dot, so that a prefix is a
parent; for each trie a number a name, of as many bits as there must be (``width_of``); and a trie of the public suffixes.  The
number of a name stands for the groups it is listed in and those it is excepted from: few combinations occur.  Where there are several tries, a name's last
two labels say which one it is in, and every name above it that can be listed.

A book is never written to again.  A new one takes its place by name, and whoever has the old one open keeps it.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import marisa_trie
import msgspec
from msgspec import Struct

from agent.errors import StoreError

MAGIC = b"fairtime names 2"
TAIL = struct.Struct("<QII")
_PART = 1024 * 1024

Place = tuple[int, int]
"""Offset and length, bytes."""


class Header(Struct, frozen=True, kw_only=True):
    """``kinds`` are pairs of masks: of groups listed in, and of groups excepted from."""

    groups: dict[str, int]
    """Group → how many names it has, in the order of the bits."""
    names: int
    kinds: tuple[tuple[int, int], ...]
    tries: tuple[Place, ...]
    numbers: tuple[Place, ...]
    suffixes: Place
    wild: frozenset[str]
    """Names right below which everything is a public suffix, but for ``never``."""
    never: frozenset[str]


class BookDamaged(StoreError):
    """A file that is no book, or not whole."""


class Book:
    """Looks names up; implements ``core.sites.Names``.  ``open`` and ``of`` make one; it is mapped as long as it lives."""

    def __init__(self, data: mmap.mmap, header: Header) -> None:
        view = memoryview(data)

        def part(place: Place) -> memoryview:
            return view[place[0] : place[0] + place[1]]

        width = width_of(len(header.kinds))

        def numbers(place: Place) -> memoryview[int]:
            return part(place).cast("H" if width > 8 else "B")

        self.bits: Mapping[str, int] = {group: 1 << number for number, group in enumerate(header.groups)}
        self.sizes: Mapping[str, int] = header.groups
        self.names = header.names
        self._tries = [
            (marisa_trie.Trie().map(part(trie)), numbers(place))
            for trie, place in zip(header.tries, header.numbers, strict=True)
        ]
        self._kinds = header.kinds
        self._width = width
        walks = [(trie.iter_prefixes_with_ids, numbers) for trie, numbers in self._tries]
        self.covering: Callable[[str], list[tuple[str, int]]] = _walker(walks, header.kinds, width)
        """Every listed name that is a host or above it, the longest first, with the bits of its groups.

        An exception ends the walk for its group: names above it lack that group's bit.
        """
        self._suffixes = marisa_trie.Trie().map(part(header.suffixes))
        self._wild = header.wild
        self._never = header.never

    @classmethod
    def open(cls, path: Path) -> Book:
        """The book in a file.  ``BookDamaged`` when it is none; ``StoreError`` when it cannot be read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # never inherited (PEP 446)
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
        """The book in an open file, which may be closed afterwards.  ``BookDamaged`` when it is none."""
        size = os.fstat(descriptor).st_size
        # Read, not mapped: what is only summed up need not stay in this process's memory.
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            if size < len(MAGIC) + TAIL.size or file.read(len(MAGIC)) != MAGIC:
                raise _damaged("it is no such file, or empty", where)
            total, left = zlib.crc32(MAGIC), size - TAIL.size - len(MAGIC)
            while left > 0 and (part := file.read(min(_PART, left))):
                total = zlib.crc32(part, total)
                left -= len(part)
            start, length, told = TAIL.unpack(file.read(TAIL.size).ljust(TAIL.size))
        if told != total or start + length + TAIL.size != size:
            raise _damaged("its sum is wrong", where)
        data = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        try:
            return cls(data, msgspec.json.decode(data[start : start + length], type=Header))
        except msgspec.DecodeError as error:  # the sum is right
            raise _damaged("another version of Fairtime made them", where) from error

    def short(self, groups: Collection[str], most: int) -> dict[str, tuple[str, ...]]:
        """All the names of those groups that have ``most`` at most, sorted.  A group with exceptions is left out: its names
        alone do not say what it covers.  Looks through the whole book, unless there is no such group."""
        excepted = 0
        for _, mask in self._kinds:
            excepted |= mask
        found: dict[str, list[str]] = {
            group: [] for group in groups if self.sizes.get(group, most + 1) <= most and not self.bits[group] & excepted
        }
        for trie, numbers in self._tries if found else ():
            for key, ident in trie.iteritems():
                listed = self._kinds[number_at(numbers, ident, self._width)][0]
                for group, names in found.items():
                    if listed & self.bits[group]:
                        names.append(".".join(reversed(key[:-1].split("."))))
        return {group: tuple(sorted(names)) for group, names in found.items()}

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


def _walker(
    tries: Sequence[tuple[Callable[[str], Iterator[tuple[str, int]]], memoryview[int]]],
    kinds: Sequence[tuple[int, int]],
    width: int,
) -> Callable[[str], list[tuple[str, int]]]:
    """The walk as a function, a tenth faster than as a method: every question for a new host takes it."""
    count = len(tries)
    listed_in = [listed for listed, _ in kinds]
    excepted_from = [excepted for _, excepted in kinds]
    shift, inner, lowest = _SHIFTS[width], (1 << _SHIFTS[width]) - 1, (1 << width) - 1

    def covering(host: str) -> list[tuple[str, int]]:
        labels = host.split(".")
        labels.reverse()
        walk, numbers = tries[shard_of(labels[1], count) if count > 1 < len(labels) else 0]
        found = [*walk(".".join(labels) + ".")]
        if not found:
            return []
        if len(found) == 1:
            key, ident = found[0]
            listed = listed_in[numbers[ident >> shift] >> (ident & inner) * width & lowest]  # as number_at
            return [(host[1 - len(key) :], listed)] if listed else []
        covers, ended = [], 0
        for key, ident in reversed(found):
            number = number_at(numbers, ident, width)
            listed = listed_in[number] & ~ended
            ended |= excepted_from[number]
            if listed:
                covers.append((host[1 - len(key) :], listed))
        return covers

    return covering


_SHIFTS = {1: 3, 2: 2, 4: 1, 8: 0, 16: 0}
"""Bits of a number → how often a byte of them is halved to have one."""


def width_of(kinds: int) -> int:
    """Bits of the numbers below ``kinds``: 1, 2, 4, 8 or 16."""
    return next(width for width in _SHIFTS if kinds <= 1 << width)


def number_at(numbers: Sequence[int], ident: int, width: int) -> int:
    """The number of a name; the first of those that share a byte is in its lowest bits."""
    shift = _SHIFTS[width]
    return numbers[ident >> shift] >> (ident & (1 << shift) - 1) * width & (1 << width) - 1


def shard_of(label: str, count: int) -> int:
    """Which of ``count`` tries a name with this label before its last is in."""
    return zlib.crc32(label.encode()) % count


def _damaged(why: str, where: str) -> BookDamaged:
    return BookDamaged(f"The compiled lists are damaged: {why}", "They are compiled again.", where=where)
