"""Four weeks of a family of three children, simulated."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from agent.resources import folder
from tests.bench.rows import Row, row

BAR = 10.0


def rows() -> list[Row]:
    """One row: the command as people type it, from its start to its end."""
    family = folder("policies") / "examples" / "family.toml"
    with tempfile.TemporaryDirectory() as place:
        words = ["simulate", "--policy", str(family), "--days", "28", "--seed", "7", "--out", f"{place}/out", "--json"]
        before = time.perf_counter()
        subprocess.run([sys.executable, "-m", "agent", *words], stdout=subprocess.DEVNULL, check=True)
        value = time.perf_counter() - before
    return [row("four weeks of three children, simulated", value, "s", BAR)]
