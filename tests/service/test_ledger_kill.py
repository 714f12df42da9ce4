"""The ledger and the audit of a process that is killed: everything that a call returned from is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.model.usage import Charge
from agent.service.audit import Audit
from agent.service.store import Store

TODAY = "2026-01-14"
ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from pathlib import Path
from agent.model.usage import Charge
from agent.service.audit import Audit
from agent.service.store import Store

folder = Path(sys.argv[1])
store = Store.open(folder, machine_id="pc-1")
audit = Audit.open(folder, store)
print("open", store.condition, flush=True)
n = int(sys.argv[2])
while True:
    n += 1
    charges = [
        Charge(child="mia", day="2026-01-14", hour=15, kind="total", millis=n),
        Charge(child="mia", day="2026-01-14", hour=15, kind="program", key=f"p{n % 50}", millis=n),
    ]
    store.record(charges, {"n": b"%d" % n})
    if n % 10 == 0:
        audit.append("service", "service", "tick", detail=str(n), at=n)
    if n % 25 == 0:
        store.backup(keep=2)
    print(n, flush=True)
"""


def start(folder: Path, n: int) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(n)], stdout=subprocess.PIPE, text=True, env=env
    )


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_kill_at_any_moment_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    done = 0
    for turn in range(8):
        with start(tmp_path, done) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline().split()[0] == "open"
            returned = done
            for line in writer.stdout:
                returned = int(line)
                if returned >= done + 20 + turn * 7:
                    break
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                # The line that the kill cut is no promise.
                returned = int(line) if line.endswith("\n") else returned
        store = Store.open(tmp_path, machine_id="pc-1")
        assert store.condition == "ok"
        state = store.state("n")
        assert state is not None
        done = int(state)
        # The one call that had not returned may be there too, but then wholly: state, total and program agree.
        assert returned <= done <= returned + 1
        rows = store.rows("mia", TODAY, TODAY)
        total = sum(row.millis for row in rows if row.kind == "total")
        assert total == done * (done + 1) // 2
        assert sum(row.millis for row in rows if row.kind == "program") == total
        assert store.usage("mia", TODAY).days[TODAY].total == total
        assert not store.usage("mia", TODAY).lost
        audit = Audit.open(tmp_path, store)
        report = audit.verify()
        assert report.ok, report.reason
        assert sum(entry.action == "tick" for entry in audit.tail(10_000)) >= returned // 10
        store.close()


def full_disk(folder: Path, limit: int) -> dict[str, object]:
    """Record until files may grow no further (a real refusal by the kernel), then let them and write what is pending."""
    code = f"""
import json, resource, signal
from pathlib import Path
from agent.errors import StoreError
from agent.model.usage import Charge
from agent.service.store import Store

store = Store.open(Path({str(folder)!r}), machine_id="pc-1")
store.usage("mia", {TODAY!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
refused, n, advice = 0, 0, ""
for n in range(1, 2001):
    try:
        charge = Charge(child="mia", day={TODAY!r}, hour=n % 24, kind="program", key=f"p{{n}}" + "x" * 200, millis=n)
        store.record([charge], {{"n": b"%d" % n}})
    except StoreError as error:
        refused += 1
        advice = error.advice
        if refused == 30:
            break
held = sum(store.usage("mia", {TODAY!r}).days[{TODAY!r}].programs.values())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.flush()
store.close()
print(json.dumps({{"refused": refused, "n": n, "advice": advice, "held": held}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on file size is POSIX")
@pytest.mark.parametrize("limit", [100_000, 300_000])
def test_when_files_cannot_grow_nothing_is_lost(tmp_path: Path, limit: int) -> None:
    told = full_disk(tmp_path, limit)
    assert told["refused"] == 30
    assert told["advice"]
    n = int(str(told["n"]))
    assert told["held"] == n * (n + 1) // 2
    store = Store.open(tmp_path, machine_id="pc-1")
    assert store.condition == "ok"
    assert sum(row.millis for row in store.rows("mia", TODAY, TODAY)) == n * (n + 1) // 2
    assert store.state("n") == b"%d" % n
    store.close()


def test_a_charge_is_on_disk_for_any_reader_of_sqlite(tmp_path: Path) -> None:
    """An independent sum over the ledger file agrees: `sqlite3 ledger.db 'SELECT sum(millis) …'`."""
    import sqlite3

    store = Store.open(tmp_path, machine_id="pc-1")
    for n in range(100):
        store.record([Charge(child="mia", day=TODAY, hour=n % 24, kind="total", millis=n)], {})
    total = store.usage("mia", TODAY).days[TODAY].total
    store.close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    query = "SELECT sum(millis) FROM charge WHERE child = 'mia' AND day = ? AND kind = 'total'"
    assert connection.execute(query, (TODAY,)).fetchone() == (total,)
    connection.close()
