"""The list of Fairtime's own files that the installation script leaves (``own/manifest``), and its spare copies.

Tab-separated columns.  ``file PATH MODE MTIME SHA256 BEFORE`` and ``link PATH TARGET - - BEFORE`` are what must lie there;
``lines PATH - - SHA256 theirs`` is somebody else's file with lines of ours, its spare copy being the whole of it as it was
then; ``folder`` and ``group`` matter for taking Fairtime away only; ``prefix`` says where the program's folder is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

OWN = Path("/var/lib/fairtime/own")
LIST = "manifest"
SPARE = "spare"
_MOST = 32 << 20
"""Bytes of a list; a virtual environment's has some hundred thousand."""
_LONGEST = 16 << 10
_HASH = re.compile(r"[0-9a-f]{64}")


class UnreadableList(Exception):
    """A list that is damaged or of another version; the words say what is wrong."""


@dataclass(frozen=True, slots=True)
class Own:
    """One file or link as it must be: ``target`` of a link, else ``sha256``, ``mode`` and ``mtime`` (seconds).

    ``shared``: only our lines in it must be there, and ``sha256`` is the spare copy's.
    """

    path: str
    sha256: str = ""
    mode: int = 0
    mtime: int = 0
    target: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class OwnList:
    """What a list says.  The program's own files are many and are read again when they are needed (``within``)."""

    place: Path
    few: tuple[Own, ...]
    """Everything outside the program's folder: units, rules, profiles, icons, the command."""
    program: str
    folders: tuple[str, ...]
    """The program's folders that have files in them."""

    def within(self, folders: Collection[str]) -> dict[str, list[Own]]:
        """The program's files and links directly in these of its folders; reads the list once, some milliseconds."""
        found: dict[str, list[Own]] = {folder: [] for folder in folders}
        if found:
            for own in _read(self.place):
                inside = found.get(own.path.rpartition("/")[0])
                if inside is not None:
                    inside.append(own)
        return found


def load(place: Path) -> OwnList:
    """Read the list at ``place``.  ``FileNotFoundError`` when there is none, ``UnreadableList`` when it is damaged."""
    prefix = _prefix(place)
    program = f"{prefix}/lib/fairtime"
    few: list[Own] = []
    folders: dict[str, None] = {}
    for own in _read(place):
        if own.path.startswith(program + "/"):
            folders[own.path.rpartition("/")[0]] = None
        else:
            few.append(own)
    return OwnList(place, tuple(few), program, tuple(folders))


def _prefix(place: Path) -> str:
    for columns in _lines(place):
        if columns[0] == "prefix" and len(columns) == 3 and columns[2].startswith("/"):
            return columns[2]
    raise UnreadableList("it does not say where the program is")


def _read(place: Path) -> Iterator[Own]:
    for columns in _lines(place):
        kind = columns[0]
        if kind not in ("file", "link", "lines"):
            continue
        if len(columns) != 6 or not columns[1].startswith("/") or "/../" in f"{columns[1]}/":
            raise UnreadableList(f"a line of it cannot be read: {' '.join(columns)[:100]}")
        if kind == "link":
            yield Own(columns[1], target=columns[2])
            continue
        try:
            mode, mtime = (0, 0) if kind == "lines" else (int(columns[2], 8), int(columns[3]))
        except ValueError as error:
            raise UnreadableList(f"a line of it cannot be read: {' '.join(columns)[:100]}") from error
        if not _HASH.fullmatch(columns[4]) or not 0 <= mode <= 0o7777:
            raise UnreadableList(f"a line of it cannot be read: {' '.join(columns)[:100]}")
        yield Own(columns[1], sha256=columns[4], mode=mode, mtime=mtime, shared=kind == "lines")


def _lines(place: Path) -> Iterator[list[str]]:
    """Line by line: a whole list in memory would be several MiB of the service's."""
    size, first = 0, True
    with place.open("rb") as file:
        while line := file.readline(_LONGEST):
            size += len(line)
            if size > _MOST or not line.endswith(b"\n"):
                raise UnreadableList("it is cut short")
            # A path is bytes: what is no UTF-8 goes through unchanged.
            text = line[:-1].decode("utf-8", "surrogateescape")
            if first and text != "fairtime-manifest\t1":
                raise UnreadableList("it is of another version, or damaged")
            first = False
            yield text.split("\t")
    if first:
        raise UnreadableList("it is empty")
