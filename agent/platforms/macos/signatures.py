"""Whose program a file is: the team that Apple gave its maker, once the signature holds (codesign(1)).

Anybody can sign with a certificate of their own that names any team; ``anchor apple generic`` asks that Apple issued it.
"""

from __future__ import annotations

import re

from agent.errors import HostError
from agent.platforms.macos.commands import Run, text

CODESIGN = "/usr/bin/codesign"
ANCHOR = "=anchor apple generic"
_TEAM = re.compile(r"^TeamIdentifier=([A-Z0-9]{10})$", re.MULTILINE)


def verify(path: str) -> tuple[str, ...]:
    """The question whether a signature holds, and Apple vouches for it."""
    return (CODESIGN, "--verify", "--strict", "-R", ANCHOR, path)


def show(path: str) -> tuple[str, ...]:
    """The question who signed."""
    return (CODESIGN, "--display", "--verbose=2", path)


def team(path: str, run: Run) -> str:
    """The team's ten characters; empty without a signature that holds, and for Apple's own programs, which name no team."""
    try:
        if run(verify(path)).code != 0:
            return ""
        found = _TEAM.search(text(run(show(path))))
    except HostError:
        return ""  # not known to be anybody's, which allows nothing
    return found.group(1) if found else ""
