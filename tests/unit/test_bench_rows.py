"""Rows of ``make bench``: what holds, what falls short, and what could not be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import rows
from tests.bench.rows import line, row, unmeasured

FIELDS = ["name", "value", "unit", "bar", "holds", "peer", "peer_value", "ratio"]


@pytest.mark.parametrize(
    ("value", "bar", "holds"),
    [(0.1, 0.2, True), (0.2, 0.2, True), (0.2001, 0.2, False), (9, None, True), (1, 0, False)],
)
def test_a_bar_is_the_most_that_a_value_may_be(value: float, bar: float | None, holds: bool) -> None:
    made = row("added", value, "ms", bar)
    assert list(made) == FIELDS
    assert made["holds"] is holds
    assert row("added", value, "ms", bar, holds=False)["holds"] is False
    assert line(made).split("  ")[3] == ("no bar" if bar is None else "holds" if holds else "falls short")


def test_a_rounded_value_never_makes_a_row_hold() -> None:
    made = row("added", 0.200004, "ms", 0.2)
    assert made["value"] == 0.2
    assert made["holds"] is False


def test_a_peer_and_the_ratio_to_it() -> None:
    made = row("memory", 30.0, "MiB", 36, "timekprd", 40.0)
    assert line(made) == "memory  30.0 MiB  36  holds  timekprd 40.0  0.75"
    assert row("memory", 30.0, "MiB", 36, "timekprd did not run")["ratio"] is None


def test_what_was_not_measured_says_why() -> None:
    made = unmeasured("beside timekprd", "it needs root")
    assert sorted(made) == sorted(FIELDS)
    assert made["holds"] is made["value"] is None
    assert line(made).endswith("not measured: it needs root None  None")
    assert json.loads(json.dumps(made)) == made


def test_no_module_writes_a_row_by_hand() -> None:
    folder = Path(rows.__file__).parent
    by_hand = [path.name for path in folder.glob("bench_*.py") if '"peer_value":' in path.read_text(encoding="utf-8")]
    assert by_hand == []
