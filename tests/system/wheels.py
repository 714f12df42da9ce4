"""What the agent needs at run time, fetched once on the host, so that the container needs no network."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
TARGET = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "extra": "",
}
"""Debian 12's Python; the host's own may be newer."""
GLIBC = 36


def lock() -> str:
    """The part of ``requirements.lock`` that runs: the closure of the project's own dependencies, without markers."""
    wanted = _closure("fairtime")
    found = []
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8")):
        match = re.match(r"([A-Za-z0-9_.-]+)==([^ ;\\]+)([^\\]*)", block)
        if match and _plain(match[1]) in wanted:
            hashes = " ".join(re.findall(r"--hash=sha256:[0-9a-f]{64}", block))
            found.append(f"{match[1]}=={match[2]} {hashes}\n")
    return "".join(found)


def fetch(folder: Path) -> None:
    """Download the wheels of ``lock`` into ``folder``, with their hashes checked."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "runtime.lock"
    listed.write_text(lock(), encoding="utf-8")
    arch = platform.machine()
    places = [f"manylinux_2_{minor}_{arch}" for minor in range(GLIBC, 4, -1)] + [f"manylinux2014_{arch}"]
    _pip(
        "download", "-qq", "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11",
        "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none",
        *(f"--platform={place}" for place in places), "--requirement", str(listed), "--dest", str(folder),
    )  # fmt: skip


def own(folder: Path) -> Path:
    """Our own wheel of this checkout."""
    _pip("wheel", "-qq", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("fairtime-*.whl")
    return found


def _closure(name: str) -> set[str]:
    environment = default_environment()
    environment.update(TARGET)
    seen: set[str] = set()
    rest = [name]
    while rest:
        for need in map(Requirement, requires(rest.pop()) or []):
            if _plain(need.name) not in seen and (need.marker is None or need.marker.evaluate(environment)):
                seen.add(_plain(need.name))
                rest.append(need.name)
    return seen


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
