"""Which files of a folder or an archive hold hosts, and the group of each.

Both are read by one rule: categories (a folder for each, with the hosts in a file called ``domains``), or else text files at the
top, one a group.  An archive that holds one folder and nothing else is that folder; so it is read as the folder that was packed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from agent.errors import ListError
from agent.filter.lists.archives import Inside, Skip
from agent.filter.lists.guess import FORMS

MOST_FOLDERS = 1000
DEEPEST = 3
CATEGORY = "domains"
"""The file that holds a category's hosts (as the Toulouse lists and squidGuard have it)."""
TEXT = ".txt"
_APPLE = "__MACOSX"
"""What a Mac adds to archives."""


class Part(NamedTuple):
    """A file with hosts in it."""

    place: str
    """Within the list."""
    group: str
    """Empty where it is the whole list."""
    open: Callable[[], IO[bytes] | None]
    """``None`` when it is a folder now."""

    @property
    def category(self) -> bool:
        """Whether its form needs no guess."""
        return PurePosixPath(self.place).name == CATEGORY


def opened(path: Path, *, follow: bool = True) -> BinaryIO | None:
    """A file of text; ``None`` for a folder.  Never waits: not for a pipe's writer, and not for a device."""
    try:
        if sys.platform == "win32":
            # A folder cannot be opened there, and a link only without a word.
            seen = path.stat() if follow else path.lstat()
            if stat.S_ISDIR(seen.st_mode):
                return None
            if stat.S_ISLNK(seen.st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            flags = os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT
        else:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
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


def nothing_in(path: Path) -> ListError:
    """Of a folder or an archive without a part."""
    return ListError(
        f"There is no file “{CATEGORY}” in it or in the categories below it, and no text file ({TEXT})",
        f"A list is one of {FORMS}.",
        where=str(path),
    )


# ---- archives --------------------------------------------------------------------------------------------------------


def alone(inside: Inside) -> Callable[[], IO[bytes]] | None:
    """What opens the only file of an archive, which is the list then; ``None`` where there are more, or none."""
    files = [(name, open_) for name, open_ in inside if not _hidden(_steps(name))]
    return files[0][1] if len(files) == 1 and _steps(files[0][0])[-1:] != (CATEGORY,) else None


def of_archive(inside: Inside, skip: Skip) -> Iterator[Part]:
    """The parts of an archive, in its own order."""
    found = []
    for name, open_ in inside:
        steps = _steps(name)
        if ".." in steps or not steps:
            skip("a place outside of the archive", name)
        elif not _hidden(steps):
            found.append((steps, open_))
    if found and all(len(steps) > 1 and steps[0] == found[0][0][0] for steps, _ in found):
        found = [(steps[1:], open_) for steps, open_ in found]
    categories = [(steps, open_) for steps, open_ in found if steps[-1] == CATEGORY and len(steps) <= DEEPEST + 1]
    for steps, open_ in categories:
        yield Part("/".join(steps), steps[-2].lower() if len(steps) > 1 else "", open_)
    for steps, open_ in found if not categories else ():
        if len(steps) == 1 and steps[0].endswith(TEXT):
            yield Part(steps[0], steps[0].removesuffix(TEXT).lower(), open_)


def _steps(name: str) -> tuple[str, ...]:
    return tuple(step for step in name.replace("\\", "/").split("/") if step not in ("", "."))


def _hidden(steps: tuple[str, ...]) -> bool:
    return bool(steps) and (steps[0] == _APPLE or steps[-1].startswith("."))


# ---- folders ---------------------------------------------------------------------------------------------------------


def of_folder(path: Path, skip: Skip) -> Iterator[Part]:
    """The parts of a folder, by name."""
    for file, group in _files(path, skip):
        yield Part(file.relative_to(path).as_posix(), group, partial(opened, file, follow=False))


def _files(path: Path, skip: Skip) -> Iterator[tuple[Path, str]]:
    """Files with hosts in them, and the group of each."""
    none = True
    for folder in _categories(path, skip):
        none = False
        yield folder / CATEGORY, folder.name.lower() if folder != path else ""
    if none:
        for entry in sorted(_entries(path), key=lambda one: one.name):
            if entry.name.endswith(TEXT) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.name.removesuffix(TEXT).lower()


def _categories(path: Path, skip: Skip) -> Iterator[Path]:
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
                    skip("a link", Path(entry.path).relative_to(path).as_posix())
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
