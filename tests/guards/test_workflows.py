"""What runs on the machines of a fork names what is there: an answer that was never asked for would be no answer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FOLDERS = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}


def jobs(flow: Path) -> dict[str, dict]:
    return yaml.safe_load(flow.read_text(encoding="utf-8"))["jobs"]


def commands(flow: Path) -> Iterator[list[str]]:
    """Every command of a workflow in words, without what it is run as."""
    for job in jobs(flow).values():
        for step in job["steps"]:
            if "run" in step:
                yield shlex.split(re.sub(r"^(\$\{\{.*?\}\}|sudo) ", "", step["run"]))


@pytest.mark.parametrize("flow", FLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_what_is_there(flow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for words in commands(flow):
        if words[0] == "make":
            assert words[1] in targets, words
        else:
            assert words[0] in {"sh", "python"}, words
        for word in words:
            if word.startswith(("tests/", ".ci/", "requirements")):
                assert (ROOT / word).exists(), words


@pytest.mark.parametrize("flow", FLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_others_parts_are_pinned(flow: Path) -> None:
    told = yaml.safe_load(flow.read_text(encoding="utf-8"))
    assert told["permissions"] == {"contents": "read"}
    for job in told["jobs"].values():
        assert job["timeout-minutes"] > 0
        for step in job["steps"]:
            assert "continue-on-error" not in step, "what fails is told"
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step.get("uses", f"actions/x@{'0' * 40}")), step


def test_every_system_is_asked() -> None:
    asked = jobs(ROOT / ".github" / "workflows" / "tests.yml")
    assert {job["runs-on"].split("-")[0] for job in asked.values()} == {"ubuntu", "windows", "macos"}
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    for folder in ("core", "property", "unit", "guards", "contract"):
        assert folder in FOLDERS
        assert text.count(f"tests/{folder}") >= 2, f"{folder} is asked on Windows and macOS"
    assert "tests/windows" in text
