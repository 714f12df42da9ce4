"""The booted container for everything in this folder; ``make test`` names these tests and leaves them to ``make system``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.__main__ import INSIDE
from tests.system.box import Box

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.system)
        item.add_marker(pytest.mark.timeout(600))
        if INSIDE not in os.environ:
            item.add_marker(pytest.mark.skip(reason="runs in a booted container: make system (as root)"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What takes minutes once is made before any test's time runs."""
    if INSIDE in os.environ and any(item.path.name == "test_package.py" for item in session.items):
        from tests.system import cleanpc

        cleanpc.make()


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """The PC of a family: ana (guardian), mia and leo (children), Fairtime installed from this checkout."""
    box = Box.boot()
    try:
        box.set_up()
        yield box
    finally:
        box.close()
