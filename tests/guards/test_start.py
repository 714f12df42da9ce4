"""How much a command of ``fairtime`` imports: half of what people wait for is Python reading modules."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from agent.cli import COMMANDS, main

SCRIPT = """
import sys
from agent.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("loaded:", *sys.modules)
"""
NEEDLESS = {"asyncio", "ssl", "zoneinfo", "json", "agent.core.rules", "agent.platforms", "agent.service"}
"""What no question to the service takes."""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules in memory at the end of a command that finds no service."""
    env = {"FAIRTIME_SOCKET": str(folder / "none.sock"), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    if sys.platform == "win32":
        env["SYSTEMROOT"] = os.environ["SYSTEMROOT"]  # without it Windows has no random numbers, and no Python starts
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True, env=env, timeout=60
    )
    return set(done.stdout.split("loaded:")[1].split())


@pytest.mark.parametrize(
    ("words", "own"),
    [
        (["--version"], set()),
        (["status", "--json"], {"asking"}),
        (["why", "chess"], {"asking"}),
        (["request", "30m"], {"asking"}),
        (["doctor"], {"asking"}),
        (["grants"], {"guardian"}),
        (["lock", "--child", "mia"], {"guardian"}),
        (["keys", "root"], {"keys"}),
        (["audit", "show"], {"audit"}),
        (["service"], {"service"}),
    ],
    ids=lambda value: "-".join(value),
)
def test_a_command_imports_its_own_theme_alone(words: list[str], own: set[str], tmp_path: Path) -> None:
    found = loaded(tmp_path, *words)
    assert {theme for theme in COMMANDS if f"agent.cli.{theme}" in found} == own
    if own & {"asking", "guardian"}:
        assert "agent.ipc.client" in found
        assert sorted(found & NEEDLESS) == []


@pytest.mark.parametrize("theme", COMMANDS)
def test_a_theme_adds_the_commands_that_the_table_says(theme: str) -> None:
    sub = argparse.ArgumentParser().add_subparsers()
    import_module(f"agent.cli.{theme}").add_parser(sub)
    assert tuple(sub.choices) == COMMANDS[theme]


def test_the_help_names_every_command_that_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in (command for theme in COMMANDS.values() for command in theme):
        assert f"\n    {command}" in shown or command in ("dialog", "resolver", "job"), command


@pytest.mark.parametrize("words", [[], ["stauts"], ["--nothing", "status"]])
def test_what_is_no_command_is_told_which_there_are(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "COMMAND" in told
    assert words != ["stauts"] or "'status'" in told
