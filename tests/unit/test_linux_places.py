"""Where a child's programs run, as their control groups tell it."""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("control groups are Linux's", allow_module_level=True)

from agent.model.program import Process, ProgramId
from agent.platforms.linux import places
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.places import Place, Places, Stray, place_of

MIA = Person("mia", 1001, frozenset({1001}))
OWN = "/user.slice/user-1001.slice/session-3.scope"
SERVICE = "/user.slice/user-1001.slice/user@1001.service/app.slice/game.service"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (OWN, Place(1001, "3")),
        ("/user.slice/user-1001.slice/session-c12.scope", Place(1001, "c12")),
        (SERVICE, Place(1001, "", manager=True)),
        ("/user.slice/user-1001.slice/fairtime-1001-7-1.scope", Place(1001)),
        ("/system.slice/cron.service", Place()),
        ("/system.slice/docker-0a1b.scope", Place(container=True)),
        ("/machine.slice/libpod-9.scope/container", Place(container=True)),
        ("/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-9.scope", Place(1001, "", manager=True)),
        ("/", Place()),
        ("", Place()),
        # A child names its own scopes: a name alone makes it nobody's container and no session.
        ("/user.slice/user-1001.slice/user@1001.service/app.slice/session-9.scope", Place(1001, "9", manager=True)),
        ("/user.slice/user-1001.slicex/session-3.scopex", Place()),
    ],
)
def test_a_path_tells_the_place(path: str, place: Place) -> None:
    assert place_of(path) == place


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: dict[int, str] = {}
        self.read: list[int] = []
        self.places = Places(self._cgroup)
        monkeypatch.setattr(places, "_name", lambda uid: f"account-{uid}")

    def _cgroup(self, pid: int) -> str:
        self.read.append(pid)
        return self.paths[pid]

    def look(self) -> None:
        processes = tuple(
            Process(pid=pid, started=1, parent=1, account="mia", program=ProgramId(name="x", path="/x"))
            for pid in self.paths
        )
        self.places.look(processes, Owners.of([MIA]))

    def strays(self) -> list[tuple[int, str, bool]]:
        return [(s.process.pid, s.within, s.gathered) for s in self.places.strays("mia", 1001)]


def test_what_is_at_home_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.paths = {1: OWN, 2: SERVICE, 3: "/system.slice/atd.service"}
    for _ in range(3):
        world.look()
    assert world.read.count(1) == world.read.count(2) == 1
    assert world.read.count(3) == 3, "what is not may still be moved"


def test_strays_are_told_once_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login moves its first program into the session a moment after it started."""
    world = World(monkeypatch)
    world.paths = {
        1: "/system.slice/ssh.service",
        2: "/user.slice/user-1002.slice/session-8.scope",
        3: "/system.slice/cron.service",
        4: "/user.slice/user-1001.slice/fairtime-1001-7-1.scope",
        5: "/system.slice/docker-0a.scope",
    }
    world.look()
    assert world.strays() == []
    world.paths[1] = OWN
    world.look()
    assert world.strays() == [(2, "account-1002", False), (3, "", False), (4, "", True)]
    assert isinstance(world.places.strays("mia", 1001)[0], Stray)
    assert world.places.strays("leo", 1002) == []


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (SERVICE, True),
        ("/user.slice/user-1001.slice/session-3.scope", True),
        ("/system.slice/cron.service", True),
        ("/user.slice/user-1002.slice/session-8.scope", False),
        ("/system.slice/docker-0a.scope", False),
    ],
)
def test_leftovers_are_what_runs_without_a_session_in_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, path: str, left: bool
) -> None:
    world = World(monkeypatch)
    world.paths = {1: path}
    world.look()
    assert world.places.leftovers("mia", 1001, frozenset()) is left
    assert not world.places.leftovers("leo", 1002, frozenset())
    if "session-3" in path:
        assert not world.places.leftovers("mia", 1001, {"3"})
