"""What stood in the registry before Fairtime wrote there, kept where only administrators write, to be put back byte for byte.

It is written before the first change, and forgotten after the last.  Only names that Fairtime writes are kept: what others
add beside them meanwhile is theirs and stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from agent.platforms.windows.hive import Hive, replace
from agent.platforms.windows.values import BINARY, Node, Value

log = logging.getLogger(__name__)

OURS = r"SOFTWARE\Fairtime"
PLACE = rf"{OURS}\Before"
"""Below ``HKEY_LOCAL_MACHINE``; a key for each lane, in it a value for each key that is written to, named by its path."""


class Before(Struct, frozen=True, kw_only=True):
    """One key before."""

    missing: tuple[str, ...] = ()
    """The keys that were not there, the lowest first: this one and those above it."""
    rights: str = ""
    """Of a key that was there (SDDL)."""
    values: dict[str, Value | None] = {}
    keys: dict[str, Node | None] = {}

    @property
    def foreign(self) -> tuple[str, ...]:
        """What somebody else had set, and Fairtime sets now."""
        return tuple(sorted(name for name, kept in (self.values | self.keys).items() if kept is not None))


class Keeping:
    """``machine``: the hive it is kept in; ``hive``: the one that the lane writes to."""

    def __init__(self, machine: Hive, hive: Hive, lane: str) -> None:
        self._machine = machine
        self._hive = hive
        self.place = rf"{PLACE}\{lane}"
        self.damaged: set[str] = set()
        """Keys of which it is no longer known what stood there."""

    def of(self, key: str) -> Before | None:
        """What was kept of a key; ``None`` when nothing was written there."""
        value = self._machine.value(self.place, key)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value.data, type=Before)
        except msgspec.DecodeError as error:
            if key not in self.damaged:
                log.error("what stood in %s before is not known any more: %s", key, error)
                self.damaged.add(key)
            return Before(missing=(key,))

    def all(self) -> tuple[str, ...]:
        """Every key of which something is kept."""
        node = self._machine.node(self.place)
        return tuple(sorted(node.values)) if node is not None else ()

    def keep(self, key: str, values: Iterable[str], keys: Iterable[str]) -> Before:
        """Before these names below ``key`` are written: keep those that are not kept yet."""
        known = self.of(key)
        before = known if known is not None else self._first(key)
        # Of what was lost the hive has only what Fairtime wrote itself.
        lost = key in self.damaged
        new_values = {one: None if lost else self._hive.value(key, one) for one in values if one not in before.values}
        new_keys = {one: None if lost else self._hive.node(rf"{key}\{one}") for one in keys if one not in before.keys}
        if new_values or new_keys or known is None:
            before = msgspec.structs.replace(before, values=before.values | new_values, keys=before.keys | new_keys)
            self._machine.put(self.place, key, Value(BINARY, msgspec.json.encode(before)))
        return before

    def restore(self, key: str) -> None:
        """Put back what was kept of a key, and forget it; success when nothing was."""
        before = self.of(key)
        if before is None:
            return
        there = self._hive.there(key)
        if there and before.rights:
            self._hive.give(key, before.rights)
        for name, value in before.values.items():
            if value is not None:
                self._hive.put(key, name, value)
            elif there:
                self._hive.drop(key, name)
        for name, node in before.keys.items():
            if node is not None:
                replace(self._hive, rf"{key}\{name}", node)
            elif there:
                self._hive.remove(rf"{key}\{name}")
        for missing in before.missing:
            node = self._hive.node(missing)
            if node is not None and not node.values and not node.keys:
                self._hive.remove(missing)
        self.forget(key)

    def forget(self, key: str) -> None:
        """Keep nothing of a key any more: what stood there is there again."""
        self._machine.drop(self.place, key)
        self.damaged.discard(key)
        self._tidy()

    def _first(self, key: str) -> Before:
        parts = key.split("\\")
        above = ["\\".join(parts[:length]) for length in range(len(parts), 1, -1)]
        missing = tuple(one for one in above if not self._hive.there(one))
        return Before(missing=missing, rights="" if missing else self._hive.rights(key))

    def _tidy(self) -> None:
        """Leave no empty key of ours."""
        for key in (self.place, PLACE, OURS):
            node = self._machine.node(key)
            if node is None or node.values or node.keys:
                return
            self._machine.remove(key)
