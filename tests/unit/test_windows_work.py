"""Whether an account's programs use the processor as a program in use does."""

from __future__ import annotations

import pytest

from agent.clock import SECOND
from agent.platforms.windows.work import SPAN, Work

CORE = 10_000_000
"""What one core spends in a second, in 100 ns."""


def after(work: Work, share: float, seconds: int, start: int = 0) -> bool | None:
    found = None
    for second in range(start, start + seconds + 1):
        found = work.busy("mia", int(second * share * CORE), second * SECOND)
    return found


@pytest.mark.parametrize(("share", "busy"), [(0.0, False), (0.2, False), (0.3, True), (4.0, True)])
def test_a_quarter_of_a_core_is_use(share: float, busy: bool) -> None:
    assert after(Work(), share, SPAN // SECOND) is busy


def test_before_ten_seconds_nobody_knows() -> None:
    assert after(Work(), 1.0, SPAN // SECOND - 1) is None


def test_what_was_long_ago_counts_no_more() -> None:
    work = Work()
    after(work, 1.0, 60)
    assert [work.busy("mia", 60 * CORE, (60 + more) * SECOND) for more in (2, 11)] == [True, False]


def test_who_is_gone_is_forgotten() -> None:
    work = Work()
    after(work, 1.0, 60)
    work.keep(frozenset({"tom"}))
    assert work.busy("mia", 61 * CORE, 61 * SECOND) is None
