"""The bypass suite: every attack of ``bypass`` against the real service, and what the table of them must cover."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.system.box import Box
from tests.system.bypass import accounts, clock, files, ipc, programs, report, resources, runner, sessions
from tests.system.bypass.attack import ATTACKS, Attack, Outcome
from tests.system.bypass.lab import Lab
from tests.system.bypass.table import NOT_HERE, ROWS

THEMES = (programs, sessions, clock, files, ipc, accounts, resources)
ONLY = os.environ.get("FAIRTIME_ATTACKS", "").split()
"""Ids of the attacks to run while one is being written; all when empty."""


@pytest.fixture(scope="module")
def outcomes(box: Box) -> Iterator[dict[str, Outcome]]:
    attacks = [attack for attack in ATTACKS.values() if not ONLY or attack.id in ONLY]
    lab = Lab(box, attacks)
    found = runner.run(lab, attacks)
    report.write(attacks, found)
    yield found
    lab.close()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=lambda attack: attack.id)
def test_it_holds_or_is_named(attack: Attack, outcomes: dict[str, Outcome]) -> None:
    if attack.id not in outcomes:
        pytest.skip("not among FAIRTIME_ATTACKS")
    outcome = outcomes[attack.id]
    assert outcome.held or attack.limit in report.named(), outcome.evidence


def test_every_row_that_a_linux_pc_can_show_is_attacked() -> None:
    """The threat model's forty rows: each has an attack, or a reason why none can be run here."""
    covered = {row for attack in ATTACKS.values() for row in attack.rows}
    assert covered | NOT_HERE.keys() == ROWS
    assert not covered & NOT_HERE.keys()
    assert len(THEMES) == len(set(THEMES))


def test_limits_are_those_of_attacks() -> None:
    """A line of limits that names an attack which holds by now is out of date, and so is an id that no line has."""
    assert {attack.limit for attack in ATTACKS.values() if attack.limit} <= report.named()
