"""The service's documents as text for a person.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def readable(value: object, depth: int = 0) -> str:
    """A JSON document as indented lines: for a person, complete, in the document's own order."""
    space = "  " * depth
    if isinstance(value, Mapping):
        lines = []
        for key, inner in value.items():
            if isinstance(inner, Mapping | list) and inner:
                lines.append(f"{space}{_spoken(key)}:\n{readable(inner, depth + 1)}")
            elif inner not in (None, "", [], {}):
                lines.append(f"{space}{_spoken(key)}: {_scalar(inner)}")
        return "\n".join(lines)
    if isinstance(value, list):
        if all(isinstance(inner, Mapping) for inner in value):
            return "\n".join(space + _one_line(inner) for inner in value)
        return "\n".join(f"{space}{_scalar(inner)}" for inner in value)
    return f"{space}{_scalar(value)}"


def _one_line(row: Mapping[str, Any]) -> str:
    return " · ".join(
        _scalar(inner) if key in ("title", "text", "kind", "day", "at", "when") else f"{_spoken(key)} {_scalar(inner)}"
        for key, inner in row.items()
        if inner not in (None, "", [], {})
    )


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list):
        return msgspec.json.encode(value).decode()
    return str(value)


def _spoken(key: object) -> str:
    return str(key).replace("_", " ")
