"""The table of attacks, ``build/bypass/``, and the last line that ``make system`` ends with."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.system.bypass.attack import Attack, Outcome

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / "build" / "bypass"
LIMITS = ROOT / "docs" / "limits.md"


def named() -> set[str]:
    """Ids of the lines in docs/limits.md: "- `id`: what cannot be held"."""
    return set(re.findall(r"^- `([a-z0-9-]+)`:", LIMITS.read_text(encoding="utf-8"), re.MULTILINE))


def forget() -> None:
    """No outcome of a run before."""
    shutil.rmtree(PLACE, ignore_errors=True)


def write(name: str, attacks: Sequence[Attack], found: Mapping[str, Outcome]) -> None:
    """Keep the outcomes of one PC's attacks."""
    rows = [
        {
            "id": attack.id, "attack": attack.title, "rows": list(attack.rows), "held": found[attack.id].held,
            "evidence": found[attack.id].evidence, "limit": attack.limit,
        }
        for attack in attacks
    ]  # fmt: skip
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / f"{name}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def conclude() -> int:
    """Print the table and the last line; 0 when what did not hold is named in docs/limits.md."""
    rows = [row for file in sorted(PLACE.glob("*.json")) for row in json.loads(file.read_text(encoding="utf-8"))]
    known = named()
    unnamed = 0
    print()
    for row in rows:
        mark = "held"
        if not row["held"]:
            mark = f"not held, see {row['limit']}" if row["limit"] in known else "NOT HELD"
            unnamed += mark == "NOT HELD"
        print(f"{row['id']:22} {row['attack'][:78]:78} {mark}\n{'':22} {row['evidence'][:150]}")
    held = sum(row["held"] for row in rows)
    if unnamed:
        print(f"\n{unnamed} not held that docs/limits.md does not name")
    print(f"\n{len(rows)} attacks, {held} held")
    return 1 if unnamed else 0
