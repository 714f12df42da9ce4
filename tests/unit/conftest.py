"""Real processes to look at: shells that live until the test is over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def shells() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts ``sh -c script`` and waits until it printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        assert process.stdout is not None
        process.stdout.close()  # not read to its end: what detached may hold the other end
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
