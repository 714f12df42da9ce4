"""What about this PC weakens protection: the lines of ``fairtime doctor`` that only Linux can tell.

Reads files, bounded in number and size; may take a tenth of a second.  A file that cannot be read says nothing.
"""

from __future__ import annotations

import pwd
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Ability, Capability, Finding
from agent.platforms.linux import accounts, procfs
from agent.platforms.linux.packages import Packages

ROOT_EQUIVALENT = {
    "docker": "containers",
    "lxd": "containers",
    "incus": "containers",
    "incus-admin": "containers",
    "libvirt": "virtual machines",
    "disk": "the raw disk",
    "shadow": "the password file",
    "kmem": "the computer's memory",
    "input": "every key that is pressed",
}
"""Groups whose members can become root, or see what root types, by ordinary means."""

_NOTED = (Capability.INPUT_EVIDENCE, Capability.LOGIN)
_LIMIT = 1 << 20
_MOST = 100
_FALLBACK_ADVICE = "Until then Fairtime looks once a second; a blocked program may run that long."


def findings(
    children: Collection[str],
    abilities: Collection[Ability],
    packages: Packages | None = None,
    *,
    root: Path = Path("/"),
) -> tuple[Finding, ...]:
    """Every finding, the gravest first, at most a hundred."""
    found = [
        *(finding for child in sorted(children) for finding in of_child(child, root)),
        *of_administrators(root),
        *of_logins(root),
        *of_boot(root),
        *(of_packages(packages) if packages is not None else ()),
        *of_abilities(abilities),
    ]
    order = {"open": 0, "weak": 1, "note": 2, "ok": 3}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))[:_MOST]


def of_child(child: str, root: Path) -> Iterator[Finding]:
    if accounts.person(child) is None:
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
    for group in sorted(accounts.groups_of(child) & ROOT_EQUIVALENT.keys()):
        yield Finding(
            f"child-group-{group}", "open",
            f"{child} is in the group {group}, whose members can take over this PC through {ROOT_EQUIVALENT[group]}",
            f"Remove it from the group: sudo gpasswd -d {child} {group}", child,
        )  # fmt: skip
    if _sudoers_name(child, root):
        yield Finding(
            "child-sudo", "open", f"The sudo rules name {child} or everybody",
            "Remove the rule (sudo visudo, and the files in /etc/sudoers.d): it gives rights that switch off protection.",
            child,
        )  # fmt: skip


def of_administrators(root: Path) -> Iterator[Finding]:
    """Administrators, and root, without a password: anybody may become them."""
    hashes = dict(line.split(":")[:2] for line in _text(root / "etc/shadow").splitlines() if line.count(":") >= 2)
    for entry in pwd.getpwall():
        if hashes.get(entry.pw_name) == "" and accounts.is_administrator(entry.pw_name):
            yield Finding(
                "administrator-without-password", "open", f"The administrator {entry.pw_name} has no password",
                f"Set one: sudo passwd {entry.pw_name}",
            )  # fmt: skip
    for name in _nopasswd(root):
        yield Finding(
            "sudo-without-password", "weak", f"sudo asks {name} for no password",
            "Whoever sits down at that account's open session can switch off protection. Remove NOPASSWD from the rule.",
        )  # fmt: skip


def of_logins(root: Path) -> Iterator[Finding]:
    """Guest sessions and automatic logins."""
    for path in _some(root, ("etc/lightdm/lightdm.conf", "etc/lightdm/lightdm.conf.d/*.conf")):
        if re.search(r"^\s*allow-guest\s*=\s*true", _text(path), re.MULTILINE | re.IGNORECASE):
            yield Finding(
                "guest-session", "open", "The login screen offers a guest session, to which no limits apply",
                f"Set allow-guest=false in {path}",
            )  # fmt: skip
    patterns = (
        ("etc/lightdm/lightdm.conf", r"^\s*autologin-user\s*=\s*(\S+)"),
        ("etc/lightdm/lightdm.conf.d/*.conf", r"^\s*autologin-user\s*=\s*(\S+)"),
        ("etc/gdm3/daemon.conf", r"^\s*AutomaticLogin\s*=\s*(\S+)"),
        ("etc/gdm3/custom.conf", r"^\s*AutomaticLogin\s*=\s*(\S+)"),
        ("etc/gdm/custom.conf", r"^\s*AutomaticLogin\s*=\s*(\S+)"),
        ("etc/sddm.conf", r"^\s*User\s*=\s*(\S+)"),
        ("etc/sddm.conf.d/*.conf", r"^\s*User\s*=\s*(\S+)"),
    )
    for pattern, expression in patterns:
        for path in _some(root, (pattern,)):
            match = re.search(expression, _text(path), re.MULTILINE)
            if match and accounts.is_administrator(match.group(1)):
                yield Finding(
                    "automatic-login", "open", f"This PC logs in the administrator {match.group(1)} by itself",
                    f"Switch automatic login off in {path}: a restart would hand that account to a child.",
                )  # fmt: skip


def of_boot(root: Path) -> Iterator[Finding]:
    """A boot menu that anybody may edit gives a root shell (``init=/bin/sh``)."""
    for path in _some(root, ("boot/grub/grub.cfg", "boot/grub2/grub.cfg")):
        text = _text(path)
        if text and "superusers" not in text:
            yield Finding(
                "boot-menu-open", "weak", "The boot menu can be edited without a password",
                "Set a GRUB password (grub-mkpasswd-pbkdf2, set superusers) and a firmware password.",
            )  # fmt: skip
            return


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
    for ability in abilities:
        if not ability.present and ability.capability in titles:
            id_, title = titles[ability.capability]
            severity = "note" if ability.capability in _NOTED else "weak"
            extra = f" {_FALLBACK_ADVICE}" if ability.capability is Capability.START_EVENTS else ""
            yield Finding(id_, severity, title, f"{ability.why}{extra}")


def _sudoers_name(child: str, root: Path) -> bool:
    groups = accounts.groups_of(child) - set(accounts.ADMIN_GROUPS)
    for who, _ in _sudo_rules(root):
        if who in (child, "ALL") or (who.startswith("%") and who[1:] in groups):
            return True
    return False


def _nopasswd(root: Path) -> Iterator[str]:
    seen = set()
    for who, rule in _sudo_rules(root):
        if "NOPASSWD" in rule and who not in seen and who != "root":
            seen.add(who)
            yield who


def _sudo_rules(root: Path) -> Iterator[tuple[str, str]]:
    """``(who, rule)`` of each rule line of sudoers(5); aliases and defaults are left out."""
    for path in _some(root, ("etc/sudoers", "etc/sudoers.d/*")):
        if "." in path.name or path.name.endswith("~"):
            continue  # sudo itself ignores these in sudoers.d
        for line in _text(path).replace("\\\n", " ").splitlines():
            words = line.split("#", 1)[0].split(None, 1)
            if len(words) == 2 and "=" in words[1] and not words[0].endswith("_Alias") and "Defaults" not in words[0]:
                yield words[0], words[1]


def _some(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        try:
            yield from sorted(root.glob(pattern))[:_MOST]
        except OSError:
            continue


def _text(path: Path) -> str:
    return procfs.read(str(path), _LIMIT).decode("utf-8", "replace")
