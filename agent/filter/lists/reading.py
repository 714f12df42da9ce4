"""The job ``list``: read one list that a guardian handed in, and write its names in one form.

The job runs as the account that asked, so that it can read what that account can and nothing else.  It holds one block of a
file at a time, whatever its lines are like.  The compiler's form is a name a line in A-labels, ``@`` before an excepted one,
after a line ``:GROUP`` for each group.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from agent.core.hosts import MAX_HOST, is_address, read
from agent.errors import FairtimeError, ListError
from agent.filter.lists import archives
from agent.filter.lists.formats import BADFILTER, PARSERS, Adblock, Rule, cancelled
from agent.filter.lists.guess import FORMS, SAMPLE, guess
from agent.filter.lists.parts import Part, alone, nothing_in, of_archive, of_folder, opened
from agent.filter.lists.suffixes import Suffixes, of_registries
from agent.model.sitelist import MOST_NAMES, ListFormat, Reading, Skipped, ToRead

BLOCK = 1024 * 1024
MOST_BYTES = 1024 * 1024 * 1024
"""Of one list; the largest published one has a hundred megabytes."""
LONGEST_LINE = 4096
MOST_CANCELLED = 100_000
"""Rules of a list that it cancels itself; of the published ones that do, some dozens."""
STATEMENT = ".dsse.json"
_MOST_STATEMENT = 1024 * 1024
_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.IGNORECASE)
_USUAL = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Canonical already, as most names are; never an address."""
_ADDRESS_BAR = frozenset("\\:@?#%[]")


class Taker:
    """Takes lines, writes names, and counts what it leaves out."""

    def __init__(self, out: BinaryIO, suffixes: Suffixes) -> None:
        self._out = out
        self._suffixes = suffixes
        self._skipped: dict[str, tuple[int, str]] = {}
        self._bytes = 0
        self.lines = 0
        self.names = 0
        self.files: dict[str, str] = {}

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out, most first."""
        found = sorted(self._skipped.items(), key=lambda one: -one[1][0])
        return tuple(Skipped(why=why, count=count, first=first) for why, (count, first) in found)

    def skip(self, why: str, place: str, text: str = "") -> None:
        """Count something that was left out."""
        count, first = self._skipped.get(why, (0, ""))
        if not first:
            shown = text if len(text) <= 80 else f"{text[:79]}…"
            first = _letters(f"{place}: {shown}".rstrip(": "))
        self._skipped[why] = (count + 1, first)

    def group(self, name: str) -> None:
        """What follows belongs to this group."""
        self._out.write(b":%s\n" % name.encode())

    def take(self, file: IO[bytes], path: str, form: ListFormat) -> None:
        """Every line of a file.  ``ListError`` when there is too much of it."""
        digest = hashlib.sha256()
        number = 0
        parse = Adblock(_cancelled(file)) if form == "adblock" else PARSERS[form]()
        for lines in _blocks(file, partial(self._count, digest)):
            names = []
            for line in lines.decode("utf-8", "surrogateescape").split("\n"):
                number += 1
                line = line.strip()
                if not line:
                    continue
                if len(line) > LONGEST_LINE:
                    self.lines += 1
                    self.skip("longer than any rule", f"{path}:{number}", line[:80])
                    continue
                says = parse(line)
                if says is None:
                    continue
                self.lines += 1
                if isinstance(says, str):
                    self.skip(says, f"{path}:{number}", line)
                    continue
                mark = "@" if says.excepted else ""
                for text in says.hosts:
                    name, why = self.name(text)
                    if why:
                        self.skip(why, f"{path}:{number}", line)
                    else:
                        names.append(mark + name)
            self.names += len(names)
            if self.names > MOST_NAMES:
                raise ListError(
                    f"The list has more than {MOST_NAMES // 1_000_000} million names",
                    "Take a smaller edition of it, or only the categories that are needed.",
                )
            if names:
                self._out.write("\n".join(names).encode() + b"\n")
        self.files[_letters(path) if path != "list" else ""] = digest.hexdigest()

    def name(self, text: str) -> tuple[str, str]:
        """The canonical name, or why there is none to list."""
        if not (len(text) <= MAX_HOST and _USUAL.fullmatch(text)):
            text = text.removeprefix("*").removeprefix(".")
            found = read(text) if "/" not in text else None
            if found is not None and is_address(found):
                return "", "an address"
            # What else an address bar takes (a port, a user, an escape) is no name in a list.
            if found is None or not _ADDRESS_BAR.isdisjoint(text):
                return "", "no host name"
            text = found
        if self._suffixes.holds(text):
            return "", "a public suffix: everybody's sites are below it" if "." in text else "a name of one word"
        return text, ""

    def _count(self, digest: hashlib._Hash, block: bytes) -> None:
        self._bytes += len(block)
        if self._bytes > MOST_BYTES:
            raise _too_large()
        digest.update(block)


def _letters(text: str) -> str:
    """Without what stands for bytes that are no letters."""
    return text.encode("utf-8", "replace").decode()


def _blocks(file: IO[bytes], seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """Whole lines, block by block; of a line that fills a block only its first part."""
    rest, inside = b"", False
    while block := file.read(BLOCK):
        seen(block)
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if inside and lines:
            del lines[0]
            inside = False
        if inside:
            rest = b""
        elif len(rest) > LONGEST_LINE:
            lines.append(rest[: LONGEST_LINE + 1])
            rest, inside = b"", True
        if lines:
            yield b"\n".join(lines)
    if rest and not inside:
        yield rest


def _cancelled(file: IO[bytes]) -> set[Rule]:
    """What the rules of an AdBlock list cancel; the file is at its beginning before and after."""
    total = 0

    def seen(block: bytes) -> None:
        nonlocal total
        total += len(block)
        if total > MOST_BYTES:
            raise _too_large()

    found: set[Rule] = set()
    for lines in _blocks(file, seen):
        if BADFILTER.encode() in lines:
            text = lines.decode("utf-8", "surrogateescape")
            found.update(rule for line in text.split("\n") if (rule := cancelled(line.strip())) is not None)
            if len(found) > MOST_CANCELLED:
                raise ListError("The list cancels more of its own rules than any list does", "Check that it is one.")
    file.seek(0)
    return found


def _too_large() -> ListError:
    return ListError("The list is larger than a gigabyte", "Take a smaller edition of it.")


def read_list(wanted: ToRead, out: BinaryIO) -> Reading:
    """Read the list at ``wanted.path`` and write its names to ``out``.  Raises ``ListError``."""
    path = Path(wanted.path)
    taker = Taker(out, of_registries())
    file = opened(path)
    if file is None:
        form: ListFormat = "folder"
        groups = _parts(of_folder(path, taker.skip), taker)
    else:
        with file:
            with archives.damage_told(str(path)):
                inside = archives.files(file, file.read(SAMPLE), MOST_BYTES, taker.skip)
                if inside is not None and (only := alone(inside)) is not None:
                    form, groups = _single(only(), wanted, taker)
                elif inside is not None:
                    form, groups = "folder", _parts(of_archive(inside, taker.skip), taker)
            if inside is None:
                form, groups = _single(file, wanted, taker)
    if not groups:
        raise nothing_in(path)
    if not taker.names:
        why = taker.skipped[0] if taker.skipped else None
        raise ListError(
            "No line of this list names a host that can be listed",
            f"{why.count} lines were left out: {why.why} ({why.first})." if why else "Check that it is the right file.",
            where=str(path),
        )
    return Reading(
        format=form,
        groups=groups,
        lines=taker.lines,
        names=taker.names,
        skipped=taker.skipped,
        files=taker.files,
        statement=_statement(path),
    )


def _single(file: IO[bytes], wanted: ToRead, taker: Taker) -> tuple[ListFormat, tuple[str, ...]]:
    """The form of a list in one file, which has no group of its own."""
    form = wanted.format or guess(file.read(SAMPLE), wanted.path)
    if form == "folder":
        raise ListError("This is a file, not a folder", f"Leave --format away, or hand in {FORMS}.")
    file.seek(0)
    taker.group("")
    taker.take(file, "list", form)
    return form, ("",)


def _parts(parts: Iterable[Part], taker: Taker) -> tuple[str, ...]:
    """The groups of a list in several files."""
    groups: list[str] = []
    for part in parts:
        if part.group in groups or (part.group and not _GROUP.fullmatch(part.group)):
            taker.skip("a category whose name cannot be one", part.place)
            continue
        file = part.open()
        if file is None:
            taker.skip("a folder where a file should be", part.place)
            continue
        with file:
            form: ListFormat = "folder"
            if not part.category:
                form = guess(file.read(SAMPLE), part.place)
                file.seek(0)
            taker.group(part.group)
            taker.take(file, part.place, form)
        groups.append(part.group)
    return tuple(groups)


def statement_of(path: Path) -> Path:
    """Where the statement of a list's publisher lies: beside the list."""
    return Path(f"{path}{STATEMENT}")


def _statement(path: Path) -> bytes:
    """What a publisher signed, from the file beside the list; empty when there is none."""
    try:
        file = opened(statement_of(path))
    except ListError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return b""
        raise
    if file is None:
        return b""
    with file:
        return file.read(_MOST_STATEMENT + 1)


def prepare() -> None:
    """Load what reading needs of this program, while its files can be read."""
    import idna  # noqa: F401  # for names in other scripts

    codecs.lookup("cp437")  # for names in a zip
    of_registries()


def run(request: bytes) -> bytes:
    """The job."""
    wanted = msgspec.json.decode(request, type=ToRead)
    try:
        with os.fdopen(wanted.out, "wb", buffering=BLOCK, closefd=False) as out:
            found = read_list(wanted, out)
            out.flush()
            os.fsync(out.fileno())
    except FairtimeError as error:
        place = f" ({error.where})" if error.where else ""
        found = Reading(title=error.title + place, advice=error.advice)
    except OSError as error:
        found = Reading(title=f"The list cannot be kept: {error.strerror}", advice="Check that the disk has room.")
    except MemoryError:
        found = Reading(title="Reading this list takes too much memory", advice="Take a smaller edition of it.")
    return msgspec.json.encode(found)
