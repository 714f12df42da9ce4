"""The exec gate for real: each scenario of ``gate_lab`` in a private mount namespace, on a file system of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the exec gate is for Linux", allow_module_level=True)

from tests.service import gate_lab

ROOT = Path(__file__).resolve().parents[2]


def lacking() -> str:
    if os.geteuid() != 0:
        return "fanotify's permission events need root"
    from agent.gate import fanotify

    try:
        os.close(fanotify.group())
    except OSError as error:
        return f"this kernel or container has no permission events ({error.strerror})"
    return ""


WHY = lacking()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(WHY), reason=WHY)]
SLOW = [one.__name__ for one in gate_lab.SLOW]


def run(scenario: str, seconds: float) -> None:
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.service.gate_lab", scenario],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-6000:]


@pytest.mark.parametrize("scenario", [name for name in gate_lab.SCENARIOS if name not in SLOW])
def test_on_a_file_system_of_its_own(scenario: str) -> None:
    run(scenario, 50)


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("scenario", SLOW)
def test_on_a_file_system_of_its_own_for_long(scenario: str) -> None:
    run(scenario, 660)
