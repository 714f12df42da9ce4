"""``make bench``: every figure of the design that exists by now, with its bar and whether it holds."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def rows() -> Iterator[dict[str, Any]]:
    """The rows of every module, in order."""
    for name in MODULES:
        yield from importlib.import_module(f"tests.bench.{name}").rows()


def line(row: dict[str, Any]) -> str:
    """``name  value unit  bar  holds|falls short  peer value  ratio``."""
    state = "no bar" if row["bar"] is None else "holds" if row["holds"] else "falls short"
    peer = f"  {row['peer']} {row['peer_value']}  {row['ratio']}" if row["peer"] else ""
    return f"{row['name']}  {row['value']} {row['unit']}  {row['bar']}  {state}{peer}"


def main() -> int:
    """Print each row as it comes, and leave them all in ``build/bench.json``."""
    found = []
    for row in rows():
        print(line(row), flush=True)
        found.append(row)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
