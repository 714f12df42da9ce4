"""Minutes that a guardian takes away: what there is, never more, and what is given later is there in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import MINUTE
from agent.errors import Refused
from agent.ipc.answers import Done
from agent.ipc.protocol import Give
from tests.house import House, family

LIMITS = 'windows = {}\nbudget = { all = "1h" }\nunknown_programs = "allow"\nprograms = []\n'


@pytest.fixture
async def house(tmp_path: Path) -> House:
    made = House(tmp_path, family(limits=LIMITS))
    made.host.login("mia")
    await made.tick()
    return made


async def give(house: House, minutes: int) -> Done:
    house.host.advance(1)  # two acts of a guardian are never of one moment
    return await house.act(Give(child="mia", kind="time", seconds=minutes * 60))


def left(house: House) -> int:
    """Minutes, rounded up."""
    decision = house.loop.engine.children["mia"].decision
    assert decision is not None
    assert decision.verdict.remaining is not None
    return -(-decision.verdict.remaining // MINUTE)


async def test_what_was_given_can_be_taken_back(house: House) -> None:
    await give(house, 120)
    assert left(house) == 180
    done = await give(house, -120)
    assert done.sentence == "mia: 2 h fewer today."
    assert left(house) == 60


async def test_no_more_is_taken_than_there_is_and_a_later_gift_is_whole(house: House) -> None:
    await give(house, 30)
    done = await give(house, -120)
    assert done.sentence == "mia: 1 h 30 min fewer today. There was no more to take."
    assert left(house) == 0
    with pytest.raises(Refused, match="mia has no minutes left today"):
        await give(house, -5)
    await give(house, 20)
    assert left(house) == 20
