"""Browsers that keep no rules for sites: closed to a child whose rules close sites, unless a rule names them.

Names are filtered in every program.  What only a browser's own rules close (an address without a name, a tunnel, another
resolver) would stay open in these, by accident of which browser is installed.
"""

from __future__ import annotations

from agent.core.siterules import mode_of
from agent.model.policy import CatalogueEntry, SiteRules
from agent.model.program import ProgramId
from agent.model.site import Said

RULE = "browser-without-rules"


def closes(sites: SiteRules) -> bool:
    """Whether these rules keep any site closed, always or for a time."""
    return (
        mode_of(sites) != "block-list"
        or bool(sites.block)
        or any(rule.action != "allow" or rule.budget or rule.hours for rule in sites.rules or ())
    )


def keeps_rules(entry: CatalogueEntry, program: ProgramId) -> bool:
    """Whether this program of the catalogue is no browser, or one that keeps the rules for sites in the form it is installed in."""
    kind, _, package = program.package.partition(":")
    linux = entry.linux
    confined = linux is not None and kind in ("flatpak", "snap") and package in linux.without_rules
    return entry.site_rules is not False and not confined


def said(title: str) -> Said:
    """Why it is closed, for the child."""
    return Said(
        "{title} does not keep the rules for sites, so it is closed. Use another browser, or ask a guardian.",
        (("title", title),),
    )
