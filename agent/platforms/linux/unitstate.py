"""Whether what was installed is also in force: the unit starts by itself and as it was written, and polkit reads our rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Finding

UNIT = "fairtime.service"
RULES = "00-fairtime.rules"
_ABOVE = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "etc/systemd/system",
    "run/systemd/system",
)
"""Where a unit of the same name comes before the installed one (systemd.unit(5))."""
_LIST = "var/lib/fairtime/own/manifest"
_AGAIN = "Install Fairtime again (installer/linux/install.sh), then: sudo systemctl enable --now fairtime"


def of_installation(root: Path) -> Iterator[Finding]:
    """Nothing where Fairtime was not installed by its script: then the ability of self-defence says so."""
    if not (root / _LIST).exists():
        return
    yield from _of_unit(root)
    yield from _of_polkit(root)


def _of_unit(root: Path) -> Iterator[Finding]:
    for folder in _ABOVE:
        other = root / folder / UNIT
        if other.is_symlink() or other.exists():
            masked = other.is_symlink() and str(other.readlink()) == "/dev/null"
            what = "is masked, so that it does not start again" if masked else "is overridden by another of its name"
            yield Finding(
                "unit-overridden", "open", f"The service {what}: /{folder}/{UNIT}",
                f"Remove that file (sudo systemctl unmask fairtime; sudo rm -f /{folder}/{UNIT}), then: "
                "sudo systemctl daemon-reload; sudo systemctl enable --now fairtime",
            )  # fmt: skip
        for more in sorted(root.glob(f"{folder}/{UNIT}.d/*.conf"))[:10]:
            yield Finding(
                "unit-changed", "weak", f"The service is changed by /{more.relative_to(root)}",
                "If you did not write it, remove it: sudo systemctl revert fairtime",
            )  # fmt: skip
    if not any(_exists(folder / UNIT) for folder in root.glob("etc/systemd/system/*.wants")):
        yield Finding(
            "unit-disabled", "weak", "The service does not start with this PC",
            "Switch it on: sudo systemctl enable fairtime. To remove Fairtime, use its installation script with --uninstall.",
        )  # fmt: skip


def _of_polkit(root: Path) -> Iterator[Finding]:
    if not (root / "usr/share/polkit-1/actions").is_dir():
        return  # no polkit: nobody can ask it for anything
    # Debian's package was called policykit-1 until 0.105, which reads .pkla files and no rules.
    if not (root / "var/lib/dpkg/info/polkitd.list").exists() and _version(root) < (0, 106):
        yield Finding(
            "polkit-too-old", "weak", "This PC's polkit is too old to read rules, so children may change the clock and more",
            "Upgrade to a system with polkit 0.106 or newer (Debian 12, Ubuntu 24.04).",
        )  # fmt: skip
        return
    names: list[Path] = []
    for folder in ("etc/polkit-1/rules.d", "usr/share/polkit-1/rules.d", "usr/local/share/polkit-1/rules.d"):
        names += root.glob(f"{folder}/*.rules")
    for path in sorted(names, key=lambda one: one.name):
        if path.name < RULES:
            yield Finding(
                "polkit-before-ours", "weak", f"/{path.relative_to(root)} is read before Fairtime's rules",
                "It may permit children what Fairtime refuses. Give it a name that comes later, such as 10-name.rules.",
            )  # fmt: skip


def _version(root: Path) -> tuple[int, ...]:
    try:
        status = (root / "var/lib/dpkg/status").read_bytes()
    except OSError:
        return (999,)
    match = re.search(rb"\nPackage: policykit-1\n(?:.+\n)*?Version: (?:\d+:)?(\d+)\.?(\d*)", b"\n" + status)
    return (int(match[1]), int(match[2] or 0)) if match else (999,)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()
