"""What this process may do, before it reads its first packet: answer, and nothing else.

Started by systemd it has an account of its own and a filter of system calls (``fairtime-resolver@.service``).  Started by the
service as root, in a trial or a test, it becomes ``nobody``.  In both cases it can start no program, write no file and fill no
memory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.filter.sandbox is for Linux")

import resource

FILES = 8192
"""Descriptors: a child has 256 questions out and 64 connections at most."""
MEMORY = 1024 * 1024 * 1024
"""Bytes of address space; the lists are mapped into it, the old ones beside the new for a moment."""
NOBODY = 65534


def enter() -> None:
    """Give up all rights for good.  ``OSError`` when that fails: then this process must not go on."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write("fairtime-names")
    _limit(resource.RLIMIT_NOFILE, FILES)
    _limit(resource.RLIMIT_AS, MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    # Counted for each account: only without root's rights does it hold.
    _limit(resource.RLIMIT_NPROC, 0)
    os.chdir("/")


def lives() -> None:
    """Tell systemd, if it has started this process, that it lives: one that is caught in a circle is ended (sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        end.sendto(b"READY=1\nWATCHDOG=1", socket.MSG_DONTWAIT, address)


def _limit(what: int, wanted: int) -> None:
    _, most = resource.getrlimit(what)
    value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(what, (value, value))
