"""``make package``: the program's folder, its papers and packages, in ``dist/``.  ``--check`` builds twice and compares."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from installer import freeze
from installer.build import build, build_for_windows


def main(words: Sequence[str]) -> int:
    """Build; 1 where two builds differ.  ``SystemExit`` with the reason where one fails."""
    parser = argparse.ArgumentParser(prog="python -m installer", description="Build Fairtime's packages.")
    parser.add_argument("--check", action="store_true", help="build everything twice, and compare")
    options = parser.parse_args(words)
    made = build(again=True) + build_for_windows()
    first = {path.name: _hash(path) for path in made}
    _try_out()
    for path in made:
        print(f"{first[path.name]}  {path.relative_to(freeze.ROOT)}")
    if not options.check:
        return 0
    # A test build for Windows is never handed on, and takes minutes under Wine.
    again = build(again=True) + (build_for_windows() if sys.platform == "win32" else [])
    second = {path.name: _hash(path) for path in again}
    for name, known in second.items():
        print(f"{name}: {'the same bytes again' if first[name] == known else 'OTHER bytes in a second build'}")
    return 0 if second.items() <= first.items() else 1


def _try_out() -> None:
    """What was built runs: a whole trial, and each of the other programs up to the word that it is called wrongly."""
    suffix = ".exe" if sys.platform == "win32" else ""
    log = freeze.ROOT / "build" / "trial.log"
    with log.open("wb") as out:
        ended = subprocess.run(
            [str(freeze.PROGRAM / f"fairtime{suffix}"), "trial"], stdout=out, stderr=out, check=False
        )
    if ended.returncode:
        raise SystemExit(f"The trial of what was built failed:\n{log.read_text(encoding='utf-8', errors='replace')}")
    for program in sorted(freeze.PROGRAM.glob(f"fairtime-*{suffix}")):
        if program.is_file() and subprocess.run([str(program)], capture_output=True, check=False).returncode != 2:
            raise SystemExit(f"{program.name} does not start")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
