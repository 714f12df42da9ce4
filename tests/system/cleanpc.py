"""A PC that never had Fairtime, the packages of this checkout in two versions, and what a package manager leaves behind."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from installer import freeze
from installer.build import SHARE, build
from installer.linux import packages
from installer.linux.table import rows
from tests.system import image, reach
from tests.system.box import Box, Done

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "0.1.0", "0.2.0"
PLACE = "/var/tmp/packages"
_CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
SCRIPT = ROOT / "installer/linux/install.sh"

LEFT = (
    "var/lib/dpkg/", "var/lib/apt/", "var/lib/pam/", "var/log/", "var/cache/", "var/tmp/", "tmp/", "run/", "root/", "home/",
    "var/lib/systemd/", "dev/", "proc/", "sys/", "etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-",
    "etc/subuid-", "etc/subgid-", "etc/.pwd.lock", "etc/ld.so.cache", "etc/machine-id", "etc/resolv.conf", "var/lib/ucf/",
    "usr/share/mime/", "usr/share/icons/hicolor/icon-theme.cache", "usr/share/applications/mimeinfo.cache",
    "var/spool/", "var/lib/dbus/", "var/lib/polkit-1/", "var/lib/AccountsService/",
)  # fmt: skip
"""What a package manager, systemd and a day's use write by themselves: its own books, logs, caches, homes, spare copies of the
account files.  docs/guides/guardian.md says so, too."""


@dataclass(frozen=True, slots=True)
class Packages:
    """The package in two versions that differ as versions do: a file more, a file less, another program."""

    old: Path
    new: Path


def make() -> Packages:
    """Build this checkout and its packages, each once: what was made of the very same is taken again."""
    if not freeze.fresh() or not (SHARE / "licences.html").exists():
        build(again=False)
    folder = image.BUILD / "packages" / _made_of()
    found = Packages(*(folder / Path(deb(version)).name for version in (OLD, NEW)))
    if not folder.exists():
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.parent.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            grown, made = Path(place, "grown"), Path(place, "made")
            shutil.copytree(freeze.PROGRAM, grown, symlinks=True)
            made.mkdir()
            inside = grown / "_internal"
            (inside / "version").write_text(NEW, encoding="ascii")
            (inside / "new-in-this-version").write_text("x", encoding="ascii")
            (inside / "policies/examples/class.toml").unlink()
            for version, program in ((OLD, freeze.PROGRAM), (NEW, grown)):
                packages.build(version, freeze.epoch(), made, program=program, kinds=("deb",))
            made.rename(folder)
    return found


def _made_of() -> str:
    """What the packages are made of, in short."""
    digest = hashlib.sha256(f"{freeze.KEY.read_text(encoding='ascii')} {freeze.epoch()}".encode())
    for row in rows(SHARE):
        digest.update(f"\0{row.place} {row.mode}\0".encode() + row.content())
    for path in sorted([*(ROOT / "installer").rglob("*"), Path(__file__)]):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cleaned(box: Box, made: Packages) -> None:
    """Take away what the lab's PC came with, and hand it the packages."""
    subprocess.run(
        ["sh", str(SCRIPT), "--root", str(box.root), "--uninstall"], check=True, env=_CLEAN, capture_output=True
    )
    box.run(
        f"systemctl daemon-reload; rm -rf /usr/lib/fairtime /var/lib/fairtime /etc/fairtime /{reach.PLACE}/bin"
    ).check()
    box.run("command -v fairtime && exit 1; getent group fairtime-children && exit 1; exit 0").check()
    folder = box.root / PLACE.lstrip("/")
    folder.mkdir(parents=True)
    for one in (made.old, made.new):
        shutil.copy2(one, folder)


def apt(box: Box, *words: str, timeout: float = 300) -> Done:
    """apt-get without questions."""
    return box.run(["apt-get", "-y", "-q", *words], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=timeout)


def deb(version: str) -> str:
    return f"{PLACE}/fairtime_{version}_{packages._architecture()}.deb"
