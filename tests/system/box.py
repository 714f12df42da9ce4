"""A family's PC that lives for one test run: boots, runs commands as anybody, keeps files, ends without a trace.

systemd-nspawn boots a copy of ``image`` with its own process, network, IPC and cgroup namespaces.  Two things differ from
bare metal and are facts for every test here: the kernel reports process events (cn_proc) only to the first process and
network namespace, so the agent works with its exec gate and scans; and there are no input devices and no sound card, so
that an idle screen counts as used.  Set time, reboot of the machine and real virtual terminals are not to be had either.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.system import image, reach
from tests.system.fairtime import Fairtime
from tests.system.reach import Reach
from tests.system.sessions import Session, open_session
from tests.system.started import Started

MEMORY = 2 << 30
PROCESSES = 2048
"""The PC's size, so that using all of it up costs the host nothing."""
PEOPLE = PROCESSES // 3
"""Processes of one account, as systemd-logind has it (UserTasksMax=33%)."""
SHARE = "FAIRTIME_SYSTEM_SHARE"
"""How much of the processors this PC gets beside others that run, in hundredths of an even part (``lanes``)."""
PATIENCE = "FAIRTIME_SYSTEM_PATIENCE"
"""What ``within`` multiplies with; more than 1 beside other PCs (``lanes``)."""
LAB = "/system.slice/lab.slice"
"""Where in the PC a test's commands run that are in no session."""
ADMIN, PLAIN = "/usr/local/sbin:/usr/sbin:/sbin", "/usr/local/bin:/usr/bin:/bin"
Command = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left; ``code`` is negative for a signal, 124 when it was still running at its timeout."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def check(self) -> Done:
        assert self.ok, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


@dataclass(frozen=True, slots=True)
class Groups:
    """The container's cgroups on the host: one of version 2, and where the host still keeps limits in version 1, those too."""

    pc: list[Path]
    """Everything that the PC runs."""
    lab: list[Path]
    """What a test enters the PC with.  Under version 1 beside the PC's own limit of processes: a child who uses that up must
    not keep the test out as well.  Under version 2 the PC's systemd sees to that itself (``TasksMax=`` of user slices)."""
    people: Path | None
    """Under version 1, where the PC's systemd cannot limit anybody: a folder with a group for each account."""

    @classmethod
    def make(cls, stack: ExitStack) -> Groups:
        name = f"fairtime-{os.getpid()}-{time.monotonic_ns()}"
        pc, lab, people = [], [], None
        limits = _limits(int(os.environ.get(SHARE, "100")))
        for kind, at in _hierarchies().items():
            group = _group(at / name, limits[kind], stack)
            pc.append(group)
            if kind == "pids":
                group = _group(at / f"{name}-lab", {}, stack)
                people = _group(at / f"{name}-people", {}, stack)
            lab.append(group)
        return cls(pc, lab, people)

    def of(self, user: str) -> tuple[Path, ...]:
        """The groups of an account's own processes, besides those that everybody's are in."""
        if self.people is None or user == "root":
            return ()
        group = self.people / user
        if not group.exists():
            group.mkdir(exist_ok=True)
            (group / "pids.max").write_text(str(PEOPLE), encoding="ascii")
        return (group,)


def _limits(share: int) -> dict[str, dict[str, int]]:
    """By version or, for version 1, by controller; the files that a group has not are left out."""
    return {
        "v2": {"memory.max": MEMORY, "pids.max": PROCESSES, "cpu.weight": share},
        "memory": {"memory.limit_in_bytes": MEMORY},
        "pids": {"pids.max": PROCESSES},
        "cpu": {"cpu.shares": 1024 * share // 100},
    }


class Box:
    """The PC.  Make it with ``boot``."""

    def __init__(self, root: Path, leader: int, groups: Groups, stack: ExitStack) -> None:
        self.root = root
        """The container's disk seen from the host; its /tmp, /run and /dev/shm are mounts that are not seen there."""
        self.leader = leader
        self.logins = Path(f"/proc/{leader}/root/run/systemd/sessions")
        """Where logind keeps what it says of each session."""
        self._groups = groups
        self._stack = stack
        self._patience = float(os.environ.get(PATIENCE, "1"))
        enter = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", "env", "-i", "LANG=C.UTF-8"]
        move = f'mkdir -p /sys/fs/cgroup{LAB}; echo 0 > /sys/fs/cgroup{LAB}/cgroup.procs; exec "$@"'
        self._reach = Reach([*_joining(groups.lab), *enter, "sh", "-c", move, "sh"], stack)
        self.fairtime = Fairtime(self)

    @classmethod
    def boot(cls) -> Box:
        """Copy the image with this checkout installed in it, boot; some ten seconds when the image is cached."""
        stack = ExitStack()
        with stack:
            here = Path(tempfile.mkdtemp(prefix="run-", dir=image.place()))
            stack.callback(shutil.rmtree, here)
            disk = image.copy(here / "disk.ext4", image.ready)
            root = stack.enter_context(image.mounted(disk, here / "root"))
            disk.unlink()  # the mount keeps it, and nothing stays behind however this ends
            reach.put(root)
            groups = Groups.make(stack)
            leader = _start(root, groups, stack)
            box = cls(root, leader, groups, stack)
            box._wait_booted()
            box._stack = stack.pop_all()
        return box

    def close(self) -> None:
        self._stack.close()

    def within(self, seconds: float) -> float:
        """A bar of the product in seconds, as it stands when this PC runs alone; more where several share the processors."""
        return seconds * self._patience

    # ---- commands ------------------------------------------------------------------------------------------------

    def run(
        self, command: Command, user: str = "root", *,
        timeout: float = 60, env: Mapping[str, str] | None = None, stdin: str = "", cgroup: str = "",
    ) -> Done:  # fmt: skip
        """Run to the end, outside of any session unless ``cgroup`` names one (see ``Session.run``)."""
        started = self.spawn(command, user, env=env, cgroup=cgroup)
        try:
            out, err = started.communicate(stdin.encode(), timeout)
        except subprocess.TimeoutExpired:
            kill(started)
            out, err = started.communicate()
            return Done(124, out.decode(errors="replace"), err.decode(errors="replace"))
        assert started.returncode is not None
        return Done(started.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def spawn(
        self, command: Command, user: str = "root", *, env: Mapping[str, str] | None = None, cgroup: str = ""
    ) -> Started:
        """Start ``command`` (a shell line, or words) as ``user``, in a cgroup of the PC, and go on; the caller ends it (``kill``)."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        home = "/root" if user == "root" else f"/home/{user}"
        path = f"/{reach.PLACE}/bin:{ADMIN}:{PLAIN}" if user == "root" else PLAIN
        setting = {"HOME": home, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8", "PATH": path, **(env or {})}
        return self._reach.start(
            words, user, folder=home, env=setting, cgroup=cgroup or LAB, groups=self._groups.of(user)
        )

    def session(self, user: str, kind: str = "x11") -> Session:
        """A login of ``user``: kind ``x11``, ``wayland``, ``tty``, ``ssh`` or ``su``.  Use it with ``with``."""
        return open_session(self, user, kind)

    # ---- files ---------------------------------------------------------------------------------------------------

    def write(self, path: str, text: str | bytes, *, owner: str = "root", mode: int = 0o644) -> str:
        """A file in the PC, folders made as needed; returns its path."""
        data = text.encode() if isinstance(text, str) else text
        line = f'mkdir -p "$(dirname "$1")" && cat > "$1" && chown {owner}: "$1" && chmod {mode:o} "$1"'
        started = self.spawn(["sh", "-c", line, "sh", path])
        _, err = started.communicate(data, 60)
        assert started.returncode == 0, err.decode()
        return path

    def read(self, path: str) -> str:
        """A text file; empty when there is none."""
        return self.run(["cat", path]).out

    # ---- waiting -------------------------------------------------------------------------------------------------

    def until(self, line: str, *, within: float = 10, every: float = 0.1, since: float | None = None) -> float:
        """Seconds until a shell line succeeds (as root); ``AssertionError`` when it does not ``within`` these seconds.

        They are a bar of this PC alone (see ``within``), and run from ``since`` (of ``time.monotonic``) or from now.
        """
        begun = time.monotonic()
        end = (begun if since is None else since) + self.within(within)
        while True:
            done = self.run(line)
            passed = time.monotonic() - begun
            if done.ok:
                return passed
            assert time.monotonic() < end, f"not within {self.within(within)} s: {line}\n{done.out}{done.err}"
            time.sleep(every)

    def set_up(self) -> None:
        """Accounts answer setup's questions; the service runs with the lab's family."""
        self.fairtime.set_up()

    def _wait_booted(self) -> None:
        # A degraded system is up too: some unit of the image may dislike containers.
        self.until("case $(systemctl is-system-running) in running|degraded) exit 0;; esac; exit 1", within=60)


def kill(started: Started) -> None:
    """End what ``spawn`` started, with all that has not left its process group: pipes are inherited."""
    started.end()


def _start(root: Path, groups: Groups, stack: ExitStack) -> int:
    """Boot; returns the container's first process, as the host numbers it."""
    console = root.with_name("console.log")
    log = console.open("wb")
    stack.callback(log.close)
    nspawn = subprocess.Popen(
        [*_joining(groups.pc), "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--register=no", "--keep-unit",
         "--private-network", f"--machine=fairtime-{time.monotonic_ns()}", "--hostname=familypc",
         "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_SECCOMP": "0",  # a PC has no filter of nspawn's around it
        },
    )  # fmt: skip
    stack.callback(_end, nspawn)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and nspawn.poll() is None:
        for child in _children(nspawn.pid):
            if Path(f"/proc/{child}/comm").read_text(encoding="utf-8").strip() == "systemd":
                return child
        time.sleep(0.05)
    raise RuntimeError("the container did not boot: " + console.read_text(errors="replace")[-2000:])


def _end(nspawn: subprocess.Popen[bytes]) -> None:
    """Everything inside ends with its first process, and nspawn with it; nothing in there is kept."""
    for child in _children(nspawn.pid):
        os.kill(child, signal.SIGKILL)
    nspawn.wait(30)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _joining(groups: list[Path]) -> list[str]:
    """Words that put what follows into cgroups of the host: whatever enters the container counts as the container's."""
    return ["sh", "-c", "".join(f"echo 0 > {group}/cgroup.procs && " for group in groups) + 'exec "$@"', "sh"]


def _hierarchies() -> dict[str, Path]:
    """Where cgroups of version 2, and controllers of version 1 that limit, are mounted."""
    places = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, at, kind, options, *_ = line.split()
        if kind == "cgroup2":
            places["v2"] = Path(at)
        elif kind == "cgroup":
            places.update({name: Path(at) for name in options.split(",") if name in ("memory", "pids", "cpu")})
    return places


def _group(group: Path, limits: Mapping[str, int], stack: ExitStack) -> Path:
    """A new cgroup with these limits, as far as the host has them; it goes with ``stack``."""
    group.mkdir()
    stack.callback(_remove, group)
    for name, value in limits.items():
        if (group / name).exists():
            (group / name).write_text(str(value), encoding="ascii")
    return group


def _remove(group: Path) -> None:
    """Its folders go with the last process in them, which the kernel may still be about."""
    for _ in range(100):
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"something still runs in {group}")
