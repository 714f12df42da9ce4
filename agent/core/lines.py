"""Where a key path is written in a TOML text, so that an error can name its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line (from 1) where a key path is written, as near as it can be told; ``None`` when it is not there.

    Follows table headers and keys by name; an array of tables by counting its headers.
    """
    best, depth = None, 0
    scope: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    names = [step for step in path if isinstance(step, str)]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        header = re.fullmatch(r"(\[\[?)\s*([^\[\]]+?)\s*\]\]?(?:\s*#.*)?", line)
        if header:
            scope = _keys(header[2])
            if header[1] == "[[":
                counts[scope] = counts.get(scope, -1) + 1
                for longer in [key for key in counts if len(key) > len(scope) and key[: len(scope)] == scope]:
                    del counts[longer]
        elif "=" in line and not line.startswith("#"):
            scope_key = _keys(line.split("=", 1)[0])
            found = _agree(names, (*scope, *scope_key), scope, counts, path)
            if found > depth:
                best, depth = number, found
            continue
        else:
            continue
        found = _agree(names, scope, scope, counts, path)
        if found > depth:
            best, depth = number, found
    return best


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.]+', text.strip()))


def _agree(
    names: Sequence[str],
    keys: tuple[str, ...],
    scope: tuple[str, ...],
    counts: Mapping[tuple[str, ...], int],
    path: Sequence[str | int],
) -> int:
    """How many steps of ``path`` the place ``keys`` stands for; 0 when it lies elsewhere."""
    if list(keys) != list(names[: len(keys)]):
        return 0
    seen: list[str] = []
    for at, step in enumerate(path):
        if isinstance(step, str):
            seen.append(step)
        elif len(seen) <= len(scope) and counts.get(tuple(seen), step) != step:
            return 0
        if len(seen) == len(keys) and not (at + 1 < len(path) and isinstance(path[at + 1], int)):
            break
    return len(keys)
