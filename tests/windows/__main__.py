"""``make windows``: the tests of the Windows backend, here on Windows, elsewhere in a Windows Python under Wine.

That Python (installer/windows/python.py) is an optional check of developers, never a part of a required one.  Arguments are
pytest's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from installer.windows.python import command, why_not
from tests.windows import installers

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/windows",
    "tests/contract/test_host_fake.py",
    "tests/contract/test_host_windows.py",
    "tests/service/test_lists.py",
)
NOT = "The Windows backend was not exercised"


def main(words: list[str]) -> int:
    why = why_not()
    if why:
        print(f"{NOT}: {why}.")
        return 0
    why = installers.prepare()
    if why:
        print(f"The installer is not exercised: {why}.")
    tests = words or [name for name in TESTS if (ROOT / name).exists()]
    run = [*command(), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *tests]
    return subprocess.run(run, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
