"""Fairtime beside the screen-time agents that a Linux family can install today, in one run on one machine.

Each watches the same child with 300 processes, is measured idle, and then meets the same denied program and a renamed copy of
it.  All of that happens in a mount namespace of its own, with a copy of /etc, so that no account, no setting and no service of
this machine is touched (``peers_room``).  Peers are put into ``build/peers`` (``peers_install``); a row whose peer could not run
says why in the peer's place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import peers_install
from tests.bench.rows import Row, row, unmeasured

CROWD = 300
ROOM = "tests.bench.peers_room"
_NO_ROOT = "needs root, for a child's account in a namespace of its own"
_PATIENCE = 900
"""Seconds for the whole room."""


def rows() -> list[Row]:
    """Four rows for each peer."""
    if os.geteuid() != 0:
        return [unmeasured(f"beside {peer}", _NO_ROOT) for peer in ("timekprd", "little-brother")]
    cache = Path("build/peers").absolute()
    cache.mkdir(parents=True, exist_ok=True)
    ready = {"timekprd": peers_install.timekpr(cache), "little-brother": peers_install.little_brother(cache)}
    asked = json.dumps({name: [str(place.path or ""), place.why] for name, place in ready.items()})
    with tempfile.TemporaryDirectory() as place:  # its mounts are the room's own, and end with it
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", sys.executable, "-m", ROOM, asked, place],
            capture_output=True, text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return [unmeasured("beside peers", f"the room did not open: {last[0]}")]
    found = json.loads(done.stdout.splitlines()[-1])
    ours = found.pop("fairtime")
    return [line for peer, theirs in found.items() for line in _beside(ours, peer, theirs)]


def _beside(ours: dict[str, Any], peer: str, theirs: dict[str, Any]) -> list[Row]:
    called = f"{peer} {theirs.get('version', '')}".strip()
    if theirs.get("why"):
        called = f"{peer} did not run: {theirs['why']}"
    kinds = (
        (
            f"{CROWD} child processes, {ours['forks']} forks a second elsewhere: processor",
            "processor",
            "% of a core",
            0.08,
        ),
        (f"{CROWD} child processes: RSS", "memory", "MiB", 36.0),
        ("denied program, alive p50", "life", "ms", 1.0),
        ("renamed copy of it, alive", "renamed", "ms", 5.0),
    )
    lines = []
    for name, key, unit, bar in kinds:
        says = called
        if key == "renamed" and theirs.get("renamed_survived"):
            says = f"{called}, never stopped, ended by itself after"
        ended = not (key == "renamed" and ours["renamed_survived"])
        lines.append(row(name, ours[key], unit, bar, says, theirs.get(key), holds=ended))
    return lines


def main() -> int:
    for found in rows():
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
