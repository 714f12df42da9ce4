"""What this PC lets Fairtime do, in words for a guardian."""

from __future__ import annotations

import os

from agent.platforms.base import Ability, Capability

_PAM = "Run the installer again; where there is no pam-auth-update, add the lines of installer/linux/pam by hand."
_LOGIND = "Install or start systemd-logind (package systemd) and the system bus (package dbus)."


def of(
    *,
    start_events: str,
    exec_gate: str,
    logind: str,
    logins: str,
    freeze: bool,
    hold: bool,
    input_present: bool,
    sound_present: bool,
    guarded: bool,
    names: str,
    browsers: str,
) -> tuple[Ability, ...]:
    """One ability for each capability.  What is a word says why something is missing, empty when it is there."""

    def there(capability: Capability, present: bool, why: str) -> Ability:
        return Ability(capability, present, "" if present else why)

    without = f"{logind.rstrip('.')}. {_LOGIND}"
    supervised = bool(os.environ.get("NOTIFY_SOCKET"))
    return (
        there(Capability.SCAN, os.path.exists("/proc/self/stat"), "The folder /proc is not mounted; mount it."),
        there(Capability.START_EVENTS, not start_events, start_events),
        there(Capability.EXEC_GATE, not exec_gate, exec_gate),
        there(Capability.SESSIONS, not logind, f"Sessions are guessed from running programs. {without}"),
        there(
            Capability.LOGIN, not logins,
            f"A login without time left is ended within seconds instead of refused. {logins} {_PAM}",
        ),
        there(Capability.LOCK, not logind, f"Without logind nothing can lock the screen. {without}"),
        Ability(Capability.LOGOUT, True, f"By stopping every program of the account. {without}" if logind else ""),
        there(
            Capability.FREEZE, freeze,
            "The kernel's cgroup v2 with systemd's user slices is needed: start with systemd.unified_cgroup_hierarchy=1.",
        ),
        Ability(
            Capability.HOLD, True,
            "" if hold else "By signals, looked at twenty times a second: the kernel's cgroup v2 is not there.",
        ),
        there(
            Capability.INPUT_EVIDENCE, input_present,
            "No keyboard, pointer or gamepad is seen in /dev/input, so an idle screen counts as used.",
        ),
        there(Capability.SOUND_EVIDENCE, sound_present, "No sound card is seen in /proc/asound."),
        there(Capability.SITES_DNS, not names, f"Children's questions for names go where they like. {names}"),
        there(Capability.SITES_BROWSER, not browsers, f"Browsers are not told which sites are open. {browsers}"),
        there(
            Capability.SELF_DEFENCE, supervised and guarded,
            "Fairtime runs outside of its unit, so nothing restarts it or guards its files; install it as a service.",
        ),
    )  # fmt: skip
