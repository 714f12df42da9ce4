"""``family.toml``: from its text to a family that can be used, or to errors that a guardian can mend.

Text in, values out; nothing here reads a file.  ``parse`` finds what is not TOML or not the model's shape; ``agent.core.checks``
finds what contradicts itself; ``build_policy`` makes the payload that is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from agent.core.layers import layered
from agent.core.mistakes import explained
from agent.errors import PolicyError
from agent.model.policy import CatalogueEntry, Family, Limits, Policy

MAX_FAMILY = 1024 * 1024
"""Bytes of a ``family.toml``; ours have some thousand."""


def parse(text: str, name: str = "family.toml") -> Family:
    """The family that a text describes.  Raises ``PolicyError`` with file, line, key, reason and advice."""
    if len(text.encode("utf-8", "surrogateescape")) > MAX_FAMILY:
        raise PolicyError("This file is far too big for a family", "Check that it is the right file.", where=name)
    if not text.strip():
        raise PolicyError("The file is empty", "Begin with “fairtime policy new”.", where=name)
    import tomllib  # here: only a guardian's tools read the family file

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
        raise explained(str(error), text, tree, name) from error


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
