"""Who a program is when the service has a mount namespace of its own, as systemd's ``ProtectSystem=`` gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from tests.unit.real_processes import NOBODY

LOOK = """
import sys
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.identity import Identifier
found = Identifier().running(int(sys.argv[1]), Person("x", int(sys.argv[2]), frozenset()))
print(found.name, found.protected)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only root may write to, all the way down."""
    made = Path(tempfile.mkdtemp(prefix="fairtime-sandboxed-", dir="/var/lib"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def seen(pid: int) -> str:
    """What a service in a namespace of its own says of a process outside."""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", LOOK, str(pid), str(NOBODY)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace, which needs root")
@pytest.mark.parametrize("relative", [False, True])
def test_a_script_of_the_machine_is_told_from_the_childs_own(folder: Path, relative: bool) -> None:
    script = "print(flush=True); import time; time.sleep(30)"
    (folder / "homework").write_text(script)
    own = Path(tempfile.mkdtemp(prefix="fairtime-own-", dir="/tmp"))
    try:
        (own / "game").write_text(script)
        os.chown(own, NOBODY, NOBODY)
        own.chmod(0o755)
        for place, expected in ((folder / "homework", "homework True"), (own / "game", "game False")):
            word = place.name if relative else str(place)
            with subprocess.Popen(
                ["/usr/bin/python3", word], cwd=place.parent, user=NOBODY, group=NOBODY, stdout=subprocess.PIPE
            ) as process:
                try:
                    assert process.stdout is not None
                    process.stdout.readline()
                    assert seen(process.pid) == expected
                finally:
                    process.kill()
    finally:
        shutil.rmtree(own)
