"""Limits lie in layers: profile in force → child → preset.  What a layer does not say, the one below it says."""

from __future__ import annotations

import msgspec

from agent.model.policy import Limits


def layered(top: Limits, below: Limits) -> Limits:
    """``top`` with its absent fields (``None``) taken from ``below``."""
    said = {name: value for name in Limits.__struct_fields__ if (value := getattr(top, name)) is not None}
    return msgspec.structs.replace(below, **said)
