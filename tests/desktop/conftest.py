"""A desktop for each test that asks for one; see ``screen``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).resolve().parents[2] / "build" / "pictures" / "tests"


def load_screen() -> Any:
    """``screen.py`` beside this file, by its path: test folders are not packages."""
    if "fairtime_screen" not in sys.modules:
        path = Path(__file__).with_name("screen.py")
        spec = importlib.util.spec_from_file_location("fairtime_screen", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["fairtime_screen"] = module
        spec.loader.exec_module(module)
    return sys.modules["fairtime_screen"]


@pytest.fixture(scope="session")
def kit() -> Any:
    """The module ``screen``; skips with the packages to install where a desktop cannot start."""
    screen = load_screen()
    missing = screen.missing()
    if missing:
        pytest.skip(f"no desktop can start here: {missing}")
    return screen


@pytest.fixture
def desktop(kit: Any) -> Iterator[Callable[..., Any]]:
    """Starts desktops; they end with the test."""
    started: list[Any] = []

    def start(**wanted: Any) -> Any:
        started.append(kit.Screen(**wanted))
        return started[-1]

    yield start
    for one in started:
        print(one.log(Path(sys.executable).name), one.log("fairtime"))  # shown when the test fails
        one.close()


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Any, str], Path]:
    """Keeps a picture of a screen as an artefact of this test."""

    def take(screen: Any, name: str) -> Path:
        path = PICTURES / f"{request.node.name}-{name}.png"
        screen.picture(path)
        return path

    return take
