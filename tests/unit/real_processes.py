"""What the tests of the Linux host say about real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Person

ME = Person("me", os.geteuid(), frozenset(os.getgroups()))
NOBODY = 61238
"""A uid that nobody has."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="listens to the kernel or changes account, which needs root")


def mine(uid: int) -> bool:
    return uid == os.geteuid()


def running(pid: int) -> bool:
    stat = procfs.stat(pid)
    return stat is not None and stat.state not in "ZX"


def key(pid: int) -> tuple[int, int]:
    stat = procfs.stat(pid)
    assert stat is not None
    return pid, stat.started


def become_sleep(shell: subprocess.Popen[bytes]) -> None:
    """Let a shell that waits for a line go on to its ``exec sleep``, and wait until that is done."""
    assert shell.stdin is not None
    shell.stdin.close()
    for _ in range(1000):
        # In this order: the new file is there before its ``exec`` is through.
        new = (procfs.exe(shell.pid) or "").endswith("sleep")
        stat = procfs.stat(shell.pid)
        if new and stat is not None and stat.settled:
            return
        time.sleep(0.01)
    raise AssertionError("the shell did not become sleep")
