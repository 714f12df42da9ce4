"""Lists of hosts that guardians hand in: what is known of each, and what is asked of the jobs that read them.

A *list* is a file or a folder with a name; it brings one *group* of hosts, or several (a folder of categories): then each is
called after both, ``ut1/games``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

ListFormat = Literal["hosts", "domains", "adblock", "dnsmasq", "rpz", "folder"]
ListName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="such as games")]

MOST_NAMES = 6_000_000
"""Of all lists together."""
NAMES_A_TRIE = 1_000_000
"""What the compiler holds in memory at once."""


class Skipped(Struct, frozen=True, kw_only=True):
    """Lines that were left out for one reason: how many, and the first of them as ``file:line: text``."""

    why: str
    count: int
    first: str


class Reading(Struct, frozen=True, kw_only=True):
    """What reading a list came to.  ``title`` and ``advice`` are set when it is none: then nothing else holds."""

    format: ListFormat = "domains"
    groups: tuple[str, ...] = ()
    """``""`` for the only group of a single file."""
    lines: int = 0
    """That say something: neither empty nor comments."""
    names: int = 0
    """That were taken, the same name twice counting twice."""
    skipped: tuple[Skipped, ...] = ()
    files: dict[str, str] = {}
    """Path within the list (``""``: the file itself) → SHA-256 of exactly the bytes that were read."""
    statement: bytes = b""
    """The publisher's signed statement that lay beside it."""
    title: str = ""
    advice: str = ""


class ToRead(Struct, frozen=True, kw_only=True):
    """Read the list at ``path``, and write its names in the compiler's form into the file that is open as ``out``."""

    path: str
    out: int
    format: ListFormat | None = None
    """``None``: it is seen from the list."""


class Source(Struct, frozen=True, kw_only=True, array_like=True):
    """A list for the compiler: the open file of its names, and how each group in it is called in the book."""

    names: int
    groups: dict[str, str]


class ToBind(Struct, frozen=True, kw_only=True):
    """Compile lists into one book, into the file that is open as ``out``, with the help of empty files."""

    sources: tuple[Source, ...]
    scratch: tuple[int, ...]
    """One for each ``NAMES_A_TRIE`` names or part of it."""
    out: int


class Bound(Struct, frozen=True, kw_only=True):
    """A book that was made: group → how many different names it has.  ``title`` and ``advice`` when none could be."""

    groups: dict[str, int] = {}
    names: int = 0
    bytes: int = 0
    title: str = ""
    advice: str = ""
