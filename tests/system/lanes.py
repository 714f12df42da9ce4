"""All system tests, in several PCs side by side: a file of tests belongs to one, and most of its time is waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "system"
LANES = {
    "sessions": ("test_endings", "test_box", "test_learn"),
    "programs": ("test_ask", "test_defend", "test_gate", "test_packages"),
    "sites": ("test_sites", "test_bypass_sites"),
    "attacks": ("test_bypass",),
    "attacks-apart": ("test_bypass_apart",),
}
"""Files by PC, about equally long.  A file that none names runs with the first."""


def files() -> dict[str, list[str]]:
    """Every file of tests, by lane."""
    named = {name for names in LANES.values() for name in names}
    rest = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem not in named)
    first = next(iter(LANES))
    return {
        lane: [str(HERE / f"{name}.py") for name in (*names, *(rest if lane == first else ()))]
        for lane, names in LANES.items()
    }


def run(command: list[str]) -> int:
    """Run ``command`` with each lane's files; print what each has said as it ends.  0 when all ended with 0."""
    BUILD.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    running = {}
    for lane, names in files().items():
        out = (BUILD / f"{lane}.log").open("w+b")
        running[lane] = (subprocess.Popen([*command, *names], stdout=out, stderr=subprocess.STDOUT), out)
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
