"""The count of mutants counts what it says: unrun ones are left out, time limits are noticed, survivors are named."""

from __future__ import annotations

from tests.mutate import score


def test_the_score() -> None:
    found, missed = score(
        [
            "    agent.core.usage.x_fold__mutmut_1: killed",
            "    agent.core.usage.x_fold__mutmut_2: survived",
            "    agent.core.usage.x_fold__mutmut_3: timeout",
            "    agent.core.usage.x_fold__mutmut_4: no tests",
            "    agent.core.rules.xǁPlanǁx__mutmut_1: not checked",
            "a warning of another kind",
        ]
    )
    assert found == {"usage": {"noticed": 2, "missed": 2}}
    assert missed == ["agent.core.usage.x_fold__mutmut_2", "agent.core.usage.x_fold__mutmut_4"]
