"""All system tests, in several PCs side by side: a file of tests belongs to one, and most of its time is waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.system import box, image

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "system"
PATIENT = "2.5"
"""Six PCs that share two slow processors take so much longer over one thing at worst: every bar of a PC alone is multiplied."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The files of tests of one PC, and its part of the processors in hundredths of an even one: more for the longest, and
    for attacks whose game must get enough of a processor to be seen as busy."""

    files: tuple[str, ...]
    share: int = 100


LANES = {
    "endings": Lane(("test_endings",), 200),
    "programs": Lane(("test_ask", "test_defend", "test_gate", "test_packages"), 300),
    "sites": Lane(
        ("test_box", "test_sites", "test_bypass_sites", "test_resolved", "test_sites_at_once", "test_learn"), 300
    ),
    "package": Lane(("test_package",), 500),
    "attacks": Lane(("test_bypass",), 400),
    "attacks-apart": Lane(("test_bypass_apart",), 600),
}
REST = "attacks"
"""Where a file runs that no lane names."""


def files() -> dict[str, list[str]]:
    """Every file of tests, by lane."""
    named = {name for lane in LANES.values() for name in lane.files}
    rest = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem not in named)
    return {
        name: [str(HERE / f"{file}.py") for file in (*lane.files, *(rest if name == REST else ()))]
        for name, lane in LANES.items()
    }


def run(command: list[str]) -> int:
    """Run ``command`` with each lane's files; print what each has said as it ends.  0 when all ended with 0."""
    BUILD.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    image.place()  # for all of them, while memory is as free as it will be
    running = {}
    for lane, names in files().items():
        out = (BUILD / f"{lane}.log").open("w+b")
        env = {**os.environ, box.SHARE: str(LANES[lane].share), box.PATIENCE: PATIENT}
        running[lane] = (subprocess.Popen([*command, *names], stdout=out, stderr=subprocess.STDOUT, env=env), out)
    failed = 0
    while running:
        time.sleep(0.2)
        for lane, (process, out) in list(running.items()):
            if process.poll() is None:
                continue
            del running[lane]
            failed += process.returncode != 0
            print(f"\n===== {lane}: {time.monotonic() - begun:.0f} s", flush=True)
            with out:
                out.seek(0)
                sys.stdout.buffer.write(out.read())
            sys.stdout.flush()
    print(f"\n{len(LANES)} PCs side by side on {os.cpu_count()} processors: {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0
