"""The program in one folder (build.spec), the same bytes from the same commit each time."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from installer import searchpaths

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "dist" / "fairtime"
REPORT = ROOT / "build" / "build" / "contents.json"
"""What build.spec tells of the folder: PyInstaller's work folder is ``build/`` and the spec's name."""

KEY = ROOT / "build" / "fairtime.key"
HEAVY = (
    "ssl", "cryptography", "securesystemslib", "tuf", "keyring", "PIL", "pystray", "tkinter", "jinja2", "apscheduler",
    "desktop_notifier", "marisa_trie", "agent.cli", "agent.tray", "psutil",
)  # fmt: skip
"""What costs the resident service memory that it has no use for (tests/guards/test_lean.py)."""


def epoch() -> int:
    """Seconds since 1970 that stand for the build: ``SOURCE_DATE_EPOCH``, else the last commit's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    asked = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # an archive of the source
        return int((ROOT / "pyproject.toml").stat().st_mtime)
    return int(done.stdout)


def fresh() -> bool:
    """Whether what lies there was built from this very source."""
    return PROGRAM.is_dir() and KEY.is_file() and KEY.read_text(encoding="ascii") == _key()


def freeze() -> None:
    """Build the folder anew.  ``SystemExit`` with what is missing, or where it failed."""
    KEY.unlink(missing_ok=True)
    if importlib.util.find_spec("_tkinter") is None:
        # PyInstaller would say nothing, and the tray's windows (PIN, more time) would not open.
        raise SystemExit(
            "This Python has no Tk, which the tray's windows need (on Debian and Ubuntu: apt install python3-tk)"
        )
    key = _key()
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level=WARN", "build.spec"]
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(epoch()),
        # The order of a set is in what Python writes of compiled modules.
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    # pystray's hook imports it, which connects to a desktop where there is one.
    environment.pop("DISPLAY", None)
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SystemExit("PyInstaller failed")
    for path in _with_symbols():
        # A Python built by hand brings its debugging symbols, which are half of the folder.
        subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
    if sys.platform == "linux":
        for path in sorted(PROGRAM.rglob("*")):
            if path.is_file() and not path.is_symlink():
                searchpaths.forget_foreign(path)
    for path in sorted(PROGRAM.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent == PROGRAM else 0o644)
            os.utime(path, (epoch(), epoch()))
    PROGRAM.chmod(0o755)
    see_that_the_service_is_lean(REPORT, sys.platform)
    KEY.write_text(key, encoding="ascii")


def _key() -> str:
    """Of everything that the folder is made of."""
    made_of = [
        ROOT / name
        for name in (
            "build.spec",
            "pyproject.toml",
            "requirements.lock",
            "installer/freeze.py",
            "installer/searchpaths.py",
        )
    ]
    for folder in ("agent", "policies", "assets"):
        made_of += (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(made_of):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def see_that_the_service_is_lean(report: Path, platform: str) -> None:
    """What the service may not load is not even there for it, whatever a library may come to import.

    ``platform``: the system that it was made for.  On Linux the scan reads /proc itself.
    """
    told = json.loads(report.read_text(encoding="utf-8"))["programs"]["fairtime-service"]
    barred = [name for name in HEAVY if name != "psutil" or platform == "linux"]
    found = sorted({name for name in told for heavy in barred if name == heavy or name.startswith(f"{heavy}.")})
    if found:
        raise SystemExit(f"The service's program would hold what it must not: {', '.join(found[:10])}")


def _with_symbols() -> Iterator[Path]:
    """Python's own libraries; those from wheels were patched by their makers and stay as they are."""
    if sys.platform != "linux" or shutil.which("strip") is None:
        return
    version = sysconfig.get_python_version()
    inside = PROGRAM / "_internal"
    yield from sorted(inside.glob(f"libpython{version}*.so*"))
    yield from sorted((inside / f"python{version}" / "lib-dynload").glob("*.so"))
