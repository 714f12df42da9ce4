"""What a Windows PC lets Fairtime do, in words for a guardian."""

from __future__ import annotations

from agent.platforms.base import Ability, Capability

_GATE = "Windows denies before the start only what no hour, minute or answer would open; the rest is stopped right after it."
_INPUT = "Windows tells keyboard and mouse to the tray alone, which a child may end: its word is a hint, and believed for so long only."


def of(*, start_events: str, sessions: str, programs: str, names: str, browsers: str) -> tuple[Ability, ...]:
    """One ability for each capability.  What is a word says why something is missing, empty when it is there."""

    def there(capability: Capability, present: bool, why: str) -> Ability:
        return Ability(capability, present, "" if present else why)

    by_programs = f"{sessions} Sessions are guessed from running programs."
    return (
        Ability(Capability.SCAN, True),
        there(Capability.START_EVENTS, not start_events, start_events),
        Ability(Capability.EXEC_GATE, False, f"{_GATE} {programs}".strip()),
        there(Capability.SESSIONS, not sessions, by_programs),
        Ability(
            Capability.LOGIN, False, "Windows asks nobody before a login: one without time left is ended within seconds."
        ),
        there(Capability.LOCK, not sessions, f"Nothing can be put behind the login screen. {sessions}"),
        Ability(Capability.LOGOUT, True, f"By stopping every program of the account. {sessions}" if sessions else ""),
        Ability(Capability.FREEZE, False, "Windows has no way to let a whole session stand still: lock or log out instead."),
        Ability(Capability.HOLD, True, "By suspending, looked at twenty times a second."),
        Ability(Capability.INPUT_EVIDENCE, False, _INPUT),
        Ability(Capability.SOUND_EVIDENCE, False, "Windows tells a service nothing of the sound of a session."),
        Ability(Capability.SITES_DNS, False, names),
        there(Capability.SITES_BROWSER, not browsers, f"Browsers are not told which sites are open. {browsers}".strip()),
        Ability(
            Capability.SELF_DEFENCE, False,
            "Windows keeps standard accounts from Fairtime's files and its service; changes by an administrator are not noticed.",
        ),
    )  # fmt: skip
