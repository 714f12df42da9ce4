"""Lists for tests: read and compiled in this process, and the real ones that packages bring."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from agent.filter.lists.binding import bind
from agent.filter.lists.book import Book
from agent.filter.lists.reading import read_list
from agent.model.sitelist import ListFormat, Reading, Source, ToRead

UBLOCK = Path(
    "/usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}/uBlock0@raymondhill.net/assets/thirdparties"
)
"""Where Debian's webext-ublock-origin-firefox has EasyList and others."""


def read_to(path: Path, out: Path, form: ListFormat | None = None) -> Reading:
    """Read a list; its names are in ``out`` then."""
    with out.open("wb") as file:
        return read_list(ToRead(path=str(path), out=file.fileno(), format=form), file)


def bound(out: Path, *lists: tuple[Path, Mapping[str, str]], tries: int = 1) -> Book:
    """The book of lists that were read, each with what its groups are called in the book."""
    with ExitStack() as stack:
        sources = []
        for path, groups in lists:
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            sources.append(Source(names=descriptor, groups=dict(groups)))
        scratch = [stack.enter_context(tempfile.TemporaryFile()).fileno() for _ in range(tries)]
        with out.open("wb") as file:
            bind(sources, scratch, file)
    return Book.open(out)


def book_of(folder: Path, groups: Mapping[str, str], *, tries: int = 1) -> Book:
    """A book of lists given as texts, in whatever form each is."""
    made = []
    for group, text in groups.items():
        source, names = folder / f"{group}.txt", folder / f"{group}.names"
        source.write_text(text, encoding="utf-8")
        read_to(source, names)
        made.append((names, {"": group}))
    return bound(folder / "book", *made, tries=tries)
