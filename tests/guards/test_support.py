"""README's table of support is what hosts and tests say today, and each test that it rests on is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.platforms.base import Capability
from tests import support

SHOWN = [(system, one, test) for system, tests in support.SHOWN.items() for one, test in tests.items()]


def test_the_table_in_readme_is_of_today() -> None:
    text = support.README.read_text(encoding="utf-8")
    assert text == support.put(text), "run: python -m tests.support --write"


@pytest.mark.parametrize(("system", "capability", "test"), SHOWN, ids=lambda value: str(value).rpartition("::")[2])
def test_what_shows_it_is_there(system: str, capability: Capability, test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^(async )?(def|class) {name}\b", (support.ROOT / file).read_text(encoding="utf-8"), re.M)
    assert file.startswith("tests/windows/") == (system == "windows")
    offered = support.offered(system)
    assert offered is None or capability in offered, "a host that says it never can is not shown to"


def test_nothing_is_said_to_run_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {support.state("macos", one) for one in Capability} == {support.TYPED, support.NOT}
    assert support.state("macos", Capability.EXEC_GATE) == support.NOT
    assert support.state("linux", Capability.EXEC_GATE) == "run here"
    monkeypatch.setattr(support, "ROOT", tmp_path)
    assert {support.state(system, one) for system in support.SYSTEMS for one in Capability} == {support.NOT}
    folder = tmp_path / "agent" / "platforms" / "windows"
    folder.mkdir(parents=True)
    (folder / "host.py").touch()
    with pytest.raises(SystemExit, match="nothing can be said"):
        support.offered("windows")
    (folder / "abilities.py").write_text("Ability(Capability.SCAN, True)")
    with pytest.raises(SystemExit, match="says nothing"):
        support.offered("windows")
