"""``family.toml``: from its text to a family that can be used, or to errors that a guardian can mend.

Text in, values out; nothing here reads a file.  ``parse`` finds what is not TOML or not the model's shape; ``agent.core.checks``
finds what contradicts itself; ``build_policy`` makes the payload that is signed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence

import msgspec

from agent.core.layers import layered
from agent.errors import PolicyError
from agent.model.policy import CatalogueEntry, Family, Limits, Policy

MAX_FAMILY = 1024 * 1024
"""Bytes of a ``family.toml``; ours have some thousand."""
_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")


def parse(text: str, name: str = "family.toml") -> Family:
    """The family that a text describes.  Raises ``PolicyError`` with file, line, key, reason and advice."""
    if len(text.encode("utf-8", "surrogateescape")) > MAX_FAMILY:
        raise PolicyError("This file is far too big for a family", "Check that it is the right file.", where=name)
    if not text.strip():
        raise PolicyError("The file is empty", "Begin with “fairtime policy new”.", where=name)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{name}, line {line[1]}" if line else f"{name}, line {text.count(chr(10)) + 1}"
        raise PolicyError(
            f"This is not TOML: {error}", "Look at quotes, brackets and equals signs there.", where=where
        ) from error
    except RecursionError as error:
        raise PolicyError("The file is nested too deep", "Check that it is the right file.", where=name) from error
    try:
        return msgspec.convert(tree, Family, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(str(error), text, tree, name) from error


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


def filled(family: Family, presets: Mapping[str, Limits]) -> Family:
    """The family with each child's preset under the child's own limits, so that nothing depends on a file elsewhere."""
    children = []
    for child in family.children:
        preset = presets.get(child.preset)
        if preset is None:
            raise PolicyError(f"There is no preset “{child.preset}”", "Reinstall Fairtime: its presets are missing.")
        children.append(msgspec.structs.replace(child, limits=layered(child.limits, preset)))
    return msgspec.structs.replace(family, children=children)


def build_policy(
    family: Family,
    catalogue: Mapping[str, list[CatalogueEntry]],
    presets: Mapping[str, Limits],
    *,
    policy_id: str,
    version: int,
    issued: str,
    expires: str | None = None,
    devices: Sequence[str] = (),
    prev_sha256: str | None = None,
) -> Policy:
    """The payload to sign: complete, so that it means the same on every machine and after every update.

    The whole catalogue goes in (some 50 KiB): it gives programs their names in every face, not only those with a rule.
    """
    return Policy(
        policy_id=policy_id,
        version=version,
        devices=list(devices),
        issued=issued,
        expires=expires,
        prev_sha256=prev_sha256,
        family=filled(family, presets),
        catalogue=dict(catalogue),
    )


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


def _explained(message: str, text: str, tree: object, name: str) -> PolicyError:
    """A validation error of msgspec in words for a guardian, with the line."""
    found = _PATH.search(message)
    reason = message[: found.start()] if found else message
    path: list[str | int] = []
    for key, index in _STEP.findall(found["path"] if found else ""):
        if key == "" and index == "...":
            path.append("…")
        else:
            path.append(key or int(index))
    unknown = _UNKNOWN.match(reason)
    if unknown:
        key = unknown["key"]
        near = difflib.get_close_matches(key, _siblings(path), n=1)
        advice = f"Did you mean “{near[0]}”?" if near else "Remove it, or look at the examples in policies/examples."
        path.append(key)
        title = f"There is no setting called “{key}” here"
    else:
        title, advice = reason.rstrip("."), "See the examples in policies/examples and the schema in policies/schema."
        missing = re.match(r"Object missing required field `([^`]*)`", reason)
        if missing:
            title = f"“{missing[1]}” is missing"
            advice = f"Add {missing[1]} = … there."
    line = line_of(text, path)
    keys = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    where = name + (f", line {line}" if line else "") + (f", {keys}" if keys else "")
    return PolicyError(title, advice, where=where)


def _siblings(path: Sequence[str | int]) -> list[str]:
    """The keys that may stand where ``path`` leads, whatever the table: a near miss is worth a guess."""
    names: set[str] = set()
    for definition in msgspec.json.schema(Family)["$defs"].values():
        names.update(definition.get("properties", {}))
    return sorted(names)
