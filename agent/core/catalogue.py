"""Programs by the names people use: what the catalogue calls them, whether or not they are installed here."""

from __future__ import annotations

from agent.core.rules import ChildRules
from agent.model.policy import CatalogueEntry
from agent.model.program import ProgramId


def known_as(rules: ChildRules, name: str) -> CatalogueEntry | None:
    """The catalogue entry of this id, name or file name (capitals do not matter); ``None`` when there is none."""
    wanted = name.casefold()
    weak: CatalogueEntry | None = None
    for entry in rules.catalogue.values():
        if wanted in (entry.id.casefold(), entry.name.casefold()):
            return entry
        systems = (entry.linux, entry.windows, entry.macos)
        if any(wanted in (binary.casefold() for binary in one.binary) for one in systems if one is not None):
            weak = weak or entry
    return weak


def as_installed(entry: CatalogueEntry) -> ProgramId:
    """Who it would be when installed properly: from its package, where a child cannot write."""
    linux = entry.linux
    package = ""
    if linux is not None:
        kinds = (("deb", linux.package), ("flatpak", linux.flatpak), ("snap", linux.snap))
        package = next((f"{kind}:{names[0]}" for kind, names in kinds if names), "")
    names = [name for one in (linux, entry.windows, entry.macos) if one is not None for name in one.binary]
    return ProgramId(name=names[0] if names else entry.id, package=package, protected=True, application=True)
