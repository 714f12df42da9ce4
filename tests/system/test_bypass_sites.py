"""The part of the bypass suite that is about sites: attacks on a PC with a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.box import Box
from tests.system.bypass import report, suite
from tests.system.bypass.attack import Attack, Outcome
from tests.system.internet import internet


@pytest.fixture(scope="module")
def outcomes(box: Box) -> Iterator[dict[str, Outcome]]:
    with internet(box):
        yield from suite.played(box, "online", suite.ONLINE)


@pytest.mark.parametrize("attack", suite.chosen(suite.ONLINE), ids=lambda attack: attack.id)
def test_it_holds_or_is_named(attack: Attack, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[attack.id]
    assert outcome.held or attack.limit in report.named(), outcome.evidence
