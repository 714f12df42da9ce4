"""``fairtime doctor`` names a browser without rules for sites while a child may start it, and which child."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from agent.ipc.protocol import Give, Release
from agent.model.program import ProgramId
from agent.platforms.base import Finding
from agent.platforms.fake import FakeHost
from agent.service.doctor import Doctor
from tests import house, pc
from tests.family import child, compiled, head
from tests.house import House

FALKON = ProgramId(name="falkon", path="/usr/bin/falkon", package="deb:falkon", protected=True, application=True)
PLAIN = Finding("other", "weak", "Something else")
TITLE = "Falkon takes no rules for sites"


def uncovered(program: str) -> Finding:
    return Finding("browser-uncovered", "weak", TITLE, "Block it.", program=program)


class Found(FakeHost):
    """A computer with some browsers on it."""

    here: tuple[Finding, ...] = (PLAIN, uncovered("/usr/bin/falkon"))

    def findings(self, children: Collection[str]) -> tuple[Finding, ...]:
        return self.here


async def told(home: House) -> list[str]:
    doctor = Doctor(home.host, home.loop, lambda: (), lambda: ())
    await doctor.look()
    return [finding.title for finding in doctor.findings]


async def at(folder: Path, monkeypatch: pytest.MonkeyPatch, *limits: str) -> House:
    monkeypatch.setattr(house, "computer", lambda rules, *people: pc.computer(rules, *people, host=Found))
    names = ("mia", "tom")
    rules = head(guardian="Ana") + "".join(
        child(f"windows = {{}}\n{one}\n", name=name, accounts=[name]) for name, one in zip(names, limits, strict=False)
    )
    made = House(folder, compiled(rules))
    made.host.installed["/usr/bin/falkon"] = FALKON
    await made.tick()
    return made


SHUT, FREE = 'sites = { mode = "allow-list" }', 'sites = { mode = "block-list", rules = [] }'
BROWSERS = 'programs = [{ group = "browsers", action = "allow" }]'
NAMED = 'programs = [{ program = "falkon", action = "allow" }]'
ASKED = 'programs = [{ path = "/usr/bin/falkon", action = "ask" }]'


@pytest.mark.parametrize(
    ("limits", "who"),
    [
        ((f"{SHUT}\n{BROWSERS}",), None),
        ((f"{SHUT}\n{NAMED}",), "mia"),
        ((f"{SHUT}\n{ASKED}",), "mia"),
        ((f"{FREE}\n{NAMED}",), None),
        ((f"{SHUT}\n{NAMED}", f"{SHUT}\n{BROWSERS}"), "mia"),
        ((f"{SHUT}\n{NAMED}", f"{SHUT}\n{NAMED}"), "mia and tom"),
    ],
)
async def test_it_is_told_while_somebody_may_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, ...], who: str | None
) -> None:
    home = await at(tmp_path, monkeypatch, *limits)
    assert await told(home) == [PLAIN.title, *([f"{TITLE}, and {who} may use it"] if who else [])]


async def test_a_yes_is_told_until_it_is_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await at(tmp_path, monkeypatch, f"{SHUT}\n{BROWSERS}")
    done = await home.act(Give(child="mia", kind="program", subject="/usr/bin/falkon", lasting="good"))
    assert await told(home) == [PLAIN.title, f"{TITLE}, and mia may use it"]
    await home.act(Release(grant=done.id))
    assert await told(home) == [PLAIN.title]


async def test_flatpaks_go_by_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await at(
        tmp_path, monkeypatch, f'{SHUT}\nprograms = [{{ package = "flatpak:org.kde.falkon", action = "allow" }}]'
    )
    home.host.here = (uncovered("flatpak:org.kde.falkon"), uncovered("flatpak:com.brave.Browser"))  # type: ignore[attr-defined]  # as Found
    assert await told(home) == [f"{TITLE}, and mia may use it"]


async def test_what_nobody_can_identify_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await at(tmp_path, monkeypatch, f"{SHUT}\n{BROWSERS}")
    del home.host.installed["/usr/bin/falkon"]
    assert await told(home) == [PLAIN.title, TITLE]
