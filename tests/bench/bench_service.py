"""The resident service in steady state: processor, memory, disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from agent.cli import trial
from agent.ipc.client import Client
from tests.bench.bench_host import crowd

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
