"""What the system itself denies, kept in step with the policy and with what guardians permit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.floor import denies
from agent.errors import HostError
from agent.model.floor import ProgramFloor
from agent.model.program import ProgramId
from agent.platforms.base import Capability
from agent.service.floors import FLOORS, Floors
from tests.house import LIMITS, House, family

CLOSED = LIMITS.replace('"ask"', '"block"')
GAME = ProgramId(name="game.exe", path="C:\\Users\\mia\\game.exe", sha256="a" * 64)


class Home:
    """A household on a computer that denies by rules of its own."""

    def __init__(self, folder: Path, limits: str = CLOSED) -> None:
        self.house = House(folder, family(limits=limits))
        self.host = self.house.host
        self.host.install(GAME)
        self.floors = Floors(self.host, self.house.loop)
        self.house.loop.heed = lambda _: self.floors.look()
        self.puts: list[tuple[ProgramFloor, ...]] = []
        put = self.host.put_programs

        async def counted(floors: tuple[ProgramFloor, ...]) -> None:
            self.puts.append(floors)
            await put(floors)

        self.floors.host = Counting(counted)  # type: ignore[assignment]  # as much of a host as it asks for

    async def tick(self, millis: int = 1000) -> None:
        await self.house.tick(millis)
        while self.floors._task is not None:
            await self.floors._task


class Counting:
    """The one call of a host that floors make."""

    def __init__(self, put: object) -> None:
        self.put_programs = put


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    made = Home(tmp_path)
    made.host.login("mia")
    await made.tick()
    yield made
    await made.floors.close()


async def test_the_computer_is_told_once_what_it_may_deny(home: Home) -> None:
    await home.tick()
    await home.tick(60_000)
    assert len(home.puts) == 1
    (floor,) = home.host.floors
    assert floor.accounts == ("mia",) and floor.others is not None


async def test_what_it_denies_is_told_to_the_child_as_the_service_denies(home: Home) -> None:
    assert home.house.start(GAME) is None
    await home.tick()
    assert [notice.kind for notice in home.house.shown if notice.kind == "blocked"] == ["blocked"]


async def test_a_permission_opens_and_its_end_closes(home: Home) -> None:
    await home.house.give(GAME.path, "today")
    await home.tick()
    assert not denies(home.host.floors[0], GAME)
    assert home.house.start(GAME) is not None
    (grant,) = [one for one in home.house.loop.engine.grants_of("mia") if one.kind == "program"]
    await home.house.withdraw(grant.id)
    await home.tick()
    assert denies(home.host.floors[0], GAME)
    assert len(home.puts) == 3


async def test_a_permission_that_runs_out_closes_by_itself(home: Home) -> None:
    await home.house.give(GAME.path, "today")
    await home.tick()
    assert not denies(home.host.floors[0], GAME)
    for _ in range(24):
        await home.tick(60 * 60_000)
    assert denies(home.host.floors[0], GAME)


async def test_a_new_policy_is_in_force_at_the_next_tick(home: Home) -> None:
    home.house.loop.adopt(family(limits=LIMITS))
    await home.tick()
    assert home.host.floors[0].others is None


async def test_a_computer_that_cannot_is_a_trouble_until_it_can(home: Home) -> None:
    home.host.missing[Capability.EXEC_GATE] = "it is too old"
    home.house.loop.adopt(family(limits=LIMITS))
    await home.tick()
    assert "it is too old" in home.house.loop.troubles[FLOORS]
    del home.host.missing[Capability.EXEC_GATE]
    home.house.loop.adopt(family(limits=CLOSED))
    await home.tick()
    assert FLOORS not in home.house.loop.troubles


async def test_no_floor_is_forgotten_while_the_computer_is_busy(home: Home) -> None:
    real, seen = home.host.put_programs, []

    async def slow(floors: tuple[ProgramFloor, ...]) -> None:
        seen.append(floors)
        if len(seen) == 1:
            home.house.loop.adopt(family(limits=CLOSED))
            await home.house.tick()
            raise HostError("busy", "again")
        await real(floors)

    home.floors.host = Counting(slow)  # type: ignore[assignment]  # as much of a host as it asks for
    home.house.loop.adopt(family(limits=LIMITS))
    await home.tick()
    assert len(seen) == 2 and home.host.floors[0].others is not None
