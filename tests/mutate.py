"""``make mutate``: break the core in every way mutmut knows, and count what its own tests notice.

``make mutate MODULE=usage`` does one module, in a minute or less.  Ends with a line a module and the sum; exit code 1 below the
bar.  A mutant that runs into its time limit is noticed.  ``.venv/bin/mutmut show NAME`` shows one that survived.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

BAR = 90
"""Per cent of mutants that the tests must notice."""
NOTICED = frozenset({"killed", "timeout", "segfault", "caught by type check"})
_LINE = re.compile(r"^\s*(agent\.core\.(\w+)\.\S+): (.+)$")


def score(lines: Iterable[str]) -> tuple[dict[str, Counter[str]], list[str]]:
    """What became of the mutants, by module, and which were not noticed; ``lines`` are those of ``mutmut results``."""
    found: dict[str, Counter[str]] = {}
    missed = []
    for line in lines:
        match = _LINE.match(line)
        if match is None or match[3] == "not checked":
            continue
        noticed = match[3] in NOTICED
        found.setdefault(match[2], Counter())["noticed" if noticed else "missed"] += 1
        if not noticed:
            missed.append(match[1])
    return found, missed


def main(modules: list[str]) -> int:
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    names = [f"agent.core.{module}.*" for module in modules]
    done = subprocess.run([mutmut, "run", "--max-children", "2", *names], check=False)
    if done.returncode:
        print("mutmut could not run: the tests must pass before anything is broken.", file=sys.stderr)
        return done.returncode
    lines = subprocess.run([mutmut, "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    found, missed = score(lines.splitlines())
    wanted = {name: counts for name, counts in sorted(found.items()) if not modules or name in modules}
    for name in missed:
        if name.split(".")[2] in wanted:
            print(f"not noticed: {name}")
    total = Counter[str]()
    for name, counts in wanted.items():
        total += counts
        print(f"{name:<12} {_words(counts)}")
    print(f"{'all':<12} {_words(total)}; the bar is {BAR} %")
    return 0 if total and 100 * total["noticed"] >= BAR * total.total() else 1


def _words(counts: Counter[str]) -> str:
    return f"{counts['noticed']} of {counts.total()} noticed, {100 * counts['noticed'] / counts.total():.1f} %"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
