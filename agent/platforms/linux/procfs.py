"""Raw readings of /proc, as few system calls as each question needs.

Every function returns ``None`` (or an empty value) for a process that is gone: that is normal, not an error.
"""

from __future__ import annotations

import os
import sys

from msgspec import Struct

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

_CHUNK = 65_536
CMDLINE_LIMIT = 1 << 20
"""Bytes of a command line that are read; a Minecraft class path is some 10 KiB, the kernel's own limit is far above."""


class Stat(Struct, frozen=True):
    """What proc_pid_stat(5) tells and this host uses."""

    state: str
    parent: int
    session: int
    tty: int
    threads: int
    started: int
    """Clock ticks since boot."""
    image: int
    """Address of the stack's start: random for each ``exec``, so that it tells one program image from the next."""
    settled: bool
    """False while an ``exec`` is under way: the new image is there but not yet its command line."""


def stat(pid: int) -> Stat | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, 4096)  # whole at once: some 350 bytes
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name in parentheses may hold anything, spaces and parentheses too; the last ')' ends it.
    at = data.rfind(b")")
    if at < 0:
        return None
    rest = data[at + 2 :].split()
    if len(rest) < 47:
        return None
    return Stat(
        state=rest[0].decode("ascii", "replace"),
        parent=int(rest[1]),
        session=int(rest[3]),
        tty=int(rest[4]),
        threads=int(rest[17]),
        started=int(rest[19]),
        image=int(rest[25]),
        # arg_end is set last (create_elf_tables); a program cannot set it back to 0 (validate_prctl_map).
        settled=rest[46] != b"0",
    )


def newest_pid() -> int:
    """The pid that the kernel handed out last (the end of /proc/loadavg), to a process or a thread; they go up by one from
    one to the next, beginning again at the top (``idr_alloc_cyclic`` in kernel/pid.c)."""
    return int(read("/proc/loadavg", 128).split()[-1])


def owner(pid: int) -> int | None:
    """The effective uid.

    The folder /proc/PID keeps its owner even for a process that is not dumpable (``task_dump_owner`` in fs/proc/base.c
    makes this exception for world-readable folders), so a program without read permission cannot hide here.
    """
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def exe(pid: int) -> str | None:
    """The link /proc/PID/exe as it reads; ``None`` for a kernel thread, a zombie, a process that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def exe_of_threads(pid: int) -> str | None:
    """The same link through any living thread: the main one may have ended while others play on."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return None
    for thread in threads:
        try:
            return os.readlink(f"/proc/{pid}/task/{thread}/exe")
        except OSError:
            continue
    return None


def open_exe(pid: int) -> int:
    """A descriptor (O_PATH) of the executable, through any living thread; -1 when the process is gone.

    With O_PATH no file system is asked and nobody who watches opens is told.
    """
    try:
        return os.open(f"/proc/{pid}/exe", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        pass  # its main thread may have ended while others play on
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return -1
    for thread in threads:
        try:
            return os.open(f"/proc/{pid}/task/{thread}/exe", os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
    return -1


def cmdline(pid: int) -> list[str]:
    data = read_proc(f"/proc/{pid}/cmdline", CMDLINE_LIMIT)
    return [os.fsdecode(word) for word in data.rstrip(b"\0").split(b"\0")] if data else []


def environ(pid: int, *names: str) -> dict[str, str]:
    """The named variables as the program was started with; what it was *given*, which its owner chooses freely."""
    wanted = {os.fsencode(name) for name in names}
    found = {}
    for pair in read(f"/proc/{pid}/environ", CMDLINE_LIMIT).split(b"\0"):
        key, equals, value = pair.partition(b"=")
        if equals and key in wanted:
            found[os.fsdecode(key)] = os.fsdecode(value)
    return found


def cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def cgroup(pid: int) -> str:
    """Its cgroup path in the unified hierarchy, else in systemd's own; empty when neither is there."""
    named = ""
    for line in os.fsdecode(read(f"/proc/{pid}/cgroup", _CHUNK)).splitlines():
        if line.startswith("0::"):
            unified = line[3:]
            if unified != "/":
                return unified
        elif ":name=systemd:" in line:
            named = line.split(":", 2)[2]
    return named


def unified(pid: int) -> str:
    """Its cgroup path in the unified hierarchy alone; empty where there is none."""
    for line in os.fsdecode(read(f"/proc/{pid}/cgroup", _CHUNK)).splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def namespace(pid: int | str, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Direct children, through every thread (CONFIG_PROC_CHILDREN; on since Linux 3.5 in the distributions' kernels)."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        found.extend(int(word) for word in read(f"/proc/{pid}/task/{thread}/children", 1 << 20).split())
    return found


def read_proc(path: str, limit: int = _CHUNK) -> bytes:
    """The same for a file of /proc that gives all it has at once, so that a short answer is the end: one call less."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts: list[bytes] = []
        left = limit
        while left > 0:
            asked = min(left, _CHUNK)
            part = os.read(fd, asked)
            parts.append(part)
            if len(part) < asked:
                break
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


def read(path: str, limit: int) -> bytes:
    """Up to ``limit`` bytes of a file; empty when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        parts = []
        left = limit
        while left > 0 and (part := os.read(fd, min(left, _CHUNK))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)
