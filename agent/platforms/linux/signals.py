"""Signals that reach the process that was meant, never one that was given its pid later (pidfd_open(2))."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import procfs

log = logging.getLogger(__name__)


@contextmanager
def handle(pid: int, started: int | None = None) -> Iterator[int | None]:
    """A pidfd of the process, of this very one when its start is given; ``None`` when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        stat = procfs.stat(pid) if started is not None else None
        yield pidfd if started is None or (stat is not None and stat.started == started) else None
    finally:
        os.close(pidfd)


def send(pidfd: int, number: signal.Signals) -> bool:
    """Whether the signal was sent: not to a process that has ended, nor without the right, which is logged."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        log.warning("a program could not be sent %s: the service lacks the right", number.name)
        return False
    return True


def send_to(pid: int, number: signal.Signals, started: int | None = None) -> None:
    """The same to a pid, if it is there (and is the process that started then)."""
    with handle(pid, started) as pidfd:
        if pidfd is not None:
            send(pidfd, number)
