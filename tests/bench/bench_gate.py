"""Figures of the exec gate, beside fapolicyd: what an allowed start costs, and how far a denied one comes.

``rows()`` gives the rows of ``make bench``.  Everything runs in private mount namespaces, in small roots of their own, each on a
tmpfs (so that a program's loader is watched too, as on a PC): one without a gate, one with ours, one with fapolicyd, all at the
same time and in turns, so that a busy machine is busy for all three.  Nothing outside of them is ever marked.  Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent.model.program import Process
from agent.platforms.base import Start
from tests.bench.rows import Row, row

UID, SIBLING = 61806, 61807
ROOT = Path(__file__).resolve().parents[2]
ROUNDS, RUNS = 40, 25
DENIED = 300

# Chroots, becomes the child, and starts the program over and over; each line of its answer is one start in nanoseconds.
LAUNCHER = """
import json, os, sys, time
place, uid, program, runs = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
os.chroot(place); os.chdir("/"); os.setgroups([]); os.setgid(uid); os.setuid(uid)
times, denied = [], 0
for _ in range(runs):
    before = time.perf_counter_ns()
    try:
        pid = os.posix_spawn(program, [program, "/out/proof"], {})
    except PermissionError:
        denied += 1
        continue
    os.waitpid(pid, 0)
    times.append(time.perf_counter_ns() - before)
print(json.dumps([times, denied]))
"""
RULES = """deny perm=execute all : path={place}/game
allow perm=any all : all
"""
CONF = """permissive = 0
nice_val = 14
q_size = 800
uid = root
gid = root
do_stat_report = 0
detailed_report = 0
db_max_size = 50
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = tmpfs
trust = file
integrity = none
syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust
allow_filesystem_mark = 0
"""


def rows() -> list[Row]:
    if os.geteuid() != 0:
        return []
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.bench.bench_gate", "--inside"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    found: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- inside of the namespace -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_root() -> Iterator[Path]:
    """A tmpfs with two programs and what they are linked with."""
    folder = Path(tempfile.mkdtemp(prefix="fairtime-bench-gate-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=64m", "bench", folder], check=True)
    try:
        for name, source in (("good", "/bin/true"), ("game", "/bin/touch")):
            shutil.copy(source, folder / name)
            for word in subprocess.run(["ldd", source], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
                if word.startswith("/"):
                    target = folder / word[1:]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(word, target)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def launch(place: Path, program: str, runs: int = RUNS, namespace: int | None = None) -> tuple[list[float], int]:
    """Milliseconds of each start, and how many were denied; in the mount namespace of a process, when it is given."""
    enter = [] if namespace is None else ["nsenter", f"--mount=/proc/{namespace}/ns/mnt"]
    done = subprocess.run(
        [*enter, "/usr/bin/python3", "-I", "-S", "-c", LAUNCHER, place, str(UID), program, str(runs)],
        stdout=subprocess.PIPE,
        check=True,
    )
    times, denied = json.loads(done.stdout)
    return [nanoseconds / 1e6 for nanoseconds in times], denied


def decide(process: Process) -> Start:
    return Start.DENY if process.program.name == "game" else Start.SETTLED


class Ours:
    """The gate with its service, in a process of its own as on a PC."""

    def __init__(self, place: Path, *others: int) -> None:
        watched = [str(uid) for uid in (UID, *others)]
        command = [sys.executable, "-m", "tests.bench.bench_gate", "--serve", str(place), *watched]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.gate = int(self.process.stdout.readline())

    def forget(self) -> None:
        """Nothing is settled any more."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def memory(self) -> float:
        """MiB that the gate holds."""
        status = Path(f"/proc/{self.gate}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


async def serve(place: str, watched: list[str]) -> None:
    from agent.platforms.linux.host import LinuxHost

    host = LinuxHost(bus_address="unix:path=/nonexistent/bus", gate=[place])
    host.watch([f"#{uid}" for uid in watched])
    await host.open(lambda: None)
    host.on_start(decide, lambda _: Start.DENY)
    keeper = host._gating.keeper
    assert keeper is not None
    while not keeper.present:
        await asyncio.sleep(0.01)
    print(keeper.pid, flush=True)
    while await asyncio.to_thread(sys.stdin.buffer.readline):
        host.unsettle()
        print(flush=True)
    await host.close()


def become_fapolicyd(place: str) -> None:
    """In a mount namespace of its own, where its marks (on mounts) end with it: configure and be it."""
    for folder in ("/etc/fapolicyd", "/var/lib/fapolicyd", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", folder], check=True)
    os.mkdir("/run/fapolicyd")
    etc = Path("/etc/fapolicyd")
    (etc / "fapolicyd.conf").write_text(CONF, encoding="ascii")
    (etc / "fapolicyd.trust").write_text("", encoding="ascii")
    (etc / "trust.d").mkdir()
    for name in ("fapolicyd.rules", "compiled.rules"):
        (etc / name).write_text(RULES.format(place=place), encoding="ascii")
    os.execv("/usr/sbin/fapolicyd", ["fapolicyd", "--debug-deny"])


class Fapolicyd:
    """Debian's fapolicyd, in the foreground; ``why`` says why it does not run."""

    def __init__(self, place: Path) -> None:
        self.why = ""
        self.process: subprocess.Popen[bytes] | None = None
        if not os.path.exists("/usr/sbin/fapolicyd"):
            self.why = "fapolicyd is not installed"
            return
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by ``close``
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.bench.bench_gate"]
        self.process = subprocess.Popen(
            [*command, "--fapolicyd", str(place)], cwd=ROOT, stdout=self._log, stderr=self._log
        )
        for _ in range(150):
            time.sleep(0.1)
            if self.process.poll() is not None:
                break
            if self._marks():
                return
        self.why = f"fapolicyd does not start here: {self._said()}"
        self.close()

    def _marks(self) -> bool:
        assert self.process is not None
        folder = Path(f"/proc/{self.process.pid}/fdinfo")
        with contextlib.suppress(OSError):
            return any("fanotify mnt_id" in (folder / fd).read_text() for fd in os.listdir(folder))
        return False

    def _said(self) -> str:
        self._log.seek(0)
        return " ".join(self._log.read().decode(errors="replace").split())[-200:]

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self._log.close()
            self.process = None


def measure() -> list[Row]:
    with contextlib.ExitStack() as stack:
        none, mine, shared, other = (stack.enter_context(small_root()) for _ in range(4))
        gate, table, peer = Ours(mine), Ours(shared, SIBLING), Fapolicyd(other)
        stack.callback(gate.close)
        stack.callback(peer.close)
        there = peer.process.pid if peer.process is not None else None
        if there is not None and launch(other, "/game", 1, there)[1] != 1:
            peer.why, there = "fapolicyd runs and does not deny", None
        stack.callback(table.close)
        turns: list[tuple[Path, int | None]] = [(none, None), (mine, None), (shared, None)]
        if there is not None:
            turns.append((other, there))
        best: dict[Path, list[float]] = {place: [] for place, _ in turns}
        asked: list[float] = []
        for number in range(ROUNDS):
            for step in range(len(turns)):
                place, namespace = turns[(number + step) % len(turns)]
                best[place].append(min(launch(place, "/good", RUNS, namespace)[0]))
            first: dict[Path, list[float]] = {none: [], mine: []}
            for _ in range(3):
                gate.forget()
                for place, starts in first.items():
                    starts += launch(place, "/good", 1)[0]
            asked.append(min(first[mine]) - min(first[none]))
        denied = launch(mine, "/game", DENIED)[1]
        ran = DENIED - denied + int((mine / "out" / "proof").exists())
        memory = gate.memory()
    # The best of each turn: what else the machine does makes a start slower, never faster.
    alone = statistics.median(best[none])
    added, by_table = statistics.median(best[mine]) - alone, statistics.median(best[shared]) - alone
    peer_added = statistics.median(best[other]) - alone if other in best else None
    name = peer.why or "fapolicyd, two rules, in the same run"
    found = [
        row("allowed start without a gate", alone, "ms", None),
        row("exec gate: added to an allowed start", added, "ms", 0.2, name, peer_added),
        row("exec gate: allowed start relative to none", (alone + added) / alone, "", None,
            name, None if peer_added is None else (alone + peer_added) / alone),
        # With a second child who never ran it, the kernel still asks, and the gate answers from its table.
        row("exec gate: added, answered from its table", by_table, "ms", 0.2, name, peer_added),
        row("exec gate: added to a start that is asked about", statistics.median(asked), "ms", None),
        row(f"denied program: instructions run, of {DENIED} starts", ran, "", 0),
        row("exec gate: memory", memory, "MiB", 12.0),
    ]  # fmt: skip
    if peer_added is not None:
        found.append(row("exec gate: added beyond what fapolicyd adds", added - peer_added, "ms", 0.0))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2], sys.argv[3:]))
    elif sys.argv[1:2] == ["--fapolicyd"]:
        become_fapolicyd(sys.argv[2])
    elif sys.argv[1:2] == ["--inside"]:
        print(json.dumps(measure()))
    else:
        print("\n".join(json.dumps(one) for one in rows()))
