"""What about this PC weakens protection: the lines of ``fairtime doctor`` that only Linux can tell.

Reads files, bounded in number and size; may take a tenth of a second.  A file that cannot be read says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Ability, Capability, Finding
from agent.platforms.linux import accounts, openplaces, sudoers, unitstate, waysin
from agent.platforms.linux.packages import Packages
from agent.platforms.linux.sudoers import Grant

GROUPS: Mapping[str, tuple[str, str]] = {
    "docker": ("open", "whose members become root through containers"),
    "podman": ("open", "whose members become root through containers"),
    "lxd": ("open", "whose members become root through containers"),
    "incus": ("open", "whose members become root through containers"),
    "incus-admin": ("open", "whose members become root through containers"),
    "libvirt": ("open", "whose members become root through virtual machines"),
    "libvirt-qemu": ("open", "whose members become root through virtual machines"),
    "disk": ("open", "whose members change the raw disk"),
    "shadow": ("open", "whose members read the password file"),
    "kmem": ("open", "whose members read the computer's memory"),
    "root": ("open", "whose members change files of the system"),
    "input": ("open", "whose members read every key that is pressed, a guardian's password too"),
    "staff": ("open", "whose members put programs in /usr/local, where they count as the system's"),
    "kvm": ("weak", "whose members run virtual machines, in which no limits apply"),
    "vboxusers": ("weak", "whose members run virtual machines, in which no limits apply"),
    "lpadmin": ("weak", "whose members change how printing works, which runs as root"),
    "netdev": ("weak", "whose members change the network for everybody"),
    "adm": ("note", "whose members read the system's logs"),
}
"""Groups that give a child more than a standard account has: how grave, and why."""

_NOTED = (Capability.INPUT_EVIDENCE, Capability.LOGIN)
_MOST = 100
_MOST_NAMED = 10
_LOOKS = "Until then Fairtime looks once a second; a blocked program may run that long."
_LOOKS_BEHIND_THE_GATE = (
    "Until then Fairtime looks once a second at what the gate cannot see (what an interpreter is told to run, programs from "
    "memory); all else that is blocked does not start."
)


def findings(
    children: Collection[str],
    abilities: Collection[Ability],
    packages: Packages | None = None,
    *,
    root: Path = Path("/"),
) -> tuple[Finding, ...]:
    """Every finding, the gravest first, at most a hundred."""
    people = [person for child in sorted(children) if (person := accounts.person(child)) is not None]
    grants = sudoers.grants(root)
    found = [
        *(finding for child in sorted(children) for finding in of_child(child, grants)),
        *of_administrators(root, grants),
        *openplaces.of_places(people, root),
        *openplaces.of_setuid(people, root),
        *waysin.of_logins(root),
        *waysin.of_boot(root),
        *waysin.of_disk(root),
        *unitstate.of_installation(root),
        *(of_packages(packages) if packages is not None else ()),
        *of_abilities(abilities),
        *of_system(children, root),
    ]
    order = {"open": 0, "weak": 1, "note": 2, "ok": 3}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))[:_MOST]


def of_child(child: str, grants: Collection[Grant]) -> Iterator[Finding]:
    person = accounts.person(child)
    if person is None:
        yield Finding(
            "child-account-missing", "open", f"There is no account {child} on this PC",
            f"Create it (sudo adduser {child}) or correct the policy.", child,
        )  # fmt: skip
        return
    if accounts.is_administrator(child):
        yield Finding(
            "child-administrator", "open", f"{child} is an administrator of this PC",
            f"Make it a standard account (sudo deluser {child} sudo): an administrator can switch off any protection.",
            child,
        )  # fmt: skip
    groups = accounts.groups_of(child)
    for group in sorted(groups & GROUPS.keys()):
        severity, why = GROUPS[group]
        yield Finding(
            f"child-group-{group}", severity, f"{child} is in the group {group}, {why}",
            f"Remove it from the group: sudo gpasswd -d {child} {group}", child,
        )  # fmt: skip
    others = groups - set(accounts.ADMIN_GROUPS)
    if any(grant.names(child, person.uid, others, person.gids) for grant in grants):
        yield Finding(
            "child-sudo", "open", f"The rules of sudo or doas name {child} or everybody",
            "Remove the rule (sudo visudo, the files in /etc/sudoers.d, /etc/doas.conf): it gives rights that switch off "
            "protection.",
            child,
        )  # fmt: skip


def of_administrators(root: Path, grants: Collection[Grant]) -> Iterator[Finding]:
    """Administrators, and root, without a password: anybody may become them."""
    hashes = dict(line.split(":")[:2] for line in waysin.text(root / "etc/shadow").splitlines() if line.count(":") >= 2)
    for name, hash_ in hashes.items():
        if hash_ == "" and accounts.is_administrator(name):
            yield Finding(
                "administrator-without-password", "open", f"The administrator {name} has no password",
                f"Set one: sudo passwd {name}",
            )  # fmt: skip
    names = dict.fromkeys(user for grant in grants if grant.without_password for user in grant.users)
    for name in [name for name in names if name not in ("root", "#0") and not name.startswith("!")][:_MOST_NAMED]:
        yield Finding(
            "sudo-without-password", "weak", f"sudo asks {name} for no password",
            "Whoever sits down at that account's open session can switch off protection. Remove NOPASSWD (or nopass) "
            "from the rule.",
        )  # fmt: skip


def of_system(children: Collection[str], root: Path) -> Iterator[Finding]:
    """What every PC has and a guardian may want less of."""
    if _allows_jobs(children, root):
        yield Finding(
            "timed-jobs", "note", "Children may have programs started at a time (cron, at)",
            "They are judged like any others. To take it away, write the accounts into /etc/cron.deny and /etc/at.deny.",
        )  # fmt: skip
    namespaces = waysin.text(root / "proc/sys/user/max_user_namespaces").strip() not in ("", "0")
    restricted = waysin.text(root / "proc/sys/kernel/unprivileged_userns_clone").strip() == "0"
    if namespaces and not restricted:
        yield Finding(
            "user-namespaces", "note", "Programs may make a view of the files of their own (user namespaces)",
            "Browsers need it for their sandboxes, so it stays. Rules for programs go by what is started, not by that view.",
        )  # fmt: skip


def _allows_jobs(children: Collection[str], root: Path) -> bool:
    """cron(8) and at(1): with a list of who may, only they; else all but those on the list of who may not."""
    for name, program in (("cron", "usr/bin/crontab"), ("at", "usr/bin/at")):
        if not (root / program).exists():
            continue
        allow, deny = root / f"etc/{name}.allow", root / f"etc/{name}.deny"
        listed = waysin.text(allow if allow.exists() else deny).split()
        if any((child in listed) == allow.exists() for child in children):
            return True
    return False


def of_packages(packages: Packages) -> Iterator[Finding]:
    """Programs that a child started and whose content is not what their package brought."""
    for path, package in sorted(packages.changed().items()):
        kind, _, name = package.partition(":")
        again = f"sudo apt install --reinstall {name}" if kind == "deb" else f"sudo dnf reinstall {name}"
        yield Finding(
            "program-changed", "weak", f"{path} is not what the package {name} brought",
            f"It counts as an unknown program now. If nobody changed it on purpose, install it again: {again}",
        )  # fmt: skip
    for package in sorted(packages.unrecorded()):
        name = package.partition(":")[2]
        yield Finding(
            "package-without-checksums", "note", f"The package {name} has no checksums for its programs",
            "Rules that name it do not apply to them; name them by their path or SHA-256.",
        )  # fmt: skip


def of_abilities(abilities: Collection[Ability]) -> Iterator[Finding]:
    titles = {
        Capability.SESSIONS: ("no-logind", "Sessions are not seen through systemd-logind"),
        Capability.START_EVENTS: ("no-start-events", "Program starts are not reported by the kernel"),
        Capability.LOGIN: ("no-login-check", "Logins without time left are not refused, but ended"),
        Capability.LOCK: ("no-lock", "Screens cannot be locked"),
        Capability.INPUT_EVIDENCE: ("no-input-evidence", "Use cannot be told from an idle screen by input"),
    }
    gate = any(ability.present and ability.capability is Capability.EXEC_GATE for ability in abilities)
    looks = _LOOKS_BEHIND_THE_GATE if gate else _LOOKS
    for ability in abilities:
        if not ability.present and ability.capability in titles:
            id_, title = titles[ability.capability]
            severity = "note" if ability.capability in _NOTED else "weak"
            extra = f" {looks}" if ability.capability is Capability.START_EVENTS else ""
            yield Finding(id_, severity, title, f"{ability.why}{extra}")
