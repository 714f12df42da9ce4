"""The resident service in steady state: processor, memory, disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from agent import platforms
from agent.cli import trial
from agent.cli.policy import build
from agent.ipc.client import Client
from agent.ipc.protocol import GetWhy, Text
from agent.model.policy import Child, Family, Guardian, Limits, ProgramRule
from agent.service.founding import found
from agent.trust import root, signing
from tests.bench.bench_host import LAUNCHER, UID, crowd, game_folder, launch

SECONDS = 30


def rows() -> list[dict[str, Any]]:
    """A service that watches one child among four hundred processes, after it has settled."""
    with tempfile.TemporaryDirectory() as place, crowd(400) as present:
        folder = Path(place)
        programs = trial._sample_programs(folder / "programs")
        trial._found(folder, programs)
        socket = str(folder / "s.sock")
        service = trial._service(folder, {**os.environ, "FAIRTIME_SOCKET": socket})
        client = Client(socket)
        game = subprocess.Popen([programs["homework"], "300"])
        try:
            trial._until("it answers", lambda: trial._answers(client), service)
            time.sleep(8)
            process = psutil.Process(service.pid)
            before, written = process.cpu_times(), process.io_counters().write_bytes
            time.sleep(SECONDS)
            after, memory = process.cpu_times(), process.memory_full_info()
            written = process.io_counters().write_bytes - written
        finally:
            client.close()
            game.kill()
            game.wait()
            service.terminate()
            service.wait(20)
    spent = after.user + after.system - before.user - before.system
    share = round(100 * spent / SECONDS, 3)
    resident, proportional = round(memory.rss / 2**20, 1), round(memory.pss / 2**20, 1)
    return [
        _row(f"service at 1 Hz, {present} processes, 1 child: processor", share, "% of a core", 0.08),
        _row("service: RSS", resident, "MiB", 36.0),
        _row("service: PSS (timekprd cannot run here)", proportional, "MiB", None),
        _row(f"service: written to disk in {SECONDS} s of use", round(written / 1024), "KiB", None),
        *(refused_rows() if os.geteuid() == 0 else ()),
    ]


def _row(name: str, value: float, unit: str, bar: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "bar": bar,
        "holds": bar is None or value <= bar,
        "peer": "",
        "peer_value": None,
        "ratio": None,
    }


def refused_rows(runs: int = 200) -> list[dict[str, Any]]:
    """The whole way: a real service under a signed policy, a copied and renamed program, run as the child's account.

    Also asks the service why, as a guardian would.  Needs root.
    """
    with tempfile.TemporaryDirectory() as place, game_folder() as game:
        folder = Path(place)
        _household(folder, f"#{UID}")
        socket = str(folder / "s.sock")
        arguments = ["service", "run", "--state", str(folder / "state"), "--socket", socket]
        service = trial._spawn(arguments, {**os.environ}, folder / "service.log")
        client = Client(socket)
        try:
            trial._until("it answers", lambda: trial._answers(client), service)
            lives = json.loads(asyncio.run(launch(LAUNCHER, str(game), str(runs), "0.01")))
            answer = client.call(GetWhy(subject=str(game), child="mia"))
            assert isinstance(answer, Text)
        finally:
            client.close()
            service.terminate()
            service.wait(20)
    assert "Not this game." in answer.text, answer.text
    times = sorted(nanoseconds / 1e6 for nanoseconds, _ in lives)
    survived = sum(1 for _, by_kill in lives if not by_kill)
    return [
        _row("blocked by the service: alive p50", round(times[len(times) // 2], 3), "ms", 1.0),
        _row("blocked by the service: alive p99", round(times[int(len(times) * 0.99) - 1], 3), "ms", 5.0),
        _row(f"blocked by the service: survived of {runs}", survived, "", 0),
        {**_row(f"why: {answer.text}", 1, "sentence", None), "holds": True},
    ]


def _household(folder: Path, account: str) -> None:
    """A signed policy that blocks ``game`` for a child with this account."""
    limits = Limits(
        windows={},
        unknown_programs="allow",
        programs=[ProgramRule(id="no-game", name="game", action="block", reason="Not this game.")],
    )
    family = Family(
        format=1,
        zone="UTC",
        guardians=[Guardian(name="ana", account="root")],
        children=[Child(name="mia", accounts=[account], preset="older", limits=limits)],
    )
    signer = signing.new_signer()
    data = signing.sign_policy(build(family, version=1), signer)
    keys = root.make([signer.public_key], [signer])
    asyncio.run(found(folder / "state", platforms.host(), keys, data, "bench-pin", "root"))
