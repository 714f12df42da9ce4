"""The job ``book``: compile lists, read before by the job ``list``, into one book.

However many names there are, memory holds those of one trie: they are sorted into scratch files first, one a trie, and each of
these is read twice, for the trie and for the names' places in it.  The same lists give the same book, byte for byte.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from typing import BinaryIO, TextIO

import marisa_trie
import msgspec

from agent.errors import FairtimeError, ListError
from agent.filter.lists.book import MAGIC, TAIL, Header, Place, shard_of, width_of
from agent.filter.lists.suffixes import rules
from agent.model.sitelist import MOST_NAMES, Bound, Source, ToBind

MOST_GROUPS = 256
TRIES = 3
"""Of marisa's nested tries: half the size of one and a third slower; two are a tenth larger than three, and a tenth faster."""
_MOST_KINDS = 1 << 16
_EVEN = 8


def bind(sources: Sequence[Source], scratch: Sequence[int], out: BinaryIO) -> Bound:
    """Write the book of ``sources`` to ``out``, with as many tries as there are (empty) ``scratch`` files.

    Raises ``ListError`` when there is too much for one book.
    """
    groups = sorted({group for source in sources for group in source.groups.values()})
    if len(groups) > MOST_GROUPS:
        raise ListError(
            f"There are {len(groups)} groups; a book has at most {MOST_GROUPS}", "Remove lists that no rule names."
        )
    places = {group: number for number, group in enumerate(groups)}
    with ExitStack() as stack:
        files = [stack.enter_context(_text(descriptor, "w+b")) for descriptor in scratch]
        _sort(sources, files, places)
        kinds = Kinds()
        made: list[tuple[Place, array[int]]] = []
        writer = _Writer(out)
        for file in files:
            trie = marisa_trie.Trie((line.partition("\t")[0] for line in _again(file)), num_tries=TRIES)
            made.append((writer.part(trie.tobytes()), kinds.of(trie, _again(file))))
    names = sum(len(numbers) for _, numbers in made)
    if names > MOST_NAMES:
        raise ListError(
            f"The lists have {names} names together; a book has at most {MOST_NAMES}",
            "Remove lists that no rule names.",
        )
    used = sum((Counter(numbers) for _, numbers in made), Counter[int]())
    known = kinds.masks()
    sizes = {
        group: sum(count for number, count in used.items() if known[number][0] >> place & 1)
        for group, place in places.items()
    }
    marked = {rule for rule, _ in rules()}
    width = width_of(len(known))
    header = Header(
        groups=sizes,
        names=names,
        kinds=known,
        tries=tuple(place for place, _ in made),
        numbers=tuple(writer.part(packed(numbers, width)) for _, numbers in made),
        suffixes=writer.part(
            marisa_trie.Trie(sorted(key_of(rule) for rule in marked if rule[0] not in "*!")).tobytes()
        ),
        wild=frozenset(rule[2:] for rule in marked if rule[0] == "*"),
        never=frozenset(rule[1:] for rule in marked if rule[0] == "!"),
    )
    return Bound(groups=sizes, names=names, bytes=writer.end(header))


def key_of(name: str) -> str:
    """As a name stands in the trie: ``org.example.www.``"""
    labels = name.split(".")
    labels.reverse()
    return ".".join(labels) + "."


def packed(numbers: array[int], width: int) -> bytes:
    """Numbers of ``width`` bits, as ``book.number_at`` reads them."""
    if width > 8:
        return numbers.tobytes()
    share = 8 // width
    out = bytearray(-(-len(numbers) // share))
    for place in range(share):
        for at, number in enumerate(numbers[place::share]):
            out[at] |= number << place * width
    return bytes(out)


class Kinds:
    """Numbers for combinations of groups that a name is listed in and excepted from."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int]] = [(0, 0)]
        self._known = {(0, 0): 0}
        self._steps: dict[tuple[int, str], int] = {}

    def of(self, trie: marisa_trie.Trie, lines: Iterator[str]) -> array[int]:
        """The number of each name of a trie, from lines of names with their groups."""
        numbers = array("H", bytes(2 * len(trie)))
        steps = self._steps
        for line in lines:
            key, _, mark = line.partition("\t")
            ident = trie[key]
            step = (numbers[ident], mark)
            number = steps.get(step)
            if number is None:
                number = steps[step] = self._next(*step)
            numbers[ident] = number
        return numbers

    def masks(self) -> tuple[tuple[int, int], ...]:
        """What each number stands for; a name that is both listed in a group and excepted from it is excepted."""
        return tuple((listed & ~excepted, excepted) for listed, excepted in self._found)

    def _next(self, before: int, mark: str) -> int:
        listed, excepted = self._found[before]
        bit = 1 << int(mark.lstrip("@"))
        kind = (listed, excepted | bit) if mark[0] == "@" else (listed | bit, excepted)
        number = self._known.setdefault(kind, len(self._found))
        if number == len(self._found):
            if number == _MOST_KINDS:
                raise ListError("The lists overlap in too many ways for one book", "Remove lists of little use.")
            self._found.append(kind)
        return number


class _Writer:
    """Writes a book from its beginning to its end."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._at = 0
        self._sum = 0
        self._write(MAGIC)

    def part(self, data: bytes) -> Place:
        place = (self._at, len(data))
        self._write(data + bytes(-len(data) % _EVEN))
        return place

    def end(self, header: Header) -> int:
        """Finish; the length of the book."""
        start, text = self._at, msgspec.json.encode(header)
        self._write(text)
        self._out.write(TAIL.pack(start, len(text), self._sum))
        return self._at + TAIL.size

    def _write(self, data: bytes) -> None:
        self._sum = zlib.crc32(data, self._sum)
        self._at += len(data)
        self._out.write(data)


def _sort(sources: Sequence[Source], files: Sequence[TextIO], places: dict[str, int]) -> None:
    """Every name as a key, with its group's place and ``@`` where it is excepted, into the file of its trie."""
    count = len(files)
    for source in sources:
        place = ""
        with _text(source.names, "rb") as names:
            for line in _again(names):
                if line[0] == ":":
                    place = str(places[source.groups[line[1:]]])
                    continue
                excepted = line[0] == "@"
                labels = line[excepted:].split(".")
                labels.reverse()
                file = files[shard_of(labels[1], count) if count > 1 else 0]
                file.write(f"{'.'.join(labels)}.\t{'@' if excepted else ''}{place}\n")


def _text(descriptor: int, mode: str) -> TextIO:
    return TextIOWrapper(os.fdopen(descriptor, mode, closefd=False), encoding="ascii", newline="\n")


def _again(file: TextIO) -> Iterator[str]:
    file.seek(0)
    return (line[:-1] for line in file)


def run(request: bytes) -> bytes:
    """The job."""
    wanted = msgspec.json.decode(request, type=ToBind)
    try:
        with os.fdopen(wanted.out, "wb", closefd=False) as out:
            found = bind(wanted.sources, wanted.scratch, out)
            out.flush()
            os.fsync(out.fileno())
    except FairtimeError as error:
        found = Bound(title=error.title, advice=error.advice)
    except OSError as error:
        found = Bound(
            title=f"The lists cannot be compiled: {error.strerror}",
            advice="Check that the disk has room; the lists before stay in force.",
        )
    except MemoryError:
        found = Bound(title="Compiling the lists takes too much memory", advice="Remove one that no rule names.")
    return msgspec.json.encode(found)
