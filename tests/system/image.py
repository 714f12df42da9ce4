"""A Debian 12 PC as an ext4 image: made once, cached, with this checkout installed in it once more, copied for each PC.

An image of its own, and never a folder of the host: the exec gate marks whole file systems (fanotify(7),
FAN_MARK_FILESYSTEM), and a folder or bind mount shares its superblock with the host, so that a gate under test would hold
up every program of the machine.  ext4 because that is what a family PC has: hard links, ACLs, lasting inode numbers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system import install, wheels

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "system"
SHM = Path("/dev/shm")
PLACE = "FAIRTIME_SYSTEM_PLACE"
PLENTY = 16 << 30
"""Bytes of memory in which six PCs have room, disks and all."""
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
sed -i "s/^hosts:.*/hosts: files dns/" /etc/nsswitch.conf
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
    packages = (HERE / "packages.txt").read_text(encoding="utf-8").split()
    parts = [SUITE, SIZE, *packages, wheels.lock(), _RECIPE, *_QUIET, *PASSWORDS, str(FIRST_UID)]
    path = _folder() / f"debian-{_digest(chr(10).join(parts).encode())}.ext4"
    with _locked():
        if not path.exists():
            print(f"making a Debian 12 image in {path.parent} (once)", flush=True)
            made = path.with_suffix(".new")
            _make(made, packages)
            _keep(made, path)
    return path


def ready() -> Path:
    """The image with Fairtime of this checkout in it; made when the checkout is another than at the last run."""
    base = cached()
    path = _folder() / f"ready-{_digest(base.name.encode(), *map(Path.read_bytes, _sources()))}.ext4"
    with _locked():
        if not path.exists():
            made = path.with_suffix(".new")
            _copy(base, made)
            at = made.with_suffix(".mnt")
            with mounted(made, at) as root:
                install.install(root)
                _trim(root)
            at.rmdir()
            _keep(made, path)
    return path


def copy(to: Path, image: Callable[[], Path] = cached) -> Path:
    """A fresh copy of ``cached`` or ``ready``, a hole for each hole."""
    while True:
        path = image()
        with _locked(fcntl.LOCK_SH):
            if path.exists():  # else another run has put another one there
                return _copy(path, to)


def place() -> Path:
    """Where the disks of running PCs lie: in memory where there is plenty, else in the checkout's ``build``."""
    said = os.environ.get(PLACE)
    if said is None:
        BUILD.mkdir(parents=True, exist_ok=True)
        memory = re.search(
            r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE
        )
        plenty = memory is not None and int(memory[1]) << 10 >= PLENTY and os.path.ismount(SHM)
        said = os.environ[PLACE] = str(SHM if plenty and shutil.disk_usage(SHM).free >= PLENTY // 2 else BUILD)
    return Path(said)


def _sources() -> list[Path]:
    """What ``install`` reads."""
    found = [
        ROOT / "pyproject.toml",
        *(ROOT / "agent").rglob("*"),
        *(ROOT / "assets").rglob("*"),
        *(ROOT / "installer").rglob("*"),
    ]
    found += [HERE / "install.py", HERE / "wheels.py"]
    return sorted(one for one in found if one.is_file() and "__pycache__" not in one.parts)


def _folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "fairtime"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked(how: int = fcntl.LOCK_EX) -> Iterator[None]:
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _copy(image: Path, to: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(to)], check=True)
    return to


def _keep(made: Path, path: Path) -> None:
    made.rename(path)
    for old in path.parent.glob(f"{path.name.partition('-')[0]}-*.ext4"):
        if old != path:
            old.unlink()  # whoever runs on a copy keeps it


def _trim(root: Path) -> None:
    """What was deleted becomes holes, which no copy has to read (a minimal Debian may lack fstrim: then it stays)."""
    subprocess.run(["fstrim", str(root)], check=False)


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
        subprocess.run(["chroot", str(root), "sh", "-c", recipe], check=True, env=install.CLEAN)
        log.unlink()
        _trim(root)
    shutil.rmtree(image.with_suffix(".mnt"))
