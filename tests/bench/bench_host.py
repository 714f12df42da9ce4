"""Figures of the Linux host: what a scan costs, how long a refused program lives, whether a burst loses any.

``rows()`` gives rows of ``make bench``; run as a program it prints them.  Programs run under an unused uid from a folder of
their own; everything started is ended.  Needs root for all but the scan.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.linux import accounts, procfs
from agent.platforms.linux.host import LinuxHost
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.processes import ProcessTable
from tests.bench.rows import Row, line, row

UID = 61236
ACCOUNT = f"#{UID}"

# posix_spawn returns once the new image runs (vfork), so what follows until waitpid is the program's life.
LAUNCHER = """
import json, os, sys, time
program, runs, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
lives = []
for _ in range(runs):
    pid = os.posix_spawn(program, [program, "60"], {})
    born = time.perf_counter_ns()
    _, status = os.waitpid(pid, 0)
    lives.append((time.perf_counter_ns() - born, os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9))
    time.sleep(pause)
print(json.dumps(lives))
"""
BURST = """
import os, sys
for _ in range(int(sys.argv[2])):
    os.posix_spawn(sys.argv[1], [sys.argv[1], "60"], {})
pids, killed = 0, 0
for _ in range(int(sys.argv[2])):
    _, status = os.waitpid(-1, 0)
    killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9
print(killed)
"""


def rows() -> list[Row]:
    found = scan_rows()
    if os.geteuid() == 0:
        found += asyncio.run(start_rows())
    return found


PSUTIL_THEN = 31.0
"""Milliseconds that ``psutil.process_iter`` took for these rows on the machine on which the bars were set."""


def scan_rows(processes: int = 500) -> list[Row]:
    """A scan in steady state, once a second in the table's eyes, half of all processes a child's.

    The bar is for the scan as it is everywhere; on a PC where the kernel tells of starts it has less to do.
    """
    with crowd(processes) as present:
        table = ProcessTable(Identifier().running)
        table.watch(accounts.owners([ACCOUNT if os.geteuid() == 0 else f"#{os.geteuid()}"]))
        own, told = _scans(table, told=False), _scans(table, told=True)
        known = len(table.processes)
        table.forget()
        attributes = ["pid", "ppid", "name", "exe", "cmdline", "uids", "create_time"]
        costs = []
        for _ in range(8):
            before = time.thread_time_ns()
            list(psutil.process_iter(attributes))
            costs.append((time.thread_time_ns() - before) / 1e6)
        peer = statistics.median(costs[1:])
    name = f"scan of {present} processes, {known} of them a child's"
    beside = "psutil.process_iter, same attributes"
    return [
        row("this machine: psutil.process_iter of the row below", peer, "ms", None,
            "the machine on which the bars were set", PSUTIL_THEN),
        row(name, own, "ms", 2.0, beside, peer),
        row("scan relative to psutil.process_iter", own / peer, "", 0.1),
        row("the same scan while the kernel tells of starts", told, "ms", 2.0, beside, peer),
    ]  # fmt: skip


def _scans(table: ProcessTable, *, told: bool) -> float:
    """Milliseconds of processor time of a scan: the mean, because rounds and listings come only now and then."""
    costs = []
    for now in range(0, 130_000, 1000):
        before = time.thread_time_ns()
        table.scan(now if not told else 130_000 + now, told=told)
        costs.append((time.thread_time_ns() - before) / 1e6)
    return statistics.fmean(costs[10:])


async def start_rows() -> list[Row]:
    with game_folder() as game:
        host = LinuxHost(bus_address="unix:path=/nonexistent/bus")
        refused: list[Process] = []

        def decide(process: Process) -> Start:
            if process.program.name == "game":
                refused.append(process)
                return Start.DENY
            return Start.ALLOW

        host.watch([ACCOUNT])
        host.on_start(decide)
        await host.open(lambda: None)
        ticking = asyncio.create_task(ticks(host))
        try:
            found = [*await life_rows(host, game), await burst_row(game), await stubborn_row(host, game)]
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await host.close()
        return found


async def ticks(host: LinuxHost) -> None:
    while True:
        await host.observe()
        await asyncio.sleep(1)


async def life_rows(host: LinuxHost, game: Path, runs: int = 200) -> list[Row]:
    lives = json.loads(await launch(LAUNCHER, str(game), str(runs), "0.005"))
    killed = sum(1 for _, by_kill in lives if by_kill)
    times = sorted(nanoseconds / 1e6 for nanoseconds, _ in lives)
    peer = "Timekpr-nExT 0.5.9 (published run, not in this one)"
    return [
        row("refused program, alive p50", times[len(times) // 2], "ms", 1.0, peer, 2000.0),
        row("refused program, alive p99", times[int(len(times) * 0.99) - 1], "ms", 5.0, peer, 3200.0),
        row(f"refused program, not killed of {runs}", runs - killed, "", 0),
    ]


async def burst_row(game: Path, count: int = 4000) -> Row:
    """The loop stands still for a second while the starts come in."""
    task = asyncio.create_task(launch(BURST, str(game), str(count)))
    await asyncio.sleep(0.1)
    time.sleep(1.0)  # a loop that stands still is what this measures
    try:
        killed = int(await asyncio.wait_for(task, 50))
    except TimeoutError:
        killed = count - sum(1 for pid in psutil.pids() if procfs.owner(pid) == UID)
    return row(f"burst of {count} starts, lost", count - killed, "", 0)


async def stubborn_row(host: LinuxHost, game: Path) -> Row:
    """A program that ignores SIGTERM, from the request to its end."""
    script = (
        "import signal, time\n"
        "for name in ('SIGTERM', 'SIGHUP', 'SIGINT'): signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "print(1, flush=True); time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", script, user=UID, group=UID, extra_groups=[], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    stat = procfs.stat(process.pid)
    assert stat is not None
    before = time.perf_counter()
    await host.stop(process.pid, stat.started, at_once=False)
    await process.wait()
    return row("program that ignores SIGTERM, gone after", time.perf_counter() - before, "s", 5.0,
               "Timekpr-nExT 0.5.9 (published run, not in this one)", 10.8)  # fmt: skip


async def launch(script: str, *args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", script, *args, user=UID, group=UID, extra_groups=[], stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode()


@contextlib.contextmanager
def game_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fairtime-bench-"))
    folder.chmod(0o755)
    game = folder / "game"
    shutil.copy("/bin/sleep", game)
    game.chmod(0o755)
    try:
        yield game
    finally:
        for pid in psutil.pids():
            if procfs.owner(pid) == UID:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)


@contextlib.contextmanager
def crowd(total: int) -> Iterator[int]:
    """``total`` processes on this machine, half of the added ones the bench account's, as if on a display of its own."""
    started = []
    missing = max(100, total - len(psutil.pids()))  # some are the child's, however full this machine is
    root = os.geteuid() == 0
    for number in range(missing):
        whose = (
            {"user": UID, "group": UID, "extra_groups": [], "env": {"DISPLAY": ":61"}} if root and number % 2 else {}
        )
        started.append(subprocess.Popen(["/bin/sleep", "120"], **whose))  # type: ignore[call-overload]  # mixed keywords
    try:
        yield len(psutil.pids())
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def main() -> int:
    found = rows()
    for one in found:
        print(line(one))
    if "--json" in sys.argv:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
