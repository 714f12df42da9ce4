"""The attacks of one PC: run once, then one test each."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.system.box import Box
from tests.system.bypass import accounts, clock, files, ipc, programs, report, resources, runner, sessions, sites
from tests.system.bypass.attack import ATTACKS, Attack, Outcome
from tests.system.bypass.lab import Lab

THEMES = (programs, sessions, clock, files, ipc, accounts, resources, sites)
"""Each module has entered its attacks."""
ONLY = os.environ.get("FAIRTIME_ATTACKS", "").split()
"""Ids of the attacks to run while one is being written; all when empty."""
TOGETHER = [attack for attack in ATTACKS.values() if not (attack.alone or attack.calm or attack.net)]
APART = [attack for attack in ATTACKS.values() if attack.alone or attack.calm]
"""Those that want a PC without the others."""
ONLINE = [attack for attack in ATTACKS.values() if attack.net]
"""Those that want a network."""


def chosen(attacks: list[Attack]) -> list[Attack]:
    return [attack for attack in attacks if not ONLY or attack.id in ONLY]


def played(box: Box, name: str, attacks: list[Attack]) -> Iterator[dict[str, Outcome]]:
    """The outcomes of those that are chosen, kept for the table under ``name``; the body of a fixture."""
    lab = Lab(box, chosen(attacks))
    try:
        found = runner.run(lab, chosen(attacks))
        report.write(name, chosen(attacks), found)
        yield found
    finally:
        lab.close()
