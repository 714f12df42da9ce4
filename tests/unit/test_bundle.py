"""What the parts of a bundle start is what its one program understands: there is no “python -m” in it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from agent import bundle
from agent.cli import main, trial
from agent.service import command, job, jobs
from agent.tray import dialogs, spawn

KINDS = sorted(dialogs._KINDS)


@pytest.fixture(autouse=True)
def _bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def beside(name: str) -> str:
    """A program of the bundle, with the ending that programs have here."""
    here = Path(sys.executable)
    return str(here.with_name(name + (".exe" if here.suffix == ".exe" else "")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_trays_windows(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[str]] = []
    monkeypatch.setattr(dialogs, "main", lambda argv: opened.append(argv) or 7)
    program, *words = spawn.command(kind)
    assert program == sys.executable
    assert main(words) == 7
    assert opened == [[kind]]


def test_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    async def start(*command: str, **_: object) -> None:
        started.append(command)
        raise OSError(2, "not here")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    with pytest.raises(jobs.JobFailed):
        asyncio.run(jobs.run("verify", b""))
    ((program, *words),) = started
    assert program == beside("fairtime")  # also where the service asks, a program of its own
    served: list[str] = []
    monkeypatch.setattr(job, "serve", lambda name: served.append(name) or 7)
    assert main(words) == 7
    assert served == ["verify"]


def test_the_trials_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(trial.subprocess, "Popen", lambda command, **_: started.append(command))
    trial._spawn(["tray"], {}, tmp_path / "log")
    assert started == [[sys.executable, "tray"]]


def test_the_service_becomes_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "execv", lambda program, words: became.append([program, *words]))
    monkeypatch.setattr(command, "run", lambda options, trial=None: 7)
    monkeypatch.setattr(sys, "argv", ["fairtime", "service", "run", "--gate"])
    assert main() == 7
    program = beside("fairtime-service")
    assert became == [[program, program, "run", "--gate"]]


@pytest.mark.parametrize(("former", "left"), [(None, None), ("/opt/lib", "/opt/lib")])
def test_what_is_started_sees_its_own_libraries(
    monkeypatch: pytest.MonkeyPatch, former: str | None, left: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/fairtime/_internal")
    monkeypatch.setenv("_PYI_ARCHIVE_FILE", sys.executable)
    monkeypatch.setenv("_PYI_PARENT_PROCESS_LEVEL", "-1")
    if former is not None:
        monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", former)
    bundle.give_back_environment()
    assert os.environ.get("LD_LIBRARY_PATH") == left
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
    assert not [name for name in os.environ if name.startswith("_PYI_")], (
        "what is started takes itself for a part of us"
    )


def test_the_services_program_understands_the_units_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.service.__main__ import main as program

    seen: list[tuple[bool, object]] = []
    monkeypatch.setattr(command, "run", lambda options: seen.append((options.gate, options.state)) or 0)
    assert program(["run", "--gate"]) == 0
    assert seen == [(True, None)]
    with pytest.raises(SystemExit) as refused:
        program(["run", "--only", "/tmp"])
    assert refused.value.code == 2
