"""Guessing with ``kill -9`` in hand: a try that was begun counts, whatever becomes of the service."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.clock import FakeClock, SystemClock
from agent.errors import Refused
from agent.service.guardian import FREE_TRIES, Guardian
from agent.service.store import Store

ROOT = Path(__file__).resolve().parents[2]
GUESSER = """
import asyncio, sys, time
from pathlib import Path
from agent.clock import SystemClock
from agent.service import guardian
from agent.service.store import Store

def checking(hashed, secret):
    print("checking", flush=True)
    time.sleep(60)

guardian._matches = checking
store = Store.open(Path(sys.argv[1]), machine_id="pc-1")
asyncio.run(guardian.Guardian(store).prove("mia", "0815", SystemClock().now()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_killing_the_service_makes_no_try_free(tmp_path: Path) -> None:
    store = Store.open(tmp_path, machine_id="pc-1")
    asyncio.run(Guardian(store).set_pin("4711"))
    store.close()
    for _ in range(FREE_TRIES):
        command = [sys.executable, "-c", GUESSER, str(tmp_path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as guesser:
            assert guesser.stdout is not None
            assert guesser.stdout.readline() == "checking\n"
            guesser.send_signal(signal.SIGKILL)
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.condition == "ok"
    now = SystemClock().now()
    one = Guardian(store)
    assert 25_000 < one.wait("mia", now) <= 30_000
    with pytest.raises(Refused) as caught:
        asyncio.run(one.prove("mia", "4711", now))
    assert 25 <= (caught.value.retry_after or 0) <= 30
    asyncio.run(one.prove("ana", "4711", now))
    store.close()


def test_a_wait_outlives_the_ledgers_own_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    store = Store.open(tmp_path, machine_id="pc-1")
    asyncio.run(Guardian(store).set_pin("4711"))
    for wrong in range(1, 6):
        with pytest.raises(Refused):
            asyncio.run(Guardian(store).prove("mia", "0815", clock.now()))
        wait = Guardian(store).wait("mia", clock.now())
        store.close()
        store = Store.open(tmp_path, machine_id="pc-1")
        assert Guardian(store).wait("mia", clock.now()) == wait
        assert (wait > 0) is (wrong >= FREE_TRIES)
        clock.advance(wait)
    store.close()
