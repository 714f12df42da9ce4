"""A PC that never had Fairtime, the packages of this checkout in two versions, and what a package manager leaves behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from installer import freeze
from installer.build import SHARE, build
from installer.linux import packages
from tests.system import reach
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

Entry = tuple[str, int, int, int, bytes, str]


@dataclass(frozen=True, slots=True)
class Packages:
    """The package in two versions that differ as versions do: a file more, a file less, another program."""

    old: Path
    new: Path


def make(folder: Path) -> Packages:
    """Build this checkout (once) and its packages into ``folder``."""
    if not freeze.fresh() or not (SHARE / "licences.html").exists():
        build(again=False)
    grown = folder / "grown"
    shutil.copytree(freeze.PROGRAM, grown, symlinks=True)
    inside = grown / "_internal"
    (inside / "version").write_text(NEW, encoding="ascii")
    (inside / "new-in-this-version").write_text("x", encoding="ascii")
    (inside / "policies/examples/class.toml").unlink()
    made = [
        packages.build(version, freeze.epoch(), folder, program=program, kinds=("deb", "rpm"))
        for version, program in ((OLD, freeze.PROGRAM), (NEW, grown))
    ]
    shutil.rmtree(grown)
    return Packages(*(pair[0] for pair in made))


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
        shutil.copy2(
            one.parent / one.name.replace("fairtime_", "fairtime-").replace("_amd64.deb", "-1.x86_64.rpm"), folder
        )


def apt(box: Box, *words: str, timeout: float = 300) -> Done:
    """apt-get without questions."""
    return box.run(["apt-get", "-y", "-q", *words], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=timeout)


def deb(version: str) -> str:
    return f"{PLACE}/fairtime_{version}_{packages._architecture()}.deb"


def snapshot(root: Path) -> dict[str, Entry]:
    """Everything on the disk but ``LEFT``: kind, rights, owners, ACL, content."""
    found: dict[str, Entry] = {}
    for folder, folders, names in os.walk(root):
        at = os.path.relpath(folder, root)
        base = "" if at == "." else f"{at}/"
        folders[:] = [name for name in folders if not _left(f"{base}{name}/")]
        for name in [*folders, *names]:
            if _left(base + name):
                continue
            path = os.path.join(folder, name)
            info = os.lstat(path)
            kind, content, closed = stat.S_IFMT(info.st_mode), "", b""
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                content = _hash(path)
            if not stat.S_ISLNK(info.st_mode) and "system.posix_acl_access" in os.listxattr(path):
                closed = os.getxattr(path, "system.posix_acl_access")
            found[base + name] = (str(kind), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, closed, content)
    return found


def differences(before: dict[str, Entry], after: dict[str, Entry]) -> list[str]:
    """Lines that say what differs."""
    gone = [f"gone: {name}" for name in before.keys() - after.keys()]
    new = [f"new: {name}" for name in after.keys() - before.keys()]
    other = [
        f"other: {name}: {before[name]} {after[name]}"
        for name in before.keys() & after.keys()
        if before[name] != after[name]
    ]
    return sorted([*gone, *new, *other])


def _left(name: str) -> bool:
    return any(name == one or (one.endswith("/") and name.startswith(one)) for one in LEFT)


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
