"""A registry in memory: what ``agent.platforms.windows.hive.Hive`` asks for, and a hand that spoils it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.platforms.windows.values import Node, Value


@dataclass
class _Key:
    values: dict[str, tuple[str, Value]] = field(default_factory=dict)
    keys: dict[str, tuple[str, _Key]] = field(default_factory=dict)
    rights: str = "O:SYG:SYD:(A;;KA;;;SY)"
    stamp: int = 0


class Memory:
    """Names of keys and values in any capitals are the same; each write counts up the key's stamp."""

    def __init__(self) -> None:
        self._root = _Key()
        self._writes = 0
        self.refuse: set[str] = set()
        """Beginnings of keys that cannot be written to."""
        self.written: list[str] = []
        """Every write, in order: ``key\\name`` of a value, ``key`` of what was made or removed."""

    def there(self, key: str) -> bool:
        return self._find(key) is not None

    def value(self, key: str, name: str) -> Value | None:
        at = self._find(key)
        found = at.values.get(name.casefold()) if at is not None else None
        return found[1] if found is not None else None

    def node(self, key: str) -> Node | None:
        at = self._find(key)
        return _node(at) if at is not None else None

    def names(self, key: str) -> tuple[str, ...]:
        at = self._find(key)
        return tuple(name for name, _ in at.keys.values()) if at is not None else ()

    def put(self, key: str, name: str, value: Value) -> None:
        self._may(key)
        at = self._made(key)
        at.values[name.casefold()] = (name, value)
        self._wrote(at, rf"{key}\{name}")

    def make(self, key: str) -> None:
        if not self.there(key):
            self._may(key)
            self._wrote(self._made(key), key)

    def drop(self, key: str, name: str) -> None:
        at = self._find(key)
        if at is not None and name.casefold() in at.values:
            self._may(key)
            del at.values[name.casefold()]
            self._wrote(at, rf"{key}\{name}")

    def remove(self, key: str) -> None:
        above, _, name = key.rpartition("\\")
        at = self._find(above)
        if at is not None and name.casefold() in at.keys:
            self._may(key)
            del at.keys[name.casefold()]
            self._wrote(at, key)

    def stamp(self, key: str) -> int | None:
        at = self._find(key)
        return at.stamp if at is not None else None

    def rights(self, key: str) -> str:
        at = self._find(key)
        if at is None:
            raise FileNotFoundError(2, "there is no such key")
        return at.rights

    def give(self, key: str, rights: str) -> None:
        at = self._find(key)
        if at is None:
            raise FileNotFoundError(2, "there is no such key")
        self._may(key)
        at.rights = rights

    def _find(self, key: str) -> _Key | None:
        at = self._root
        for name in key.split("\\") if key else ():
            found = at.keys.get(name.casefold())
            if found is None:
                return None
            at = found[1]
        return at

    def _made(self, key: str) -> _Key:
        at = self._root
        for name in key.split("\\"):
            if name.casefold() not in at.keys:
                self._writes += 1
                at.stamp = self._writes
            at = at.keys.setdefault(name.casefold(), (name, _Key()))[1]
        return at

    def _may(self, key: str) -> None:
        if any(key.casefold().startswith(one.casefold()) for one in self.refuse):
            raise PermissionError(13, "access is denied")

    def _wrote(self, at: _Key, what: str) -> None:
        self._writes += 1
        at.stamp = self._writes
        self.written.append(what)


def _node(at: _Key) -> Node:
    return Node(dict(at.values.values()), {name: _node(below) for name, below in at.keys.values()})
