"""``make windows``: the tests of the Windows backend, here on Windows, elsewhere in a Windows Python under Wine.

That Python is an optional check of developers, never a part of a required one.  ``WINDOWS_LAB`` names its folder, and
``WINDOWS_PYTHON`` the command that runs it (else ``windows-lab/python`` in a folder beside the checkout).  Arguments are pytest's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/windows", "tests/contract/test_host_fake.py", "tests/contract/test_host_windows.py")
NOT = "The Windows backend was not exercised"


def command() -> list[str]:
    """What runs a Windows Python; empty when there is none."""
    if sys.platform == "win32":
        return [sys.executable]
    named = os.environ.get("WINDOWS_PYTHON")
    found = [named] if named else [str(path) for path in sorted(ROOT.parent.glob("*/windows-lab/python"))]
    return found[:1]


def why_not() -> str:
    """Why nothing runs here; empty when it does."""
    if sys.platform == "win32":
        return ""
    if not os.environ.get("WINDOWS_LAB"):
        return "this is no Windows, and WINDOWS_LAB names no Windows Python under Wine"
    if not command():
        return "WINDOWS_PYTHON does not say how the Windows Python in WINDOWS_LAB is run"
    return ""


def main(words: list[str]) -> int:
    why = why_not()
    if why:
        print(f"{NOT}: {why}.")
        return 0
    tests = words or [name for name in TESTS if (ROOT / name).exists()]
    run = [*command(), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *tests]
    return subprocess.run(run, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
