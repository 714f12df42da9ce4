"""The desktop as the tray sees it: one tray a session, and a folder of the person's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.platforms import desk

ROOT = Path(__file__).resolve().parents[2]
CLAIM = "from agent.platforms import desk; print(desk().claim())"


def claimed_by_another() -> str:
    return subprocess.run([sys.executable, "-c", CLAIM], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_one_tray_a_session_until_its_process_ends() -> None:
    assert claimed_by_another().strip() == "True"
    mine = desk()
    assert mine.claim()
    assert claimed_by_another().strip() == "False"
    assert not desk().claim()


def test_the_folder_is_the_persons_and_a_page_that_is_not_there_is_told() -> None:
    mine = desk()
    assert mine.folder().is_dir()
    assert mine.folder().is_relative_to(Path.home())
    assert mine.scale() > 0
    assert mine.prepare() == ""
    assert all(name.partition("_")[0].isalpha() for name in mine.languages())
    assert mine.tray_available() is (mine.why_no_tray() == "")
    assert not mine.open_page(mine.folder() / "nothing there")
