"""Registry values as the bytes that Windows keeps, so that what stood somewhere before can be put back byte for byte.

Pure.  The kinds are those of winnt.h; a string ends with a NUL of two bytes, a list of strings with one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")
SZ, EXPAND_SZ, BINARY, DWORD, MULTI_SZ = 1, 2, 3, 4, 7


class Value(Struct, frozen=True, array_like=True):
    """One value: its kind and its bytes, whatever they say."""

    kind: int
    data: bytes


class Node(Struct, frozen=True):
    """A key with all that is in it."""

    values: dict[str, Value] = {}
    keys: dict[str, Node] = {}


def text(words: str) -> Value:
    return Value(SZ, _wide(words))


def number(one: int) -> Value:
    """32 bits, as a yes or no and most settings are."""
    return Value(DWORD, one.to_bytes(4, "little"))


def texts(many: Iterable[str]) -> Value:
    return Value(MULTI_SZ, b"".join(map(_wide, many)) + b"\0\0")


def as_text(value: Value | None) -> str:
    """What a value says as a string; empty where it is none."""
    if value is None or value.kind not in (SZ, EXPAND_SZ):
        return ""
    return value.data.decode("utf-16-le", "replace").rstrip("\0")


def as_number(value: Value | None) -> int | None:
    """What a value says as a number; ``None`` where it is none."""
    if value is None or value.kind != DWORD or len(value.data) != 4:
        return None
    return int.from_bytes(value.data, "little")


def found(names: Mapping[str, T], name: str) -> T | None:
    """Names of keys and values are the same in capitals."""
    wanted = name.casefold()
    return next((one for key, one in names.items() if key.casefold() == wanted), None)


def _wide(words: str) -> bytes:
    return (words + "\0").encode("utf-16-le", "surrogatepass")
