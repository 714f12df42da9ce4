"""Rules of the house that a reader would expect to hold, checked over the tree itself."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from agent.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(p for p in (ROOT / "agent").rglob("*.py") if "__pycache__" not in p.parts)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_is_of_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600
    assert path.stem not in {"utils", "helpers", "common", "manager"}


def test_the_lock_names_exact_versions_with_hashes_and_no_registry() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "index" not in lock.lower()
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lock, re.M)
    assert len(pins) > 40
    assert lock.count("--hash=sha256:") >= len(pins)
    locked = {name.lower().replace("_", "-") for name, _ in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=;\[ ]", text)[0].lower() for text in wanted}
    assert names <= locked, names - locked


def test_what_the_pages_point_to_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_pages_name_commands_that_exist() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = set(re.findall(r"`fairtime ([a-z]+)", text))
    known = {command for theme in COMMANDS.values() for command in theme}
    assert commands <= known, commands - known
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z]+)`", text)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_tree_names_no_machine_and_no_registry() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    words = ["/".join(("", "work", "")), "pypi" + ".org", "files.python" + "hosted"]
    for name in files:
        path = ROOT / name
        if path.suffix in {".png", ".ico"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [word for word in words if word in text], name


def test_what_a_checker_is_told_to_leave_alone_says_why() -> None:
    """``# type: ignore[code]  # because`` and ``# noqa: CODE  # because``, on the same line."""
    found = subprocess.run(
        ["git", "grep", "-nE", "#.*(type: *ignore|noqa)", "--", "*.py", "*.spec"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    assert len(found) > 10
    told = re.compile(r"# (type: ignore\[[a-z, -]+\]|(ruff: )?noqa: [A-Z]+[0-9]+)  # \S+ \S+")
    silent = [line for line in found if not told.search(line) and "test_house.py" not in line]
    assert silent == []
