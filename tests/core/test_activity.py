"""When a session is in use, away, or only says so."""

from __future__ import annotations

import pytest

from agent.clock import MINUTE, SECOND
from agent.core.activity import Activity, activity, of_session
from agent.model.snapshot import Session

USED, AWAY, UNSURE, TOUCHED = Activity.USED, Activity.AWAY, Activity.UNCONFIRMED, Activity.TOUCHED


@pytest.mark.parametrize(
    ("hint", "idle", "playing", "busy", "expected"),
    [
        (False, 0, False, False, (USED, False)),
        (False, None, False, False, (USED, False)),
        (False, 5 * MINUTE - 1, False, False, (USED, False)),
        (False, 5 * MINUTE, False, False, (AWAY, False)),
        (False, 5 * MINUTE, True, False, (USED, False)),
        (False, 5 * MINUTE, None, False, (USED, False)),
        (False, 5 * MINUTE, False, True, (USED, False)),
        (True, 0, False, False, (TOUCHED, False)),
        (True, 15 * SECOND - 1, None, None, (TOUCHED, False)),
        (True, 15 * SECOND, False, False, (UNSURE, False)),
        (True, MINUTE, False, False, (AWAY, False)),
        (True, MINUTE - 1, False, False, (UNSURE, False)),
        (True, None, False, False, (UNSURE, False)),
        (True, MINUTE, None, False, (UNSURE, False)),
        (True, MINUTE, False, None, (AWAY, False)),
        (True, MINUTE, True, False, (USED, True)),
        (True, MINUTE, False, True, (USED, True)),
    ],
)
@pytest.mark.parametrize("which", ["locked_hint", "idle_hint"])
def test_one_session(
    which: str, hint: bool, idle: int | None, playing: bool | None, busy: bool | None, expected: tuple[Activity, bool]
) -> None:
    session = Session(id="1", account="mia", input_idle=idle, playing=playing, busy=busy, **{which: hint})
    assert of_session(session) == expected


def test_the_most_active_of_several_counts_and_a_lie_in_any_is_seen() -> None:
    used = Session(id="1", account="mia", input_idle=0)
    away = Session(id="2", account="mia", input_idle=9 * MINUTE, playing=False, busy=False)
    liar = Session(id="3", account="mia", locked_hint=True, playing=True)
    behind = Session(id="4", account="mia", active=False, locked_hint=True, playing=True)
    assert activity([]) == (Activity.ABSENT, False)
    assert activity([behind]) == (Activity.ABSENT, False)
    assert activity([behind, away]) == (AWAY, False)
    assert activity([used, away]) == activity([away, used]) == (USED, False)
    assert activity([liar, away, used]) == (USED, True)


def test_activities_are_ordered() -> None:
    assert [a.name for a in sorted(Activity, key=lambda a: a.value)] == [
        "ABSENT",
        "AWAY",
        "UNCONFIRMED",
        "TOUCHED",
        "USED",
    ]
