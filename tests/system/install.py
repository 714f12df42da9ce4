"""Fairtime of this checkout into the container's disk, before it boots: what a package would do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.system import wheels

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def install(root: Path) -> None:
    """The wheel into /usr/lib/fairtime, the command, units and the rest by the installer."""
    place = root / "root" / "fairtime-wheel"
    place.mkdir()
    wheel = wheels.own(place)
    _inside(
        root,
        "/usr/lib/fairtime/bin/pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        f"/root/{place.name}/{wheel.name}",
    )
    shutil.rmtree(place)
    installer = ROOT / "installer" / "linux" / "install.sh"
    subprocess.run(["sh", str(installer), "--root", str(root)], check=True, env=CLEAN, stdout=subprocess.DEVNULL)


def _inside(root: Path, *words: str) -> None:
    subprocess.run(["chroot", str(root), *words], check=True, env=CLEAN)
