"""What the lanes need of the registry, so that they can be tested on a registry in memory.

Every call may raise ``OSError`` but where it says otherwise.  Paths are below one root (``HKEY_USERS``, the machine's), with
backslashes; a path that leads over a link is refused, because a child may make links in the child's own hive.
"""

from __future__ import annotations

from typing import Protocol

from agent.platforms.windows.values import Node, Value

MOST_KEYS = 4096
"""Keys that ``Hive.node`` reads before it gives up: nobody's rules have more."""


class Hive(Protocol):
    def there(self, key: str) -> bool: ...

    def value(self, key: str, name: str) -> Value | None:
        """``None`` when there is no such key or value."""

    def node(self, key: str) -> Node | None:
        """A key with all that is below it; ``None`` when there is none."""

    def names(self, key: str) -> tuple[str, ...]:
        """The keys right below one; none when it is not there."""

    def put(self, key: str, name: str, value: Value) -> None:
        """Write one value, with the keys above it that are missing."""

    def make(self, key: str) -> None:
        """A key with those above it that are missing."""

    def drop(self, key: str, name: str) -> None:
        """Take one value away; success when it is gone already."""

    def remove(self, key: str) -> None:
        """Take a key away with all below it; success when it is gone already."""

    def stamp(self, key: str) -> int | None:
        """Another number when the key's own values or the names below it have changed; ``None`` when there is no key."""

    def rights(self, key: str) -> str:
        """Who may do what: owner, group and DACL as SDDL."""

    def give(self, key: str, rights: str) -> None:
        """Let these be the rights (owner, group and DACL as far as they are named)."""


def replace(hive: Hive, key: str, wanted: Node) -> None:
    """Let ``key`` have what ``wanted`` has and nothing else, touching only what differs."""
    hive.make(key)
    have = hive.node(key) or Node()
    kept = {name.casefold() for name in wanted.values}
    for name in have.values:
        if name.casefold() not in kept:
            hive.drop(key, name)
    below = {name.casefold() for name in wanted.keys}
    for name in have.keys:
        if name.casefold() not in below:
            hive.remove(rf"{key}\{name}")
    known = {name.casefold(): value for name, value in have.values.items()}
    for name, value in wanted.values.items():
        if known.get(name.casefold()) != value:
            hive.put(key, name, value)
    for name, node in wanted.keys.items():
        replace(hive, rf"{key}\{name}", node)


def same(one: Node | None, other: Node | None) -> bool:
    """Whether two keys hold the same, whatever the capitals of the names."""
    if one is None or other is None:
        return one is other
    return _low(one) == _low(other)


def _low(node: Node) -> Node:
    return Node(
        {name.casefold(): value for name, value in node.values.items()},
        {name.casefold(): _low(below) for name, below in node.keys.items()},
    )
