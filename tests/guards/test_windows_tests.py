"""A test of Windows leaves before it imports what only Windows has: else nothing at all can be collected elsewhere."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

WINDOWS = Path(__file__).parents[1] / "windows"


@pytest.mark.parametrize("path", sorted(WINDOWS.glob("test_*.py")), ids=lambda path: path.stem)
def test_it_leaves_before_it_imports(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    leaves = next((at for at, one in enumerate(body) if isinstance(one, ast.If) and "skip" in ast.unparse(one)), None)
    assert leaves is not None, "it leaves nowhere"
    for one in body[:leaves]:
        names = [alias.name for alias in one.names] if isinstance(one, ast.Import) else []
        names += [one.module or ""] if isinstance(one, ast.ImportFrom) else []
        for name in names:
            assert importlib.util.find_spec(name.partition(".")[0]) is not None, name
            assert not name.startswith("agent.platforms."), name
