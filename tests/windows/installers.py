"""Two more installers for ``test_installer``, from the folder that ``make package`` has frozen: an older one, and a broken one.

NSIS runs on this side; the installers run in the Windows under Wine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from installer import freeze
from installer.windows import packages

FOLDER = packages.BUILT / "tests"
OLDER, BROKEN = "0.0.1", "9.9.9"


def path(version: str) -> Path:
    return FOLDER / f"fairtime-{version}-windows-test.exe"


def prepare() -> str:
    """Make them; why not, where it cannot be done."""
    program = packages.BUILT / "dist" / "fairtime"
    why = packages.why_not()
    if why or not program.is_dir():
        return why or "the installer is not built (make package)"
    FOLDER.mkdir(parents=True, exist_ok=True)
    broken = FOLDER / "broken"
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(program, broken, copy_function=os.link)
    service = broken / "fairtime-service.exe"
    service.unlink()
    service.write_bytes(b"no program")
    for version, folder in ((OLDER, program), (BROKEN, broken)):
        packages.wrap(folder, path(version), version, packages.TEST, freeze.epoch(), quick=True)
    return ""
