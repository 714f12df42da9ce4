"""Is the child using the PC?  Hints are only believed as far as independent evidence bears them out (DESIGN §6).

Lock and idle hints are set by the session's own programs (systemd ``method_set_locked_hint`` asks only for the owner), so
a child's script can raise them while a game runs.  A hint therefore

* is *contradicted* by sound or by a busy processor: the time is used, and the disagreement is shown;
* reduces nothing while a key, pointer or gamepad is in use: nobody plays with an empty chair's hands (locking a screen is
  input too, so this is no disagreement worth showing);
* is *confirmed* when there was no input for a minute and nothing plays: the time is not used;
* otherwise stays *unconfirmed*: not used, within the caps that ``core.usage`` keeps.

Without any hint, five minutes without input, sound or work also count as away: not every desktop sets hints.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from agent.clock import MINUTE, SECOND
from agent.model.snapshot import Session

HANDS_ON = 15 * SECOND
"""Input this recent means that somebody is there, whatever a hint says."""
CONFIRM_AFTER = MINUTE
AWAY_AFTER = 5 * MINUTE


class Activity(Enum):
    """Ordered: of several sessions the most active one counts, and a second is charged once."""

    ABSENT = 0
    AWAY = 1
    UNCONFIRMED = 2
    TOUCHED = 3
    """Used, by hands that a hint denies."""
    USED = 4


def activity(sessions: Iterable[Session]) -> tuple[Activity, bool]:
    """How the sessions of one child are being used, and whether a hint was contradicted."""
    found, disagreement = Activity.ABSENT, False
    for session in sessions:
        if not session.active:
            continue
        state, lie = of_session(session)
        disagreement = disagreement or lie
        if state.value > found.value:
            found = state
    return found, disagreement


def of_session(session: Session) -> tuple[Activity, bool]:
    """One active session."""
    quiet = session.playing is False and not session.busy
    if session.locked_hint or session.idle_hint:
        if session.playing or session.busy:
            return Activity.USED, True
        if session.input_idle is not None and session.input_idle < HANDS_ON:
            return Activity.TOUCHED, False
        if session.input_idle is not None and session.input_idle >= CONFIRM_AFTER and quiet:
            return Activity.AWAY, False
        return Activity.UNCONFIRMED, False
    if session.input_idle is not None and session.input_idle >= AWAY_AFTER and quiet:
        return Activity.AWAY, False
    return Activity.USED, False
