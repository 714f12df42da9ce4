"""The time that limits go by: the wall clock, believed only as far as the boot clock bears it out.

A child may set the clock, the zone or (rarely) the firmware's clock.  So *trusted time* moves with the boot clock, which
nobody can set, and the wall clock is evidence: a step of it without elapsed boot time is ignored and reported.  Both
clocks are slewed by NTP alike (clock_gettime(2)), hence honest corrections show up as steps only; small ones are
accepted until their net sum reaches ``SLACK`` per boot, so that 119 s at a time cannot be added up.

Across a reboot the boot clock says nothing about how long the machine was off.  Trusted time then never goes back, and
goes forward with the wall clock by at most ``LONGEST_OFF``: who sets the firmware a day ahead spends tomorrow's minutes,
not new ones, because trusted time does not return.  A clock that is ``synchronised`` (by the network, which a standard
account cannot steer), or that a guardian confirmed, is believed in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from agent.clock import DAY, SECOND, Instant, Millis, between

SLACK = 120 * SECOND
LONGEST_OFF = 400 * DAY
REPORT = 2 * SECOND
"""Differences below this are not worth a line."""


class Timekeeper(Struct, frozen=True, kw_only=True):
    """Trusted time at one instant; saved with the ledger."""

    wall: Millis
    boot: Millis
    awake: Millis
    boot_id: str
    lead: Millis = 0
    """Net of the small steps accepted since boot."""
    ignored: Millis = 0
    """How far the wall clock stands from trusted time while it is not believed; 0 when it is."""


@dataclass(frozen=True, slots=True)
class ClockEvent:
    """Something worth a line in the ledger; ``millis`` is wall minus trusted time."""

    kind: str
    """``ignored``, ``accepted`` or ``agrees-again``."""
    millis: Millis
    text: str


def start(now: Instant, floor: Millis) -> Timekeeper:
    """First trusted time on this PC: the wall clock, but not before ``floor`` (when this policy was signed)."""
    wall = max(now.wall, floor)
    if now.wall > floor + LONGEST_OFF * 10:
        wall = floor
    return Timekeeper(
        wall=wall,
        boot=now.boot,
        awake=now.awake,
        boot_id=now.boot_id,
        ignored=0 if wall == now.wall else now.wall - wall,
    )


def advance(keeper: Timekeeper, now: Instant) -> tuple[Timekeeper, ClockEvent | None]:
    """Trusted time at ``now``."""
    before = Instant(keeper.wall, keeper.boot, keeper.awake, keeper.boot_id)
    passage = between(before, now)
    expected = keeper.wall + passage.elapsed
    step = now.wall - expected
    if now.synchronised:
        return _at(now, now.wall, 0, 0), _event(keeper, step, accepted=True)
    if passage.rebooted:
        believed = -SLACK <= step <= LONGEST_OFF
        wall = max(expected, now.wall) if believed else expected
        ignored = 0 if believed else step
        return _at(now, wall, 0, ignored), _event(keeper, step, accepted=believed) if not believed else None
    lead = keeper.lead + step
    if abs(lead) <= SLACK:
        return _at(now, now.wall, lead, 0), _event(keeper, step, accepted=True)
    return _at(now, expected, keeper.lead, step), _event(keeper, step, accepted=False)


def confirmed(keeper: Timekeeper, now: Instant) -> Timekeeper:
    """A guardian says that the wall clock is right."""
    return _at(now, now.wall, 0, 0)


def disagreement(keeper: Timekeeper) -> tuple[str, str] | None:
    """Title and advice while the PC's clock is not believed; ``None`` while it is."""
    if abs(keeper.ignored) < REPORT:
        return None
    return (
        f"The PC's clock stands {_words(keeper.ignored)} of the time that limits go by",
        "Set the clock right. If it is right, a guardian says so with “fairtime clock” and the PIN.",
    )


def _at(now: Instant, wall: Millis, lead: Millis, ignored: Millis) -> Timekeeper:
    return Timekeeper(wall=wall, boot=now.boot, awake=now.awake, boot_id=now.boot_id, lead=lead, ignored=ignored)


def _event(keeper: Timekeeper, step: Millis, *, accepted: bool) -> ClockEvent | None:
    if accepted:
        if keeper.ignored:
            return ClockEvent("agrees-again", step, "The PC's clock agrees with Fairtime's time again.")
        if abs(step) >= REPORT:
            return ClockEvent("accepted", step, f"The PC's clock was corrected by {_words(step)}.")
        return None
    if abs(step - keeper.ignored) < REPORT:
        return None
    return ClockEvent(
        "ignored", step, f"The PC's clock was set {_words(step)} without that time passing; limits go by the real time."
    )


def _words(step: Millis) -> str:
    size, unit = abs(step) // SECOND, "s"
    for length, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if size >= 2 * length:
            size, unit = size // length, name
            break
    return f"{size} {unit} {'ahead' if step > 0 else 'back'}"
