"""The job ``list``: read one list that a guardian handed in, and write its names in one form.

The job runs as the account that asked, so that it can read what that account can and nothing else.  It holds one block of a
file at a time, whatever its lines are like.  The compiler's form is a name a line in A-labels, ``@`` before an excepted one,
after a line ``:GROUP`` for each group.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.core.hosts import MAX_HOST, is_address, read
from agent.errors import FairtimeError, ListError
from agent.filter.lists.formats import PARSERS, Parse
from agent.filter.lists.guess import FORMS, SAMPLE, guess
from agent.filter.lists.suffixes import Suffixes, of_registries
from agent.model.sitelist import MOST_NAMES, ListFormat, Reading, Skipped, ToRead

BLOCK = 1024 * 1024
MOST_BYTES = 1024 * 1024 * 1024
"""Of one list; the largest published one has a hundred megabytes."""
LONGEST_LINE = 4096
MOST_FOLDERS = 1000
DEEPEST = 3
CATEGORY = "domains"
"""The file that holds a category's hosts (as the Toulouse lists and squidGuard have it)."""
TEXT = ".txt"
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
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        self._skipped[why] = (count + 1, first or f"{place}: {shown}".rstrip(": "))

    def group(self, name: str) -> None:
        """What follows belongs to this group."""
        self._out.write(b":%s\n" % name.encode())

    def take(self, file: BinaryIO, path: str, parse: Parse) -> None:
        """Every line of a file.  ``ListError`` when there is too much of it."""
        digest = hashlib.sha256()
        number = 0
        for lines in self._blocks(file, path, digest):
            names = []
            for line in lines:
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
        self.files[path if path != "list" else ""] = digest.hexdigest()

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

    def _blocks(self, file: BinaryIO, path: str, digest: hashlib._Hash) -> Iterator[list[str]]:
        """Whole lines, block by block; of a line that fills a block only its first part."""
        rest, inside = b"", False
        while block := file.read(BLOCK):
            self._bytes += len(block)
            if self._bytes > MOST_BYTES:
                raise ListError("The list is larger than a gigabyte", "Take a smaller edition of it.")
            digest.update(block)
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
                yield b"\n".join(lines).decode("utf-8", "surrogateescape").split("\n")
        if rest and not inside:
            yield [rest.decode("utf-8", "surrogateescape")]


def read_list(wanted: ToRead, out: BinaryIO) -> Reading:
    """Read the list at ``wanted.path`` and write its names to ``out``.  Raises ``ListError``."""
    path = Path(wanted.path)
    taker = Taker(out, of_registries())
    file = _opened(path)
    form: ListFormat = "folder"
    if file is None:
        groups = _folder(path, taker)
    else:
        with file:
            form = wanted.format or guess(file.read(SAMPLE), str(path))
            if form == "folder":
                raise ListError("This is a file, not a folder", f"Leave --format away, or hand in {FORMS}.")
            file.seek(0)
            taker.group("")
            taker.take(file, "list", PARSERS[form]())
        groups = ("",)
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


def _opened(path: Path, *, follow: bool = True) -> BinaryIO | None:
    """A file of text; ``None`` for a folder.  Never waits: not for a pipe's writer, and not for a device."""
    flags = os.O_RDONLY
    if sys.platform != "win32":
        flags |= os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise ListError(
            f"The list cannot be read: {error.strerror}",
            "Check its place, and that your own account may read it.",
            where=str(path),
        ) from error
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb", buffering=0)
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        return None
    raise ListError("This is neither a file nor a folder", f"A list is one of {FORMS}.", where=str(path))


def _folder(path: Path, taker: Taker) -> tuple[str, ...]:
    """The groups of a folder: a category, a tree of categories (``blacklists/games/domains``), or text files, one a group."""
    groups: list[str] = []
    for file, group in _files(path, taker):
        place = str(file.relative_to(path))
        if group in groups or (group and not _GROUP.fullmatch(group)):
            taker.skip("a category whose name cannot be one", place)
            continue
        opened = _opened(file, follow=False)
        if opened is None:
            taker.skip("a folder where a file should be", place)
            continue
        with opened:
            form: ListFormat = "folder"
            if file.name != CATEGORY:
                form = guess(opened.read(SAMPLE), str(file))
                opened.seek(0)
            taker.group(group)
            taker.take(opened, place, PARSERS[form]())
        groups.append(group)
    if not groups:
        raise ListError(
            f"There is no file “{CATEGORY}” in this folder or in the categories below it, and no text file ({TEXT})",
            f"A list is one of {FORMS}.",
            where=str(path),
        )
    return tuple(groups)


def _files(path: Path, taker: Taker) -> Iterator[tuple[Path, str]]:
    """Files with hosts in them, and the group of each."""
    none = True
    for folder in _categories(path, taker):
        none = False
        yield folder / CATEGORY, folder.name.lower() if folder != path else ""
    if none:
        for entry in sorted(_entries(path), key=lambda one: one.name):
            if entry.name.endswith(TEXT) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.name.removesuffix(TEXT).lower()


def _categories(path: Path, taker: Taker) -> Iterator[Path]:
    """Folders with hosts in them, by name; a link is left out: it is a second name of another."""
    level, seen = [path], 0
    for _ in range(DEEPEST + 1):
        below = []
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS:
                raise ListError("There are too many folders", "Hand in the folder of the lists themselves.")
            for entry in sorted(_entries(folder), key=lambda one: one.name):
                if entry.name == CATEGORY and entry.is_file(follow_symlinks=False):
                    yield folder
                elif entry.is_symlink():
                    taker.skip("a link", str(Path(entry.path).relative_to(path)))
                elif entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))
        level = below


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for _, entry in zip(range(20 * MOST_FOLDERS), found, strict=False)]
    except OSError as error:
        raise ListError(
            f"A folder of the list cannot be read: {error.strerror}",
            "Check that your own account may read it.",
            where=str(folder),
        ) from error


def statement_of(path: Path) -> Path:
    """Where the statement of a list's publisher lies: beside the list."""
    return Path(f"{path}{STATEMENT}")


def _statement(path: Path) -> bytes:
    """What a publisher signed, from the file beside the list; empty when there is none."""
    try:
        file = _opened(statement_of(path))
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
