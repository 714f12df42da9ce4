"""``make bench``: every figure of the design that exists by now, with its bar and whether it holds."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rows import Row, line

MODULES = (
    "bench_core",
    "bench_host",
    "bench_gate",
    "bench_endings",
    "bench_summary",
    "bench_simulate",
    "bench_service",
    "bench_lists",
    "bench_peers",
    "bench_dns",
)
BUILD = Path("build")


def rows() -> Iterator[Row]:
    """The rows of every module, in order."""
    for name in MODULES:
        yield from importlib.import_module(f"tests.bench.{name}").rows()


def main() -> int:
    """Print each row as it comes, and leave them all in ``build/bench.json``."""
    found = []
    for one in rows():
        print(line(one), flush=True)
        found.append(one)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
