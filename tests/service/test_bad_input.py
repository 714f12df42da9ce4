"""Everything bad that may come in, in one table: each is told with a title and advice, loses nothing, and never opens anything."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.clock import MINUTE, FakeClock
from agent.core.checks import check, refuse_errors
from agent.core.family import parse
from agent.core.timekeeper import disagreement
from agent.errors import FairtimeError
from agent.model.usage import Charge
from agent.resources import load_catalogue
from agent.service import jobs
from agent.service.guardian import Guardian
from agent.service.ledger_files import LEDGER
from agent.service.policies import POLICY
from agent.service.statelock import StateLock
from agent.service.store import Store
from agent.trust.verify import run as run_verify
from tests.property.test_core import World
from tests.unit.test_family import BASE, MORE
from tests.unit.test_guardian import Memory
from tests.unit.test_trust import EVE, NOW, begun, payload, signed, store

TODAY = "2026-11-24"


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def inside(name: str, request: bytes) -> bytes:
        return run_verify(request)

    monkeypatch.setattr(jobs, "run", inside)
    yield


def family(text: str, accounts: list[str] | None = None) -> Callable[[Path], None]:
    def act(_: Path) -> None:
        refuse_errors(check(parse(text), load_catalogue(), accounts), "family.toml")

    return act


def policy(make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Install a bad policy over a good one; what was in force must stay in force."""

    def act(folder: Path) -> None:
        kept = begun(folder, 2)
        try:
            asyncio.run(kept.install(make(signed(payload(3))), NOW))
        finally:
            found = asyncio.run(store(folder).load(NOW))
            assert found.state == "in force"
            assert found.policy is not None
            assert found.policy.version == 2

    return act


def flipped(data: bytes) -> bytes:
    broken = bytearray(data)
    broken[len(data) // 2] ^= 4
    return bytes(broken)


def lost(harm: Callable[[Path], None]) -> Callable[[Path], None]:
    """Harm the ledger; today must then count as used, or the ledger be refused."""

    def act(folder: Path) -> None:
        ledger = Store.open(folder, machine_id="here")
        ledger.record([Charge(child="mia", day=TODAY, hour=15, kind="total", millis=60_000)], {})
        ledger.close()
        harm(folder)
        again = Store.open(folder, machine_id="here")
        try:
            usage = again.usage("mia", TODAY)
            assert usage.lost or usage.days[TODAY].total == 60_000, "never a fresh budget"
            raise FairtimeError(f"The ledger is {again.condition}", again.advice)
        finally:
            again.close()

    return act


def newer(folder: Path) -> None:
    connection = sqlite3.connect(folder / LEDGER)
    connection.execute("PRAGMA user_version = 9999")
    connection.commit()
    connection.close()


def deleted(folder: Path) -> None:
    for path in folder.glob(f"{LEDGER}*"):
        path.unlink()
    shutil.rmtree(folder / "backups", ignore_errors=True)


def twice(folder: Path) -> None:
    with StateLock(folder):
        StateLock(folder)


def read_only(folder: Path) -> None:
    """As root a file system that is mounted read-only, in a mount namespace of its own; else a folder that is not ours to
    write."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() != 0:
        state.chmod(0o500)
        StateLock(state)
        return
    words = (
        "from pathlib import Path\n"
        "from agent.errors import FairtimeError\n"
        "from agent.service.statelock import StateLock\n"
        "try: StateLock(Path('.'))\n"
        "except FairtimeError as error: print(error.title, error.advice, sep='\\n')\n"
    )
    mounted = f'mount -t tmpfs -o ro,size=64k none "$0" && cd "$0" && "{sys.executable}" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", mounted, str(state), words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    title, advice = done.stdout.splitlines()
    assert "Read-only file system" in title
    raise FairtimeError(title, advice)


def full(folder: Path) -> None:
    """A file system without a byte left: the kernel's own /dev/full in the place of the new policy."""
    kept = begun(folder, 1)
    (folder / f".{POLICY}.new").symlink_to("/dev/full")
    try:
        asyncio.run(kept.install(signed(payload(2)), NOW))
    finally:
        (folder / f".{POLICY}.new").unlink(missing_ok=True)
        assert asyncio.run(store(folder).load(NOW)).state == "in force"


def twenty_pins(_: Path) -> None:
    one, clock = Guardian(Memory()), FakeClock()
    asyncio.run(one.set_pin("4711"))
    for _ in range(20):
        try:
            asyncio.run(one.prove("mia", "0000", clock.now()))
        except FairtimeError as error:
            last = error
    assert one.wait("mia", clock.now()) > 0
    raise last


def clock_at(wall: int) -> Callable[[Path], None]:
    def act(_: Path) -> None:
        world = World()
        world.host.login("mia")
        world.tick()
        world.pass_time(10 * MINUTE)
        left = world.remaining
        world.host.clock.jump(wall - world.host.clock.instant.wall)
        step = world.engine.step(world.host.clock.now(), asyncio.run(world.host.observe()))
        assert world.remaining <= left
        assert step.events, "a clock that leaps is told"
        for _ in range(30):
            world.pass_time(MINUTE)
        assert world.charged["total"] == 40 * MINUTE, "nothing is lost"
        assert world.remaining == left - 30 * MINUTE
        assert world.engine.keeper is not None
        told = disagreement(world.engine.keeper)
        assert told is not None, "and shown for as long as it stands wrong"
        raise FairtimeError(*told)

    return act


CASES: dict[str, Callable[[Path], None]] = {
    "truncated policy": policy(lambda data: data[:-40]),
    "bit-flipped policy": policy(flipped),
    "foreign policy": policy(lambda _: signed(payload(3), EVE)),
    "replayed policy": policy(lambda _: signed(payload(1))),
    "expired policy": policy(lambda _: signed(payload(3, expires="2026-01-02T00:00:00Z"))),
    "empty policy": policy(lambda _: b""),
    "1 MiB of junk as policy": policy(lambda _: os.urandom(1024 * 1024)),
    "unknown key": family(BASE + 'windws = { all = ["09:00-10:00"] }\n'),
    "budget of 25 h": family(BASE + 'budget = { all = "25h" }\n'),
    "overlapping windows": family(BASE + 'windows = { all = ["09:00-12:00", "11:00-13:00"] }\n'),
    "unknown account": family(BASE, ["ana"]),
    "two children with one account": family(BASE + MORE.format(account="mia")),
    "disk full": full,
    "read-only state folder": read_only,
    "ledger deleted": lost(deleted),
    "ledger corrupted": lost(lambda folder: (folder / LEDGER).write_bytes(b"\x00junk" * 4000)),
    "ledger from a newer version": lost(newer),
    "service started twice": twice,
    "wrong PIN 20 times": twenty_pins,
    "clock at 1970": clock_at(86_400_000),
    "clock at 2106": clock_at(4_294_967_295_000),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    with pytest.raises(FairtimeError) as caught:
        CASES[name](tmp_path)
    assert caught.value.title
    assert caught.value.advice, f"{name}: {caught.value.title}"


def test_nothing_was_taken_from_the_table() -> None:
    assert len(CASES) == 21
