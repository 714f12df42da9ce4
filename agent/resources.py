"""Files that come with Fairtime: presets, catalogue, examples, icons.

They lie beside the package in a checkout, in ``agent/_data`` in a wheel, and in PyInstaller's folder in a bundle.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.errors import PolicyError

if TYPE_CHECKING:
    from agent.model.policy import CatalogueEntry, Limits


@cache
def folder(name: str) -> Path:
    """The folder ``policies`` or ``assets``.  ``PolicyError`` when the installation is incomplete."""
    here = Path(__file__).resolve().parent
    bundle: str | None = getattr(sys, "_MEIPASS", None)
    bases: list[Path] = [here / "_data", here.parent]
    for base in [Path(bundle), *bases] if bundle else bases:
        if (base / name).is_dir():
            return base / name
    raise PolicyError(f"Fairtime's own files ({name}) are missing", "Install Fairtime again.", where=str(here))


@cache
def load_catalogue() -> dict[str, list[CatalogueEntry]]:
    """The program catalogue by group."""
    import tomllib  # here, and what it becomes: most processes read neither catalogue nor presets

    from agent.model.policy import CatalogueEntry

    found: dict[str, list[CatalogueEntry]] = {}
    for path in sorted((folder("policies") / "catalogue").glob("*.toml")):
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = msgspec.convert(tree["program"], list[CatalogueEntry])
    return found


@cache
def load_presets() -> dict[str, Limits]:
    """The presets by name."""
    import tomllib

    from agent.model.policy import Limits

    return {
        path.stem: msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Limits)
        for path in sorted((folder("policies") / "presets").glob("*.toml"))
    }


@cache
def doh_addresses() -> tuple[str, ...]:
    """The addresses and networks that answer DNS over HTTPS (policies/addresses/doh.txt)."""
    lines = (folder("policies") / "addresses" / "doh.txt").read_text(encoding="ascii").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
