"""Limits lie in layers: profile in force → child → preset.  What a layer does not say, the one below it says."""

from __future__ import annotations

import msgspec

from agent.model.policy import Limits, SiteRules


def layered(top: Limits, below: Limits) -> Limits:
    """``top`` with its absent fields (``None``) taken from ``below``; the fields of ``sites`` are layers of their own."""
    said = _said(top)
    if top.sites is not None and below.sites is not None:
        said["sites"] = msgspec.structs.replace(below.sites, **_said(top.sites))
    return msgspec.structs.replace(below, **said)


def _said(layer: Limits | SiteRules) -> dict[str, object]:
    return {name: value for name in layer.__struct_fields__ if (value := getattr(layer, name)) is not None}
