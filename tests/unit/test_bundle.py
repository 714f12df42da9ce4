"""What the parts of a bundle start is what its one program understands: there is no “python -m” in it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from agent.cli import main, trial
from agent.service import jobs
from agent.tray import dialogs, spawn

KINDS = sorted(dialogs._KINDS)


@pytest.fixture(autouse=True)
def _bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)


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
    assert program == sys.executable
    served: list[str] = []
    monkeypatch.setattr(jobs, "serve", lambda name: served.append(name) or 7)
    assert main(words) == 7
    assert served == ["verify"]


def test_the_trials_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(trial.subprocess, "Popen", lambda command, **_: started.append(command))
    trial._spawn(["tray"], {}, tmp_path / "log")
    assert started == [[sys.executable, "tray"]]
