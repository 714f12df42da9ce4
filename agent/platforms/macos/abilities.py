"""What a Mac lets Fairtime do, in words for a guardian.  What no Mac does is ``False`` here, and stands so in README's table."""

from __future__ import annotations

from agent.platforms.base import Ability, Capability
from agent.platforms.macos.endings import NO_LOCK
from agent.platforms.macos.profiles import NO_DNS

_ENTITLED = "Apple lets only programs with its own permission (Endpoint Security) "

_AGAIN = "launchd starts the service again whenever it ends."
_NOT_AGAIN = "Fairtime runs outside of its LaunchDaemon, so nothing starts it again; install it as a service."


def of(*, sessions: str, idle: str, locks: bool, browsers: str, hidden: bool, supervised: bool) -> tuple[Ability, ...]:
    """One ability for each capability.  What is a word says why something is missing, empty when it is there."""

    def there(capability: Capability, present: bool, why: str) -> Ability:
        return Ability(capability, present, "" if present else why)

    return (
        there(
            Capability.SCAN, not hidden,
            "Programs of other accounts cannot be looked at, because the service does not run as root.",
        ),
        Ability(
            Capability.START_EVENTS, False,
            f"{_ENTITLED}hear of starts. Programs are found by looking, once a second.",
        ),
        Ability(
            Capability.EXEC_GATE, False,
            f"{_ENTITLED}deny a start. What may not run is stopped within a second of it.",
        ),
        there(Capability.SESSIONS, not sessions, f"Sessions cannot be seen. {sessions}"),
        Ability(
            Capability.LOGIN, False,
            "The login window asks nobody. A login without time left is ended right after it began.",
        ),
        there(Capability.LOCK, locks, NO_LOCK),
        there(Capability.LOGOUT, True, ""),
        Ability(
            Capability.FREEZE, False, "macOS cannot let all of an account stand still. Choose logout as the ending."
        ),
        Ability(Capability.HOLD, True, "By signals, looked at twenty times a second."),
        there(Capability.INPUT_EVIDENCE, not idle, f"An idle screen counts as used. {idle}"),
        Ability(
            Capability.SOUND_EVIDENCE, False, "No documented command says whose sound is playing, so silence proves nothing."
        ),
        Ability(Capability.SITES_DNS, False, NO_DNS),
        there(Capability.SITES_BROWSER, not browsers, f"Browsers are not told which sites are open. {browsers}"),
        Ability(
            Capability.SELF_DEFENCE, False,
            f"{_AGAIN if supervised else _NOT_AGAIN} Nothing puts Fairtime's own files right; only an administrator can change them.",
        ),
    )  # fmt: skip
