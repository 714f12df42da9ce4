"""The bypass suite: attacks of ``bypass`` side by side against the real service, and what the table of them must cover."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.box import Box
from tests.system.bypass import report, suite
from tests.system.bypass.attack import ATTACKS, Attack, Outcome
from tests.system.bypass.table import NOT_HERE, ROWS


@pytest.fixture(scope="module")
def outcomes(box: Box) -> Iterator[dict[str, Outcome]]:
    yield from suite.played(box, "together", suite.TOGETHER)


@pytest.mark.parametrize("attack", suite.chosen(suite.TOGETHER), ids=lambda attack: attack.id)
def test_it_holds_or_is_named(attack: Attack, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[attack.id]
    assert outcome.held or attack.limit in report.named(), outcome.evidence


def test_every_row_that_a_linux_pc_can_show_is_attacked() -> None:
    """The threat model's forty rows: each has an attack, or a reason why none can be run here."""
    covered = {row for attack in ATTACKS.values() for row in attack.rows}
    assert covered | NOT_HERE.keys() == ROWS
    assert not covered & NOT_HERE.keys()
    assert len(suite.THEMES) == len(set(suite.THEMES))


def test_limits_are_those_of_attacks() -> None:
    """A line of limits that names an attack which holds by now is out of date, and so is an id that no line has."""
    assert {attack.limit for attack in ATTACKS.values() if attack.limit} <= report.named()
