"""What is known of a site list: the edition in force, one that waits, and the words for both."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent.clock import Millis
from agent.model.sitelist import Bound, ListFormat, Skipped


class Edition(Struct, frozen=True, kw_only=True):
    """A list as it was at one time."""

    file: str
    at: Millis
    format: ListFormat
    groups: dict[str, int]
    """Group within the list (``""``: its only one) → different hosts."""
    names: int
    lines: int
    skipped: tuple[Skipped, ...] = ()
    title: str = ""
    """What its publisher calls it, where it is signed."""
    version: int = 0

    @property
    def hosts(self) -> int:
        """Different hosts, a host in two groups counting twice."""
        return sum(self.groups.values())


class Listed(Struct, frozen=True, kw_only=True):
    """A list, and what is in force of it; ``waiting`` is one that is so much smaller that a guardian is asked first."""

    path: str
    format: ListFormat | None = None
    publisher: str = ""
    now: Edition | None = None
    waiting: Edition | None = None
    trouble: str = ""
    """Why the last update changed nothing."""


class Index(Struct, frozen=True, kw_only=True):
    """All that is known of the folder's files."""

    serial: int = 0
    lists: dict[str, Listed] = {}
    publishers: dict[str, str] = {}
    """Name → Ed25519 public key, in hex."""
    starter: Edition | None = None
    starter_sum: str = ""
    book: str = ""
    book_size: int = 0
    names: int = 0


def group_of(name: str, group: str) -> str:
    """How a list's group is called in rules: as the list, or after both."""
    return f"{name}/{group}" if name and group else name or group


def shrunk_words(name: str, one: Listed) -> str:
    """What a guardian is asked about an edition that waits."""
    return (
        f"{name} would have {hosts_words(one.waiting)} instead of {hosts_words(one.now)}.  The list before stays in force until a"
        f" guardian accepts that: “fairtime lists accept {name}”."
    )


def shrinks(old: Edition, new: Edition) -> bool:
    """Whether a list, or one of its groups, keeps less than half of its hosts."""
    return any(new.groups.get(group, 0) * 2 < count for group, count in old.groups.items())


def counted(lists: Mapping[str, Listed], bound: Bound) -> dict[str, Listed]:
    """The lists with the numbers of different hosts that the book has of them."""
    found = {}
    for name, one in lists.items():
        if one.now is not None:
            groups = {group: bound.groups.get(group_of(name, group), 0) for group in one.now.groups}
            one = replace(one, now=replace(one.now, groups=groups))
        found[name] = one
    return found


def hosts_words(edition: Edition | None) -> str:
    count = edition.hosts if edition else 0
    return f"{count:,} host{'' if count == 1 else 's'}"
