"""The job ``book``: compile lists, read before by the job ``list``, into one book.

Names are never held as Python objects all at once: they go from the files into the trie, and a second time through the files
each finds its place there.  The same lists give the same book, byte for byte.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import marisa_trie
import msgspec

from agent.errors import FairtimeError, StoreError
from agent.filter.lists.book import HEAD, MAGIC, SUM, Header
from agent.filter.lists.suffixes import rules
from agent.model.sitelist import MOST_NAMES, Bound, Source, ToBind

MOST_GROUPS = 256
TRIES = 2
"""Of marisa's nested tries: half the size of one, a tenth slower; three save nothing more."""
_MOST_KINDS = 1 << 16
_EVEN = 8


def bind(sources: Sequence[Source], out: BinaryIO) -> Bound:
    """Write the book of ``sources`` to ``out``.  Raises ``FairtimeError`` when there is too much for one."""
    groups = sorted({group for source in sources for group in source.groups.values()})
    if len(groups) > MOST_GROUPS:
        raise FairtimeError(
            f"There are {len(groups)} groups; a book has at most {MOST_GROUPS}", "Remove lists that no rule names."
        )
    bit = {group: 1 << number for number, group in enumerate(groups)}
    trie = marisa_trie.Trie((key for key, _, _ in _names(sources)), num_tries=TRIES)
    if len(trie) > MOST_NAMES:
        raise FairtimeError(
            f"The lists have {len(trie)} names together; a book has at most {MOST_NAMES}",
            "Remove lists that no rule names.",
        )
    numbers, kinds = _numbers(sources, trie, bit)
    used = Counter(numbers)
    sizes = {group: sum(count for number, count in used.items() if kinds[number][0] & bit[group]) for group in groups}
    suffixes = list(rules())
    marked = {rule for rule, _ in suffixes}
    parts = (
        trie.tobytes(),
        numbers.tobytes() if len(kinds) > 256 else bytes(numbers),
        marisa_trie.Trie(sorted(reversed_key(rule) for rule in marked if rule[0] not in "*!")).tobytes(),
    )
    _write(
        out,
        parts,
        Header(
            groups=sizes,
            names=len(trie),
            kinds=tuple(kinds),
            trie=(0, 0),
            numbers=(0, 0),
            suffixes=(0, 0),
            wild=frozenset(rule[2:] for rule in marked if rule[0] == "*"),
            never=frozenset(rule[1:] for rule in marked if rule[0] == "!"),
        ),
    )
    return Bound(groups=sizes, names=len(trie), bytes=out.tell())


def reversed_key(name: str) -> str:
    """As names stand in the trie: ``org.example.www.``"""
    labels = name.split(".")
    labels.reverse()
    return ".".join(labels) + "."


def _names(sources: Sequence[Source]) -> Iterator[tuple[str, str, bool]]:
    """Every name as a key, with its group's name in the book, and whether it is an exception."""
    for source in sources:
        group = ""
        os.lseek(source.names, 0, os.SEEK_SET)
        with os.fdopen(source.names, "r", encoding="ascii", newline="\n", closefd=False) as file:
            for line in file:
                first = line[0]
                if first == ":":
                    group = source.groups[line[1:-1]]
                elif first == "@":
                    yield reversed_key(line[1:-1]), group, True
                else:
                    yield reversed_key(line[:-1]), group, False


def _numbers(
    sources: Sequence[Source], trie: marisa_trie.Trie, bit: dict[str, int]
) -> tuple[array[int], list[tuple[int, int]]]:
    """The number of each name's kind, and the kinds: masks of groups listed in and excepted from, the latter first on a tie."""
    kinds: list[tuple[int, int]] = [(0, 0)]
    known = {(0, 0): 0}
    steps: dict[tuple[int, str, bool], int] = {}
    numbers = array("H", bytes(2 * len(trie)))
    for key, group, excepted in _names(sources):
        ident = trie[key]
        step = (numbers[ident], group, excepted)
        number = steps.get(step)
        if number is None:
            listed, ended = kinds[step[0]]
            kind = (listed, ended | bit[group]) if excepted else (listed | bit[group], ended)
            number = known.setdefault(kind, len(kinds))
            if number == len(kinds):
                kinds.append(kind)
            if len(kinds) > _MOST_KINDS:
                raise FairtimeError("The lists overlap in too many ways for one book", "Remove lists of little use.")
            steps[step] = number
        numbers[ident] = number
    return numbers, [(listed & ~ended, ended) for listed, ended in kinds]


def _write(out: BinaryIO, parts: tuple[bytes, bytes, bytes], header: Header) -> None:
    # The header's length depends on the places and these on the header's length: the room for it is made with some to spare.
    room = len(msgspec.json.encode(header)) + 128
    start = _even(HEAD.size + room)
    places = []
    for part in parts:
        places.append((start, len(part)))
        start = _even(start + len(part))
    placed = msgspec.structs.replace(header, trie=places[0], numbers=places[1], suffixes=places[2])
    text = msgspec.json.encode(placed).ljust(room)
    if len(text) > room:
        raise StoreError("The head of the compiled lists does not fit", "Report this.")
    total = 0

    def write(data: bytes) -> None:
        nonlocal total
        padded = data + bytes(-len(data) % _EVEN)
        total = zlib.crc32(padded, total)
        out.write(padded)

    write(HEAD.pack(MAGIC, len(text)) + text)
    for part in parts:
        write(part)
    out.write(SUM.pack(total))


def _even(number: int) -> int:
    return number + -number % _EVEN


def run(request: bytes) -> bytes:
    """The job."""
    wanted = msgspec.json.decode(request, type=ToBind)
    try:
        with os.fdopen(wanted.out, "wb", closefd=False) as out:
            found = bind(wanted.sources, out)
            out.flush()
            os.fsync(out.fileno())
    except FairtimeError as error:
        found = Bound(title=error.title, advice=error.advice)
    return msgspec.json.encode(found)
