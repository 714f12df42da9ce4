"""Peers for the bench, put into a cache folder and never into Fairtime or the machine's services.

timekprd: the Debian package, unpacked, not installed (installing it would start a second agent on this machine); what it
imports is installed from Debian.  little-brother: PyPI's package in an environment of its own, with the two packages that it
imports and does not declare.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TIMEKPR = "timekpr-next"
_IMPORTS = ("dbus-daemon", "python3-dbus", "python3-gi", "python3-psutil", "python3-dbusmock")
LITTLE_BROTHER = ("little-brother==0.5.8", "python-base-app==0.3.6", "some-flask-helpers==0.2.10")
_PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer lies, or why there is none."""

    path: Path | None
    why: str = ""


def timekpr(cache: Path) -> Place:
    """A folder that holds the package's files as below ``/``."""
    folder = cache / "timekpr"
    if not (folder / "usr/bin/timekprd").exists():
        if not shutil.which("apt-get"):
            return Place(None, "it is fetched as a Debian package, and there is no apt-get")
        why = _run(["apt-get", "download", TIMEKPR], cache)
        found = sorted(cache.glob(f"{TIMEKPR}_*.deb"))
        if not found:
            return Place(None, f"apt-get download {TIMEKPR}: {why or 'nothing came'}")
        why = _run(["dpkg-deb", "-x", str(found[-1]), str(folder)], cache)
        if why:
            return Place(None, f"dpkg-deb: {why}")
    missing = [name for name in _IMPORTS if not _installed(name)]
    if missing:
        why = _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], cache)
        if why:
            return Place(None, f"apt-get install {' '.join(missing)}: {why}")
    return Place(folder)


def little_brother(cache: Path) -> Place:
    """The Python of an environment in which it imports."""
    python = cache / "little-brother/bin/python"
    if not python.exists():
        why = _run([sys.executable, "-m", "venv", str(python.parent.parent)], cache)
        if why:
            return Place(None, f"venv: {why}")
    if _run([str(python), "-c", "import little_brother.app"], cache):
        why = _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *LITTLE_BROTHER], cache)
        why = _run([str(python), "-c", "import little_brother.app"], cache) and (why or "it does not import")
        if why:
            return Place(None, f"pip install: {why}")
    return Place(python)


def unpacked(cache: Path, program: str, *packages: str) -> Place:
    """A program out of Debian's packages, with the libraries of those named after it, and nothing installed."""
    folder = cache / program
    found = next(folder.glob(f"usr/*bin/{program}"), None)
    if found is None:
        if not shutil.which("apt-get"):
            return Place(None, f"{program} is fetched as a Debian package, and there is no apt-get")
        fresh = cache / f"{program}.debs"
        fresh.mkdir(exist_ok=True)
        why = _run(["apt-get", "download", *packages], fresh)
        for package in sorted(fresh.glob("*.deb")):
            why = why or _run(["dpkg-deb", "-x", str(package), str(folder)], cache)
        found = next(folder.glob(f"usr/*bin/{program}"), None)
        if found is None:
            return Place(None, f"apt-get download {' '.join(packages)}: {why or 'nothing came'}")
    return Place(found)


def _installed(package: str) -> bool:
    asked = ["dpkg-query", "-W", "-f=${Status}", package]
    return "ok installed" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout


def _run(command: list[str], folder: Path) -> str:
    """What went wrong, in its own last words; empty when nothing did."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=_PATIENCE, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line for line in (done.stderr + done.stdout).strip().splitlines() if not line.startswith("WARNING")]
    return lines[-1] if lines else f"exit code {done.returncode}"
