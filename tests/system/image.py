"""A Debian 12 PC as an ext4 image: made once, cached, copied for each run.

An image of its own, and never a folder of the host: the exec gate marks whole file systems (fanotify(7),
FAN_MARK_FILESYSTEM), and a folder or bind mount shares its superblock with the host, so that a gate under test would hold
up every program of the machine.  ext4 because that is what a family PC has: hard links, ACLs, lasting inode numbers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system import wheels

HERE = Path(__file__).parent
SIZE = "4G"
SUITE = "bookworm"
PASSWORDS = {"ana": "ana-lab", "mia": "mia-lab", "leo": "leo-lab", "noa": "noa-lab"}
"""Accounts of the lab: ana is the guardian and may use sudo, the others are standard accounts; noa is in no policy."""
FIRST_UID = 31001
"""Far from the host's accounts: the host's kernel knows uids only, and a Fairtime that runs there sees these processes."""

_QUIET = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "dpkg-db-backup.timer", "systemd-resolved.service", "systemd-timesyncd.service", "systemd-udevd.service",
    "systemd-udev-trigger.service", "getty-static.service", "console-getty.service", "systemd-networkd-wait-online.service",
    "systemd-firstboot.service", "systemd-pcrphase.service",
)  # fmt: skip
"""Units that only cost time at boot, or look for devices that a container has not."""

_RECIPE = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
echo familypc > /etc/hostname
echo '127.0.0.1 localhost familypc' > /etc/hosts
ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime
systemctl mask --quiet {quiet}
systemctl set-default --quiet multi-user.target
systemctl disable --quiet ssh.service
rm -f /etc/resolv.conf; : > /etc/resolv.conf
python3 -m venv /usr/lib/fairtime
/usr/lib/fairtime/bin/pip install --quiet --no-index --find-links /root/wheels --require-hashes --requirement /root/wheels/runtime.lock
{accounts}
apt-get clean
rm -rf /root/wheels /var/lib/apt/lists/*
# polkit's daemon and the like must not be asked for a password agent that no container has.
systemd-machine-id-setup >/dev/null 2>&1 || true
"""


def cached() -> Path:
    """The image; made when there is none for this list of packages, which takes about two minutes and the network."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "fairtime"
    folder.mkdir(parents=True, exist_ok=True)
    packages = (HERE / "packages.txt").read_text(encoding="utf-8").split()
    parts = [SUITE, SIZE, *packages, wheels.lock(), _RECIPE, *_QUIET, *PASSWORDS, str(FIRST_UID)]
    path = folder / f"debian-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}.ext4"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            print(f"making a Debian 12 image in {folder} (once)", flush=True)
            made = path.with_suffix(".new")
            _make(made, packages)
            made.rename(path)
            for old in folder.glob("debian-*.ext4"):
                if old != path:
                    old.unlink()  # whoever runs on a copy keeps it
    return path


def copy(to: Path) -> Path:
    """A fresh copy, a hole for each hole."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(cached()), str(to)], check=True)
    return to


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The image, loop-mounted; in the private mount namespace of ``python -m tests.system`` nobody else sees it."""
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--recursive", str(at)], check=True)


def _make(image: Path, packages: list[str]) -> None:
    image.unlink(missing_ok=True)
    subprocess.run(["truncate", "--size", SIZE, str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
    with mounted(image, image.with_suffix(".mnt")) as root:
        log = image.with_suffix(".log")
        with log.open("w") as out:
            done = subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(root)],
                stdout=out, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"debootstrap failed; the end of {log}:\n" + log.read_text()[-2000:])
        wheels.fetch(root / "root" / "wheels")
        accounts = "\n".join(
            f"useradd --uid {uid} --create-home --shell /bin/bash {name} && echo '{name}:{word}' | chpasswd"
            for uid, (name, word) in enumerate(PASSWORDS.items(), FIRST_UID)
        )
        recipe = _RECIPE.format(quiet=" ".join(_QUIET), accounts=f"{accounts}\nadduser --quiet ana sudo")
        subprocess.run(["chroot", str(root), "sh", "-c", recipe], check=True, env=_clean())
        log.unlink()
    shutil.rmtree(image.with_suffix(".mnt"))


def _clean() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
