"""The installer for Windows, made with NSIS: on Windows, or as a test build where a Windows Python runs under Wine.

A test build holds that Python's files and Wine's habits.  Its name and its windows say so; it is never a release.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from agent.platforms.windows.descriptors import PROGRAM as RIGHTS
from installer.freeze import PROGRAM, REPORT, ROOT, see_that_the_service_is_lean
from installer.windows.python import command
from installer.windows.python import why_not as no_python

SCRIPT = Path(__file__).with_name("fairtime.nsi")
BUILT = ROOT / "build" / "windows"
"""Of a test build: beside the folder of this system's own program."""
TEST = " (test build)"


def why_not() -> str:
    """Why no installer is made here; empty when one is."""
    if _makensis() is None:
        return "makensis is not here (NSIS; Debian's package nsis)"
    return no_python()


def build(version: str, epoch: int, dist: Path, papers: Path) -> Path:
    """The installer.  ``SystemExit`` where it fails."""
    if sys.platform == "win32":
        program, test = PROGRAM, ""
        if not opens_windows(REPORT):
            raise SystemExit("This Python has no Tk: the PIN, the countdown and requests would have no window")
        shutil.copy(papers / "licences.html", program / "_internal" / "licences.html")
    else:  # what a test build is made of is never handed on, so it has no page of licences
        program, test = _freeze(epoch), TEST
        if not opens_windows(BUILT / "work" / "build" / "contents.json"):
            print("The test build's Python has no Tk: its tray opens no windows.", file=sys.stderr)
    out = dist / f"fairtime-{version}-windows{'-test' if test else ''}.exe"
    dist.mkdir(exist_ok=True)
    wrap(program, out, version, test, epoch)
    return out


def wrap(program: Path, out: Path, version: str, test: str, epoch: int, *, quick: bool = False) -> None:
    """Pack a program's folder.  ``test`` is what its windows say besides the name; ``quick`` compresses nothing."""
    makensis = _makensis()
    if makensis is None:
        raise SystemExit("makensis is not here")
    out.unlink(missing_ok=True)
    words = {
        "OUT": out,
        "FILES": program / "*",
        "VERSION": version,
        "FOUR": four(version),
        "RIGHTS": RIGHTS,
        "TEST": test,
    }
    if quick:
        words["QUICK"] = ""
    made = subprocess.run(
        [makensis, "-V2", "-WX", "-INPUTCHARSET", "UTF8", *(f"-D{name}={word}" for name, word in words.items()), SCRIPT],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, check=False,
    )  # fmt: skip
    if made.returncode:
        raise SystemExit("makensis failed")


def opens_windows(report: Path) -> bool:
    """Whether what PyInstaller tells of (``freeze.REPORT``) has Tk: without, PyInstaller leaves it out and goes on."""
    return "tkinter" in json.loads(report.read_text(encoding="utf-8"))["programs"]["fairtime"]


def _makensis() -> str | None:
    """On Windows NSIS' own installer leaves the Path as it is."""
    found = shutil.which("makensis")
    if found is None and sys.platform == "win32":
        return shutil.which("makensis", path=rf"{os.environ.get('PROGRAMFILES(X86)', '')}\NSIS")
    return found


def four(version: str) -> str:
    """The version as Windows wants it: four numbers."""
    numbers = version.split("+")[0].split(".")
    if not 1 <= len(numbers) <= 4 or not all(one.isdecimal() for one in numbers):
        raise SystemExit(f"Windows takes no version {version}: up to four numbers")
    return ".".join([*numbers, *["0"] * (4 - len(numbers))])


def _freeze(epoch: int) -> Path:
    """The program's folder, frozen by the Windows Python."""
    words = ["--noconfirm", "--clean", "--log-level=WARN", "--distpath", "build/windows/dist"]
    work = ["--workpath", "build/windows/work", "build.spec"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*command(), "-m", "PyInstaller", *words, *work],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise SystemExit("PyInstaller failed under Wine")
    see_that_the_service_is_lean(BUILT / "work" / "build" / "contents.json", "win32")
    return BUILT / "dist" / "fairtime"
