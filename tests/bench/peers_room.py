"""The room in which Fairtime and its peers are measured; run it only by ``unshare -m`` (``bench_peers`` does).

The room has a copy of /etc with one more account, and folders of its own under /run and /var.  What runs there sees this
machine's processes and changes nothing of this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.bench import bench_service
from tests.bench.bench_peers import CROWD

UID = 59_240
NAME = "fairtime-bench"
SETTLE = 15
SECONDS = 30
LIMIT = 30
"""Seconds after which a program that nobody stopped ends by itself."""
_OVER = ("/var/log", "/run")


class NotRunning(Exception):
    """A contestant that did not start, with its last words."""


def main() -> int:
    asked, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    furnish(folder)
    (folder / "copies").mkdir(mode=0o755)
    os.chown(folder / "copies", UID, UID)  # a child's own; no peer may find its pattern in the name
    with crowd():
        found = {"fairtime": measure(fairtime(folder), folder, runs=20)}
        for name, contestant, runs in (("timekprd", timekpr, 5), ("little-brother", little_brother, 3)):
            path, why = asked[name]
            try:
                found[name] = {"why": why} if why else measure(contestant(folder, Path(path)), folder, runs)
            except NotRunning as error:
                found[name] = {"why": str(error)}
    print(json.dumps(found))
    return 0


def furnish(folder: Path) -> None:
    """Mounts that end with this process's namespace."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(folder))
    run("cp", "-a", "/etc", str(folder / "etc"))
    run("mount", "--bind", str(folder / "etc"), "/etc")
    with open("/etc/passwd", "a", encoding="utf-8") as file:
        file.write(f"{NAME}:x:{UID}:{UID}::/nonexistent:/bin/sh\n")
    with open("/etc/group", "a", encoding="utf-8") as file:
        file.write(f"{NAME}:x:{UID}:\n")
    for path in _OVER:
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", path)


@contextlib.contextmanager
def crowd() -> Iterator[None]:
    """The child's processes, which do nothing; every process of the child ends with the room."""
    started = [as_child("/bin/sleep", "1200") for _ in range(CROWD)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def as_child(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, user=UID, group=UID, extra_groups=[], stdin=subprocess.DEVNULL)


def measure(contestant: contextlib.AbstractContextManager[tuple[str, int]], folder: Path, runs: int) -> dict[str, Any]:
    """Idle cost, then how long the denied program lives, then a copy under another name."""
    with contestant as (version, pid):
        time.sleep(SETTLE)
        before, forks = processor(pid), forked()
        time.sleep(SECONDS)
        share, forks = 100 * (processor(pid) - before) / SECONDS, forked() - forks
        memory = sum(psutil.Process(each).memory_info().rss for each in tree(pid)) / 2**20
        lives = [life(folder, "game") for _ in range(runs)]
        renamed, survived = life(folder, "draughts")
    return {
        "version": version,
        "processor": round(share, 4),
        "forks": round(forks / SECONDS),
        "memory": round(memory, 1),
        "life": round(statistics.median(length for length, _ in lives), 3),
        "survived": sum(1 for _, alive in lives if alive),
        "renamed": round(renamed, 3),
        "renamed_survived": survived,
    }


def life(folder: Path, name: str) -> tuple[float, bool]:
    """Milliseconds that a program of the child's lived, and whether nobody ended it."""
    program = folder / "copies" / name
    shutil.copy("/bin/sleep", program)
    program.chmod(0o755)
    try:
        process = as_child(str(program), str(LIMIT))
    except PermissionError:
        return 0.0, False  # refused before it began
    born = time.perf_counter()
    code = process.wait()
    time.sleep(0.2)
    return 1000 * (time.perf_counter() - born - 0.2), code == 0


def forked() -> int:
    """Processes and threads that this machine ever made: who listens to the kernel is woken by others' starts too."""
    return int(
        next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("processes")).split()[1]
    )


def tree(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def processor(pid: int) -> float:
    return sum(bench_service._on_processor(each) for each in tree(pid))


# -- contestants ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def fairtime(folder: Path) -> Iterator[tuple[str, int]]:
    """The service as it is, with a policy that blocks the game and whatever nobody knows."""
    place = folder / "fairtime"
    place.mkdir()
    bench_service._household(place, NAME, unknown_programs="block")
    service, client = bench_service._serving(place)
    try:
        yield "", service.pid
    finally:
        client.close()
        service.terminate()
        service.wait(20)


@contextlib.contextmanager
def timekpr(folder: Path, package: Path) -> Iterator[tuple[str, int]]:
    """timekprd, unchanged, on a bus of its own with a mock of logind; the game is an activity with no time left."""
    place = folder / "timekpr"
    place.mkdir()
    shutil.copytree(package / "etc/timekpr", "/etc/timekpr", dirs_exist_ok=True)
    shutil.copytree(package / "var/lib/timekpr", place / "lib")
    config = place / "lib/config"
    settings = Path("/etc/timekpr/timekpr.conf")
    settings.write_text(settings.read_text().replace("PLAYTIME_ENABLED = False", "PLAYTIME_ENABLED = True"))
    (config / f"timekpr.{NAME}.conf").write_text(_timekpr_user((config / "timekpr.USER.conf").read_text()))
    address = f"unix:path={place}/bus"
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address, "PATH": "/usr/bin:/bin"}
    log = (place / "log").open("wb")
    started = [start(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"], environment, log)]
    try:
        until(lambda: (place / "bus").exists(), started[0], "the bus", place / "log")
        started.append(
            start(["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "logind"], environment, log)
        )
        until(
            lambda: _mock(address, "org.freedesktop.login1", "ListSessions") == 0, started[1], "dbusmock", place / "log"
        )
        login = ["busctl", f"--address={address}", "call", "org.freedesktop.login1"]
        run(*login, "/org/freedesktop/login1", "org.freedesktop.DBus.Mock", "AddSession", "ssusb",
            "c1", "seat0", str(UID), NAME, "true")  # fmt: skip
        run(*login, "/org/freedesktop/login1/session/c1", "org.freedesktop.DBus.Mock", "UpdateProperties", "sa{sv}",
            "org.freedesktop.login1.Session", "3", "Type", "s", "x11", "VTNr", "u", "7", "LockedHint", "b", "false")  # fmt: skip
        # Its code and its folders appear where it looks for them, in a namespace one level further in.
        script = (
            f"mount -t overlay none -o lowerdir={package}/usr:/usr /usr && "
            f"mount -t overlay none -o lowerdir={place}/empty:/var/lib,upperdir={place}/up,workdir={place}/work /var/lib && "
            f"mkdir -p /var/lib/timekpr && mount --bind {place}/lib /var/lib/timekpr && exec /usr/bin/timekprd"
        )
        for name in ("empty", "up", "work"):
            (place / name).mkdir()
        started.append(start(["unshare", "-m", "sh", "-c", script], environment, log))
        time.sleep(5)
        if started[-1].poll() is not None:
            raise NotRunning(last_words(place / "log"))
        yield _version(package), started[-1].pid
    finally:
        stop(started)
        log.close()


def _timekpr_user(template: str) -> str:
    lines = []
    for line in template.splitlines():
        if line.startswith("PLAYTIME_ACTIVITY"):
            continue
        line = line.replace("[USER", f"[{NAME}").replace("PLAYTIME_ENABLED = False", "PLAYTIME_ENABLED = True")
        if line.startswith("PLAYTIME_LIMITS_PER_WEEKDAYS"):
            line = "PLAYTIME_LIMITS_PER_WEEKDAYS = 0;0;0;0;0;0;0"
        lines.append(line)
    return "\n".join([*lines, "PLAYTIME_ACTIVITY_001 = game[Game]"]) + "\n"


def _version(package: Path) -> str:
    found = sorted(package.parent.glob("timekpr-next_*.deb"))
    return found[-1].name.split("_")[1] if found else ""


def _mock(address: str, name: str, method: str) -> int:
    command = ["busctl", f"--address={address}", "call", name, "/org/freedesktop/login1",
               "org.freedesktop.login1.Manager", method]  # fmt: skip
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


@contextlib.contextmanager
def little_brother(folder: Path, python: Path) -> Iterator[tuple[str, int]]:
    """little-brother with SQLite; the game is a prohibited program of the child's.

    Its first start makes the database; children are then entered as its web pages would.
    """
    place = folder / "little-brother"
    place.mkdir()
    sudo = "/usr/bin/sudo" if os.access("/usr/bin/sudo", os.X_OK) else "/usr/bin/env"
    (place / "config").write_text(
        f"[AppControl]\n[Persistence]\ndatabase_driver=sqlite\nsqlite_dir={place}\n"
        "[StatusServer]\nhost=127.0.0.1\nport=5999\napp_secret=0123456789abcdef0123456789abcdef\n"
        f"[UnixUserHandler]\nadmin_username=admin\nadmin_password=bench\nuser_list={NAME}:{UID}:bench\n"
        f"[ClientProcessHandler]\nsudo_command={sudo}\n"
    )
    command = [str(python), str(python.parent / "run_little_brother.py"), "--config", str(place / "config")]
    log = (place / "log").open("wb")
    environment = {**os.environ, "HOME": str(place)}
    database = place / "little-brother.sqlite.db"
    started = [start(command, environment, log, place)]
    try:
        until(lambda: _entered(database), started[0], "it made its database", place / "log", patience=60)
        stop(started)
        started = [start(command, environment, log, place)]
        time.sleep(5)
        if started[0].poll() is not None:
            raise NotRunning(last_words(place / "log"))
        yield "0.5.8", started[0].pid
    finally:
        stop(started)
        log.close()


def _entered(database: Path) -> bool:
    """Whether the child and its rules are in the database, which is there after the last migration."""
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(database, timeout=5)) as base:
        try:
            with base:
                base.execute(
                    "insert into user (id, username, first_name, locale, active, process_name_pattern,"
                    " prohibited_process_name_pattern, access_code) values (1, ?, 'B', 'en', 1, 'chess', 'game', 'x')",
                    (NAME,),
                )
                base.execute(
                    "insert into ruleset (id, user_id, context, context_label, priority, free_play, max_time_per_day)"
                    " values (1, 1, 'default', 'default', 1, 0, 36000)"
                )
                base.execute(
                    "insert into uid_mapping (uid, username, server_group) values (?, ?, 'default-group')", (UID, NAME)
                )
        except sqlite3.OperationalError:
            return False  # its tables are not all there yet
    return True


# -- processes -----------------------------------------------------------------------------------------------------


def start(
    command: list[str], environment: dict[str, str], log: Any, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def stop(started: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(started):
        process.terminate()
    for process in started:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(done: Any, process: subprocess.Popen[bytes], what: str, log: Path, patience: float = 20) -> None:
    end = time.monotonic() + patience
    while not done():
        if process.poll() is not None:
            raise NotRunning(f"it ended before {what}: {last_words(log)}")
        if time.monotonic() > end:
            raise NotRunning(f"waited {patience:.0f} s in vain for {what}: {last_words(log)}")
        time.sleep(0.1)


def last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-200:] if lines else "without a word"


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotRunning(f"{command[0]}: {done.stderr.strip() or done.returncode}")


if __name__ == "__main__":
    raise SystemExit(main())
