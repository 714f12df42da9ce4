"""Ways into this PC that go past its accounts: guest sessions, automatic logins, an open boot menu, a readable disk."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Finding
from agent.platforms.linux import accounts, procfs

_LIMIT = 1 << 20
_MOST = 100
_LIGHTDM = (
    "usr/share/lightdm/lightdm.conf.d/*.conf", "etc/xdg/lightdm/lightdm.conf.d/*.conf", "etc/lightdm/lightdm.conf.d/*.conf",
    "etc/lightdm/lightdm.conf",
)  # fmt: skip
"""In the order in which lightdm reads them; what is read later wins."""
_AUTOMATIC = (
    (_LIGHTDM, r"^\s*autologin-user\s*=\s*(\S+)", ""),
    (("etc/gdm3/daemon.conf", "etc/gdm3/custom.conf", "etc/gdm/custom.conf"),
     r"^\s*(?:AutomaticLogin|TimedLogin)\s*=\s*(\S+)", r"^\s*(?:AutomaticLogin|TimedLogin)Enable\s*=\s*(?:true|1)\b"),
    (("etc/sddm.conf", "etc/sddm.conf.d/*.conf", "usr/lib/sddm/sddm.conf.d/*.conf"), r"^\s*User\s*=\s*(\S+)", r"^\[Autologin\]"),
    (("etc/greetd/config.toml",), r"^\s*user\s*=\s*[\"']([^\"']+)", r"^\[initial_session\]"),
    (("etc/systemd/system/getty@*.service.d/*.conf", "etc/systemd/system/autologin@*.service"),
     r"--autologin[ =](\S+)", ""),
)  # fmt: skip
"""Files, who is logged in, and what must stand there, too, for it to happen."""
_GRUB = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/efi/EFI/*/grub.cfg")
_LOADER = ("boot/loader/loader.conf", "efi/loader/loader.conf", "boot/efi/loader/loader.conf")
_BOOT_ADVICE = "and set a password in the firmware, which also keeps other systems from being started from a stick."


def of_logins(root: Path) -> Iterator[Finding]:
    """Guest sessions, and administrators who are logged in by themselves."""
    guest, where = (root / "usr/sbin/guest-account").exists(), "etc/lightdm/lightdm.conf"
    for path in some(root, _LIGHTDM):
        for said in re.findall(r"^\s*allow-guest\s*=\s*(\w+)", text(path), re.MULTILINE | re.IGNORECASE):
            guest, where = said.lower() == "true", str(path.relative_to(root))
    if guest:
        yield Finding(
            "guest-session", "open", "The login screen offers a guest session, to which no limits apply",
            f"Set allow-guest=false below [Seat:*] in /{where}",
        )  # fmt: skip
    for patterns, expression, needed in _AUTOMATIC:
        for path in some(root, patterns):
            said = text(path)
            if needed and not re.search(needed, said, re.MULTILINE | re.IGNORECASE):
                continue
            for name in dict.fromkeys(re.findall(expression, said, re.MULTILINE)):
                if accounts.is_administrator(name):
                    yield Finding(
                        "automatic-login", "open", f"This PC logs in the administrator {name} by itself",
                        f"Switch automatic login off in /{path.relative_to(root)}: a restart hands that account to a child.",
                    )  # fmt: skip


def of_boot(root: Path) -> Iterator[Finding]:
    """A boot menu that anybody may edit gives a root shell (``init=/bin/sh``)."""
    for path in some(root, _GRUB):
        said = text(path)
        if "menuentry" in said or "blscfg" in said:
            if not _locked(said, text(path.with_name("user.cfg"))):
                yield Finding(
                    "boot-menu-open", "weak", "The boot menu can be edited without a password",
                    f"Set one (grub-mkpasswd-pbkdf2 and superusers, or grub2-setpassword), {_BOOT_ADVICE}",
                )  # fmt: skip
            return
    for path in some(root, _LOADER):
        if not re.search(r"^\s*editor\s+(no|false|0|off)\b", text(path), re.MULTILINE | re.IGNORECASE):
            yield Finding(
                "boot-menu-open", "weak", "The boot menu can be edited without a password",
                f"Write “editor no” into /{path.relative_to(root)}, {_BOOT_ADVICE}",
            )  # fmt: skip
        return


def _locked(config: str, extra: str) -> bool:
    """Fedora's configuration always speaks of superusers; whether there is a password stands in ``user.cfg``."""
    if re.search(r"^\s*GRUB2_PASSWORD=\S", extra, re.MULTILINE):
        return True
    named = re.search(r"^\s*set\s+superusers\s*=\s*\"?\w", config, re.MULTILINE)
    return bool(named and re.search(r"^\s*password(_pbkdf2)?\s+\S+\s+[^\s$]", config, re.MULTILINE))


def of_disk(root: Path) -> Iterator[Finding]:
    """Whether what is on the disk can be read and changed from another system."""
    device = _root_device(text(root / "proc/self/mountinfo"), root)
    if device is None or not device.exists():
        return  # a network's, a container's: not a disk of this PC
    todo, seen = [device], 0
    while todo and seen < _MOST:
        block, seen = todo.pop(), seen + 1
        if text(block / "dm/uuid").startswith("CRYPT-"):
            return
        try:
            todo += [root / "sys/class/block" / slave.name for slave in (block / "slaves").iterdir()]
        except OSError:
            continue
    yield Finding(
        "disk-readable", "note", "The disk is not encrypted",
        "Whoever starts another system from a stick can change everything on it. Encrypt it when the system is installed "
        f"anew; until then keep sticks from being started: {_BOOT_ADVICE.removeprefix('and ')}",
    )  # fmt: skip


def _root_device(mountinfo: str, root: Path) -> Path | None:
    """The kernel's folder about the block device that is mounted last at ``/``; ``None`` when there is none.

    Btrfs has device numbers of its own (0:n); there the source tells.
    """
    found = None
    for line in mountinfo.splitlines():
        words, _, rest = line.partition(" - ")
        fields, more = words.split(), rest.split()
        if len(fields) > 4 and fields[4] == "/" and len(more) > 1:
            found = root / "sys/dev/block" / fields[2]
            if fields[2].startswith("0:"):
                source = (root / more[1].lstrip("/")).resolve().name if more[1].startswith("/dev/") else ""
                found = root / "sys/class/block" / source if source else None
    return found


def some(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """The files of these patterns, each pattern's in the order of their names."""
    for pattern in patterns:
        try:
            yield from sorted(root.glob(pattern))[:_MOST]
        except OSError:
            continue


def text(path: Path) -> str:
    """The beginning of a file; empty when it cannot be read."""
    return procfs.read(str(path), _LIMIT).decode("utf-8", "replace")
