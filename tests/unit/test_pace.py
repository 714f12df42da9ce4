"""How soon the service looks again: seldom while nothing is near, every second when seconds matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import HOUR, MINUTE
from agent.ipc.protocol import Give
from agent.model.program import ProgramId
from agent.platforms.base import Capability
from agent.service.loop import CALM, EASY, ENGINE, SAVE_CALM, SAVE_EVERY, SHORTEST, TICK
from tests.house import LIMITS, House, family

HOUR_A_DAY = LIMITS.replace('"12h"', '"1h"')
OWN = ProgramId(name="game", path="/home/mia/game", sha256="a" * 64)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, family(limits=HOUR_A_DAY))


async def test_nobody_there_then_somebody_then_little_time_then_none(house: House) -> None:
    await house.tick()
    assert house.loop.pause() == CALM
    house.host.login("mia")
    await house.tick()
    assert house.loop.pause() == EASY
    for _ in range(59):
        await house.tick(MINUTE)
    assert house.loop.pause() == TICK, "a minute is left"
    await house.tick(2 * MINUTE)
    assert house.loop.pause() == TICK, "the session ends"


async def test_what_stands_still_is_watched_closely(house: House) -> None:
    house.host.login("mia")
    await house.tick()
    held = house.start(OWN)
    assert held is not None and house.still(held)
    await house.tick()
    assert house.loop.pause() == TICK


async def test_who_is_not_there_does_not_matter(tmp_path: Path) -> None:
    """A sister whose minutes are used up, and who has gone, keeps nobody awake."""
    house = House(tmp_path, family(limits=HOUR_A_DAY))
    session = house.host.login("mia")
    await house.tick()
    await house.tick(HOUR + MINUTE)
    house.host.logout(session.id)
    await house.tick(10 * MINUTE)
    assert house.loop.engine.easy


async def test_without_the_kernels_word_every_second_counts(tmp_path: Path) -> None:
    house = House(tmp_path, family(limits=HOUR_A_DAY))
    house.host.missing[Capability.START_EVENTS] = "they are not told here"
    house.kill()
    house.open()
    house.host.login("mia")
    await house.tick()
    assert house.loop.pause() == TICK


@pytest.mark.parametrize("early", [100, 1_300, 2_400, 4_900])
async def test_a_save_is_never_put_off_by_what_happens_before_it(house: House, early: int) -> None:
    """Something wakes the loop at any moment between two saves; the next is due five seconds after the last."""
    house.host.login("mia")
    await house.tick()
    await house.tick(SAVE_EVERY)
    saved = house.store.state(ENGINE)
    await house.tick(early)
    passed = early
    while house.store.state(ENGINE) == saved:
        pause = round(house.loop.pause() * 1000)
        assert pause > 0, "the loop rests while none is due"
        passed += pause
        await house.tick(pause)
    assert SAVE_EVERY <= passed <= SAVE_EVERY + 5
    assert SHORTEST < TICK


async def test_a_quiet_pc_is_written_down_once_a_minute(house: House) -> None:
    await house.tick()
    await house.tick(MINUTE)
    await house.tick(SAVE_CALM - 1_000)
    assert 0.5 < house.loop.pause() < CALM


async def test_a_lock_without_effect_is_renewed_a_second_later_whatever_wakes_the_loop(house: House) -> None:
    session = house.host.login("mia")
    await house.tick()
    await house.act(Give(child="mia", kind="lock"))
    assert house.host.ended == [(session.id, "lock")]
    house.host.change(session.id, locked_hint=False)
    await house.tick(700)
    assert house.loop.pause() <= 0.301
    await house.tick(round(house.loop.pause() * 1000))
    assert house.host.ended == [(session.id, "lock")] * 2
