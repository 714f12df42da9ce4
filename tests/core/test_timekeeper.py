"""Trusted time: when the wall clock is believed, and what is said when it is not."""

from __future__ import annotations

import pytest

from agent.clock import DAY, HOUR, MINUTE, SECOND, Instant
from agent.core.timekeeper import LONGEST_OFF, SLACK, ClockEvent, Timekeeper, advance, confirmed, disagreement, start

NOW = 1_772_463_600_000
KEEPER = Timekeeper(wall=NOW, boot=HOUR, awake=HOUR, boot_id="a")


def reading(wall: int, passed: int = MINUTE, *, boot_id: str = "a", synchronised: bool = False) -> Instant:
    return Instant(NOW + wall, HOUR + passed, HOUR + passed, boot_id, synchronised)


def test_the_first_time_is_the_clocks_but_not_before_the_policy_was_signed() -> None:
    at = Instant(NOW, HOUR, MINUTE, "a")
    assert start(at, NOW - DAY) == Timekeeper(wall=NOW, boot=HOUR, awake=MINUTE, boot_id="a", ignored=0)
    assert start(at, NOW + DAY) == Timekeeper(wall=NOW + DAY, boot=HOUR, awake=MINUTE, boot_id="a", ignored=-DAY)
    eleven = NOW - 4000 * DAY
    assert start(at, eleven).wall == NOW
    assert start(at, eleven - 1) == Timekeeper(
        wall=eleven - 1, boot=HOUR, awake=MINUTE, boot_id="a", ignored=4000 * DAY + 1
    )


def test_time_that_passes_is_believed_in_silence() -> None:
    after, event = advance(KEEPER, reading(MINUTE))
    assert event is None
    assert after == Timekeeper(wall=NOW + MINUTE, boot=HOUR + MINUTE, awake=HOUR + MINUTE, boot_id="a")


@pytest.mark.parametrize("sign", [1, -1])
def test_small_steps_are_accepted_until_their_sum_is_too_much(sign: int) -> None:
    after, event = advance(KEEPER, reading(MINUTE + sign * 100 * SECOND))
    assert after.wall == NOW + MINUTE + sign * 100 * SECOND
    assert after.lead == sign * 100 * SECOND
    assert event == ClockEvent(
        "accepted", sign * 100 * SECOND, f"The PC's clock was corrected by 100 s {'ahead' if sign > 0 else 'back'}."
    )
    edge, _ = advance(KEEPER, reading(MINUTE + sign * SLACK))
    assert (edge.lead, edge.ignored) == (sign * SLACK, 0)
    again, event = advance(after, reading(2 * MINUTE + sign * 121 * SECOND, 2 * MINUTE))
    assert again.wall == after.wall + MINUTE
    assert again.lead == sign * 100 * SECOND
    assert again.ignored == sign * 21 * SECOND
    assert event == ClockEvent(
        "ignored",
        sign * 21 * SECOND,
        f"The PC's clock was set 21 s {'ahead' if sign > 0 else 'back'} without that time passing;"
        " limits go by the real time.",
    )


def test_a_step_that_is_ignored_is_told_once_and_so_is_its_end() -> None:
    wrong, event = advance(KEEPER, reading(MINUTE + DAY))
    assert event is not None
    assert event.kind == "ignored"
    assert wrong.ignored == DAY
    still, event = advance(wrong, reading(2 * MINUTE + DAY, 2 * MINUTE))
    assert event is None
    assert still.wall == NOW + 2 * MINUTE
    other, event = advance(still, reading(3 * MINUTE + DAY + 2 * SECOND, 3 * MINUTE))
    assert event is not None, "a further step of two seconds is worth a line"
    assert other.ignored == DAY + 2 * SECOND
    right, event = advance(still, reading(3 * MINUTE, 3 * MINUTE))
    assert event == ClockEvent("agrees-again", 0, "The PC's clock agrees with Fairtime's time again.")
    assert right.ignored == 0


@pytest.mark.parametrize(("step", "told"), [(1999, False), (2000, True), (-1999, False), (-2000, True)])
def test_steps_below_two_seconds_are_not_worth_a_line(step: int, told: bool) -> None:
    after, event = advance(KEEPER, reading(MINUTE + step))
    assert (event is not None) is told
    assert after.lead == step


def test_a_clock_set_by_the_network_is_believed_in_both_directions() -> None:
    for step in (-3 * DAY, 3 * DAY):
        after, event = advance(KEEPER, reading(MINUTE + step, synchronised=True))
        assert (after.wall, after.lead, after.ignored) == (NOW + MINUTE + step, 0, 0)
        assert event is not None
        assert event.kind == "accepted"
        assert event.text == f"The PC's clock was corrected by 3 days {'ahead' if step > 0 else 'back'}."


def reboot(wall: int) -> tuple[Timekeeper, ClockEvent | None]:
    return advance(KEEPER, Instant(NOW + wall, MINUTE, MINUTE, "b"))


def test_over_a_restart_time_goes_on_with_the_clock_and_never_back() -> None:
    for off, expected in ((HOUR, HOUR), (LONGEST_OFF, LONGEST_OFF), (-SLACK + MINUTE, MINUTE)):
        after, event = reboot(off if off != LONGEST_OFF else LONGEST_OFF + MINUTE)
        assert after.wall == NOW + (expected if off != LONGEST_OFF else LONGEST_OFF + MINUTE)
        assert (after.boot, after.boot_id, after.lead, after.ignored) == (MINUTE, "b", 0, 0)
        assert event is None
    back, event = reboot(-SLACK + MINUTE - 1)
    assert back.wall == NOW + MINUTE
    assert back.ignored == -SLACK - 1
    assert event is not None
    assert event.text.startswith("The PC's clock was set 2 min back without")
    far, event = reboot(LONGEST_OFF + MINUTE + 1)
    assert far.wall == NOW + MINUTE
    assert event is not None
    assert event.text.startswith("The PC's clock was set 400 days ahead without")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (119 * SECOND, "119 s"),
        (120 * SECOND, "2 min"),
        (119 * MINUTE, "119 min"),
        (2 * HOUR, "2 h"),
        (47 * HOUR, "47 h"),
        (2 * DAY, "2 days"),
    ],
)
def test_steps_in_words(step: int, words: str) -> None:
    _, event = advance(KEEPER, reading(MINUTE + step, synchronised=True))
    assert event is not None
    assert event.text == f"The PC's clock was corrected by {words} ahead."


def test_a_clock_that_is_not_believed_is_shown_with_advice() -> None:
    assert disagreement(KEEPER) is None
    assert disagreement(Timekeeper(wall=NOW, boot=0, awake=0, boot_id="a", ignored=1999)) is None
    for ignored, words in ((3 * DAY, "3 days ahead"), (-2 * SECOND, "2 s back")):
        assert disagreement(Timekeeper(wall=NOW, boot=0, awake=0, boot_id="a", ignored=ignored)) == (
            f"The PC's clock stands {words} of the time that limits go by",
            "Set the clock right. If it is right, a guardian says so with “fairtime clock” and the PIN.",
        )


def test_a_guardian_says_the_clock_is_right() -> None:
    wrong = Timekeeper(wall=NOW, boot=HOUR, awake=HOUR, boot_id="a", lead=5, ignored=DAY)
    assert confirmed(wrong, reading(DAY)) == Timekeeper(
        wall=NOW + DAY, boot=HOUR + MINUTE, awake=HOUR + MINUTE, boot_id="a"
    )
