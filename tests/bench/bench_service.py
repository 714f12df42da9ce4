"""The resident service in steady state: processor, memory, disk."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from agent import platforms
from agent.cli import trial
from agent.cli.policy import build
from agent.ipc.answers import Status, Text
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus, GetWhy
from agent.model.policy import Action, Child, Family, Guardian, Limits, ProgramRule
from agent.service.founding import found
from agent.trust import root, signing
from tests.bench.bench_host import LAUNCHER, UID, crowd, game_folder, launch
from tests.bench.rows import Row, row

SECONDS = 30


def rows() -> list[Row]:
    """A service that watches one child among four hundred processes, after it has settled.

    Half of them are the child's, who uses the PC: time is charged, saved and counted down.
    """
    with tempfile.TemporaryDirectory() as place, crowd(400) as present:
        folder = Path(place)
        _household(folder, f"#{UID if os.geteuid() == 0 else os.geteuid()}")
        service, client = _serving(folder)
        try:
            time.sleep(10)
            process = psutil.Process(service.pid)
            before, written = _on_processor(service.pid), process.io_counters().write_bytes
            forks = _forks()
            time.sleep(SECONDS)
            forks = _forks() - forks
            spent, memory = _on_processor(service.pid) - before, process.memory_full_info()
            written = process.io_counters().write_bytes - written
            status = client.call(GetStatus())
            peer = _psutil_pass()
        finally:
            client.close()
            service.terminate()
            service.wait(20)
    assert isinstance(status, Status)
    (verdict,) = [child.verdict for child in status.children if child.child == "mia"]
    assert verdict.in_use and verdict.used_today > SECONDS * 1000, f"a child who does not use the PC: {verdict}"
    share = round(100 * spent / SECONDS, 4)
    resident, proportional = round(memory.rss / 2**20, 1), round(memory.pss / 2**20, 1)
    absent = len(status.children) - 1
    name = f"service at 1 Hz, {present} processes, 1 child who uses the PC" + (f", {absent} absent" if absent else "")
    return [
        row(f"{name}: processor", share, "% of a core", 0.08, "psutil.process_iter once a second", 100 * peer),
        # Each start wakes the service for some 0.1 ms, whoever's it is: the figure above is of a PC at rest only near 0.
        row(
            "service: processes and threads that others started meanwhile", round(forks / SECONDS, 1), "a second", None
        ),
        row("service: RSS", resident, "MiB", 36.0),
        row("service: PSS (timekprd cannot run here)", proportional, "MiB", None),
        row(f"service: written to disk in {SECONDS} s of use", round(written / 1024), "KiB", None),
        *(refused_rows() if os.geteuid() == 0 else ()),
    ]


def _serving(folder: Path) -> tuple[subprocess.Popen[bytes], Client]:
    """A service with the household of ``folder`` that answers; no session manager of this machine has a say."""
    socket = str(folder / "s.sock")
    arguments = ["service", "run", "--state", str(folder / "state"), "--socket", socket]
    nowhere = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'no-bus'}"}
    service = trial._spawn(arguments, {**os.environ, **nowhere}, folder / "service.log")
    client = Client(socket)
    trial._until("it answers", lambda: trial._answers(client), service)
    return service, client


def _on_processor(pid: int) -> float:
    """Seconds that a process has had a processor, to the nanosecond (scheduler's own count, all threads)."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def _forks() -> int:
    """Processes and threads that this machine has started since it was."""
    return int(
        next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("processes ")).split()[1]
    )


def _psutil_pass() -> float:
    """Processor seconds of one look at every process the usual way, here and now."""
    costs = []
    for _ in range(5):
        before = time.thread_time()
        list(psutil.process_iter(["pid", "ppid", "name", "exe", "cmdline", "uids", "create_time"]))
        costs.append(time.thread_time() - before)
    return statistics.median(costs)


def refused_rows(runs: int = 200) -> list[Row]:
    """The whole way: a real service under a signed policy, a copied and renamed program, run as the child's account.

    Also asks the service why, as a guardian would.  Needs root.
    """
    with tempfile.TemporaryDirectory() as place, game_folder() as game:
        folder = Path(place)
        _household(folder, f"#{UID}")
        service, client = _serving(folder)
        try:
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
        row("blocked by the service: alive p50", round(times[len(times) // 2], 3), "ms", 1.0),
        row("blocked by the service: alive p99", round(times[int(len(times) * 0.99) - 1], 3), "ms", 5.0),
        row(f"blocked by the service: survived of {runs}", survived, "", 0),
        row(f"why: {answer.text}", 1, "sentence"),
    ]


def _household(folder: Path, account: str, unknown_programs: Action = "allow") -> None:
    """A signed policy that blocks ``game`` for a child with this account, and does so with what nobody knows."""
    limits = Limits(
        windows={},
        unknown_programs=unknown_programs,
        programs=[ProgramRule(id="no-game", name="game", action="block", reason="Not this game.")],
    )
    family = Family(
        format=1,
        zone="UTC",
        guardians=[Guardian(name="ana", account="root")],
        children=[Child(name="mia", accounts=[account], preset="older", limits=limits)],
    )
    signer, device = signing.new_signer(), signing.new_signer()
    data = signing.sign_policy(build(family, version=1), signer)
    keys = root.make([signer.public_key], [signer], devices=[device.public_key])
    key = signing.pem(device, None)
    asyncio.run(found(folder / "state", platforms.host(), keys, data, "bench-pin", "root", device_key=key))
