"""Runs the attacks: side by side what does not disturb others, then one by one what takes the whole PC."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.system.bypass.attack import Attack, Outcome
from tests.system.bypass.lab import Lab, NoLogin

AT_ONCE = 6
ROOM = 14


def run(lab: Lab, attacks: Sequence[Attack]) -> dict[str, Outcome]:
    """Every attack's outcome.  One that breaks is not held, with the reason as its evidence."""
    found: dict[str, Outcome] = {}
    for wave in waves(attacks):
        lab.begin(wave)
        # The long ones first, so that none is left over at the end.
        busy = sorted((one for one in wave if not one.alone and not one.calm), key=lambda one: one.kid is None)
        for group in (busy, [one for one in wave if one.calm]):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                found.update(zip((one.id for one in group), pool.map(lambda one: _run(lab, one), group), strict=True))
        for one in wave:
            if one.alone:
                found[one.id] = _run(lab, one)
    return found


def waves(attacks: Sequence[Attack]) -> list[list[Attack]]:
    """Attacks in groups that one policy has room for: it names sixteen children, two of them mia and leo."""
    kids = [one for one in attacks if one.kid is not None]
    rest = [one for one in attacks if one.kid is None]
    found = [kids[start : start + ROOM] for start in range(0, len(kids), ROOM)] or [[]]
    for number, one in enumerate(rest):
        found[number % len(found)].append(one)
    return found


def _run(lab: Lab, attack: Attack) -> Outcome:
    begun = time.monotonic()
    try:
        return attack.run(lab)
    except NoLogin as refused:
        return Outcome(True, f"login refused: {refused}")
    except Exception as error:  # noqa: BLE001  # it becomes a line of the table, and the suite fails
        return Outcome(False, f"the attack itself broke: {type(error).__name__}: {error}"[:400])
    finally:
        print(f"  {attack.id}: {time.monotonic() - begun:.1f} s", flush=True)
