"""The whole of Fairtime on this Windows for less than a minute: real policy, service, host and pipe, and real programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(240)
def test_a_trial_stops_what_may_not_run_and_leaves_the_rest(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    with said.open("wb") as file:  # no pipe: whoever is left over would hold its end
        run = subprocess.run(
            [sys.executable, "-m", "agent", "trial"],
            cwd=ROOT,
            env=os.environ | {"TEMP": str(tmp_path), "TMP": str(tmp_path), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
            timeout=200,
        )
    told = said.read_text(encoding="utf-8")
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in tmp_path.glob("*/service.log"))
    left = [words for one in psutil.process_iter() if "agent" in (words := _words(one)) and one.pid != os.getpid()]
    assert run.returncode == 0, told + logs
    for line in ("arcade is not allowed: it was stopped.", "puzzle's time was up", "homework goes on.", "Status: "):
        assert line in told, told + logs
    assert Path(told.splitlines()[-1]).is_file()
    assert not left


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []  # gone, or not ours to look at
