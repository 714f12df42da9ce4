"""The rest of the bypass suite: attacks that measure a quiet PC, or take so much of it that nothing else can be measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.box import Box
from tests.system.bypass import report, suite
from tests.system.bypass.attack import Attack, Outcome


@pytest.fixture(scope="module")
def outcomes(box: Box) -> Iterator[dict[str, Outcome]]:
    yield from suite.played(box, "apart", suite.APART)


@pytest.mark.parametrize("attack", suite.chosen(suite.APART), ids=lambda attack: attack.id)
def test_it_holds_or_is_named(attack: Attack, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[attack.id]
    assert outcome.held or attack.limit in report.named(), outcome.evidence
