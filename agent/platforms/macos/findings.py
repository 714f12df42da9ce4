"""What about this Mac weakens protection: the lines of ``fairtime doctor`` that only macOS can tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from agent.errors import HostError
from agent.platforms.base import Ability, Capability, Finding
from agent.platforms.macos import accounts
from agent.platforms.macos.commands import Run, text

FILEVAULT = ("/usr/bin/fdesetup", "status")
INTEGRITY = ("/usr/bin/csrutil", "status")
GUEST = ("/usr/sbin/sysadminctl", "-guestAccount", "status")
_NOTED = (Capability.INPUT_EVIDENCE, Capability.SOUND_EVIDENCE, Capability.LOGIN, Capability.LOCK, Capability.FREEZE)
_NEVER_ALONE = "Until then Fairtime does what the rest allows."
_ORDER = {"open": 0, "weak": 1, "note": 2, "ok": 3}


def findings(children: Collection[str], abilities: Collection[Ability], run: Run) -> tuple[Finding, ...]:
    """Every finding, the gravest first."""
    found = [
        *(finding for child in sorted(children) for finding in of_child(child)),
        *of_settings(run),
        *(
            Finding(f"no-{one.capability}", "note" if one.capability in _NOTED else "weak",
                    f"This Mac does not offer: {one.capability}", one.why or _NEVER_ALONE)
            for one in abilities if not one.present
        ),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))


def of_child(child: str) -> Iterator[Finding]:
    if accounts.person(child) is None:
        yield Finding(
            "child-account-missing", "open", f"There is no account {child} on this Mac",
            "Make it in System Settings, Users & Groups, as a standard account, or correct the policy.", child,
        )  # fmt: skip
    elif accounts.is_administrator(child):
        yield Finding(
            "child-administrator", "open", f"{child} is an administrator of this Mac",
            "Switch off “Allow this user to administer this computer”: an administrator can switch off any protection.",
            child,
        )  # fmt: skip


def of_settings(run: Run) -> Iterator[Finding]:
    """Encryption, system integrity and the guest.  What cannot be asked says nothing."""
    rows: tuple[tuple[tuple[str, ...], Callable[[str], bool], Finding], ...] = (
        (FILEVAULT, lambda said: "FileVault is Off" in said, Finding(
            "disk-open", "weak", "The disk is not encrypted",
            "Turn FileVault on: else another system started from a stick reads and changes everything.",
        )),
        (INTEGRITY, lambda said: "status: disabled" in said, Finding(
            "integrity-off", "weak", "System Integrity Protection is off",
            "Turn it on from Recovery (csrutil enable): without it the system's own programs can be changed.",
        )),
        (GUEST, lambda said: "Guest account enabled" in said, Finding(
            "guest", "weak", "The guest account is on",
            "Turn it off in System Settings, Users & Groups: nobody is limited in it.",
        )),
    )  # fmt: skip
    for words, weak, finding in rows:
        try:
            if weak(text(run(words))):
                yield finding
        except HostError:
            continue
