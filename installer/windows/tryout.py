"""``python -m installer.windows.tryout``: what was built is installed on this PC, seen, and taken away again.

For a PC that is thrown away afterwards (.github/workflows/system.yml), as an administrator.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from installer.build import DIST


def main() -> int:
    """``SystemExit`` with what is not as it should be."""
    made = sorted(DIST.glob("fairtime-*-windows.exe"))
    if sys.platform != "win32" or not made:
        raise SystemExit("There is no installer for Windows in dist/, or this is no Windows")
    folder = Path(os.environ["PROGRAMFILES"]) / "Fairtime"
    _run(f'"{made[-1]}" /S')
    _run("sc.exe qc fairtime")
    _run("sc.exe qfailure fairtime")
    _run(f'"{folder}\\fairtime.exe" --version')
    # ``_?=``: the uninstaller does its work itself, so that it can be asked how that ended.
    _run(f'"{folder}\\uninstall.exe" /S _?={folder}')
    _run("sc.exe query fairtime", wanted=1060)  # ERROR_SERVICE_DOES_NOT_EXIST
    left = [path.name for path in folder.iterdir()] if folder.exists() else []
    if left not in ([], ["uninstall.exe"]):
        raise SystemExit(f"What is still there: {left}")
    return 0


def _run(line: str, wanted: int = 0) -> None:
    print(line, flush=True)
    code = subprocess.run(line, check=False).returncode  # as a line: NSIS takes no quotation marks in ``_?=``
    if code != wanted:
        raise SystemExit(f"It ended with {code}")


if __name__ == "__main__":
    sys.exit(main())
