"""Four weeks of a family of three: what is printed is what the ledger holds."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from agent.cli import main
from agent.resources import folder

# Seconds of work on a quiet PC (tests/bench/bench_simulate.py), and more than a minute on one that is busy.
pytestmark = pytest.mark.timeout(300)


def simulate(out: Path, seed: int, capsys: pytest.CaptureFixture[str], days: int = 28) -> dict[str, object]:
    family = folder("policies") / "examples" / "family.toml"
    arguments = [
        "simulate",
        "--policy",
        str(family),
        "--days",
        str(days),
        "--seed",
        str(seed),
        "--out",
        str(out),
        "--json",
    ]
    assert main(arguments) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("seed", [7, 8])
def test_an_independent_sum_over_the_ledger_confirms_it(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = simulate(tmp_path / "s", seed, capsys)
    ledger = sqlite3.connect(str(told["ledger"]))
    for name, totals in told["children"].items():  # type: ignore[attr-defined]  # a JSON object
        for kind in ("total", "extra", "free"):
            (held,) = ledger.execute(
                "SELECT coalesce(sum(millis), 0) FROM charge WHERE child = ? AND kind = ?", (name, kind)
            ).fetchone()
            assert held == totals[kind], (name, kind)
        assert totals["total"] > 3_600_000
        assert totals["notices"] > 0
    days = [row[0] for row in ledger.execute("SELECT DISTINCT day FROM charge ORDER BY day")]
    ledger.close()
    assert days[0] >= "2026-03-02"
    assert days[-1] <= "2026-03-29"
    assert len(days) > 20


def test_no_budget_is_passed_and_the_pages_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = simulate(tmp_path / "s", 7, capsys)
    total = dict.fromkeys(told["children"], 0)  # type: ignore[call-overload]  # a JSON object
    for page in told["summaries"]:  # type: ignore[attr-defined]  # a JSON array
        week = json.loads(Path(page).with_suffix(".json").read_text())
        text = Path(page).read_text(encoding="utf-8")
        for child in week["children"]:
            assert sum(day["seconds"] for day in child["days"]) == child["total"]
            assert child["child"] in text
            total[child["child"]] += child["total_millis"]
            for day in child["days"]:
                if child["child"] == "mia" and day["budget"] is not None:
                    assert day["seconds"] - day["extra"] <= day["budget"] + 61, day  # the grace to save
    assert {name: one["total"] for name, one in told["children"].items()} == total


def test_the_same_seed_tells_the_same_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = simulate(tmp_path / "a", 3, capsys, days=7)
    other = simulate(tmp_path / "b", 3, capsys, days=7)
    assert one["children"] == other["children"]
    assert simulate(tmp_path / "c", 4, capsys, days=7)["children"] != one["children"]
