"""Learning which programs are used: what is only unknown runs and is written down, in the open, bounded, and for a while."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import HOUR, MINUTE, SECOND
from agent.core.checks import check
from agent.core.family import parse
from agent.core.learning import MOST_LEARNED, Learned, Learning, listing, propose, said
from agent.core.saying import say
from agent.errors import NotFound, Refused
from agent.ipc.protocol import Learn
from agent.model.program import ProgramId
from agent.resources import load_catalogue
from agent.service.learner import MOST_BRIEF
from tests.house import LIMITS, House, downloaded, family, installed, written

FIREFOX = ProgramId(name="firefox", path="/usr/lib/firefox/firefox", package="deb:firefox-esr", protected=True)
SCRIPT = ProgramId(name="x.py", path="/home/mia/x.py", interpreter="/usr/bin/python3", sha256="c" * 64)
CODE = ProgramId(name="python3", interpreter="/usr/bin/python3", package="deb:python3")
LS = ProgramId(name="ls", path="/usr/bin/ls", package="deb:coreutils", protected=True)


async def opened(folder: Path, more: str = "") -> House:
    made = House(folder, family(more))
    made.host.login("mia")
    await made.tick()
    return made


@pytest.fixture
async def house(tmp_path: Path) -> House:
    made = await opened(tmp_path)
    await made.act(Learn(child="mia", seconds=7 * 86_400))
    return made


def learned(house: House) -> dict[str, Learned]:
    return {one.title: one for one in house.loop.learner.of["mia"].programs.values()}


@pytest.mark.parametrize("unknown", ["ask", "block"])
async def test_what_is_only_unknown_runs_and_is_written_down(tmp_path: Path, unknown: str) -> None:
    house = House(tmp_path, family(limits=LIMITS.replace('"ask"', f'"{unknown}"')))
    house.host.login("mia")
    await house.tick()
    before = house.start(downloaded())
    assert before is None if unknown == "block" else house.still(before)
    await house.act(Learn(child="mia", seconds=3600))
    process = house.start(downloaded("game", "b"))
    assert process is not None
    assert not house.still(process)
    for _ in range(10):
        await house.tick(MINUTE)
    again = house.start(downloaded("game", "b"))
    await house.tick()
    assert house.alive(process)
    assert house.alive(again)
    one = learned(house)["game"]
    assert (one.starts, one.days, one.identity) == (2, 1, "sha256:" + "b" * 64)
    assert 10 * MINUTE <= one.millis <= 10 * MINUTE + 2 * SECOND
    assert not house.asked() or unknown == "ask"


async def test_what_waits_is_let_go_on_when_learning_begins(tmp_path: Path) -> None:
    house = await opened(tmp_path)
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    assert house.still(process)
    await house.act(Learn(child="mia", seconds=3600))
    await house.tick()
    assert not house.still(process)


async def test_what_the_policy_blocks_stays_blocked(tmp_path: Path) -> None:
    rule = '[{ id = "doom", sha256 = "' + "e" * 64 + '", action = "block" }]'
    house = House(tmp_path, family(limits=LIMITS.replace("programs = []", f"programs = {rule}")))
    house.host.login("mia")
    await house.tick()
    await house.act(Learn(child="mia", seconds=3600))
    process = house.start(downloaded("doom", "e"))
    await house.tick()
    assert not house.alive(process)


async def test_a_start_that_no_look_sees_is_counted(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    house.host.quit(process.pid)
    await house.tick()
    assert learned(house)["chess"].starts == 1


async def test_days_are_counted_once(house: House) -> None:
    for _ in range(3):
        for _ in range(2):
            process = house.start(downloaded())
            assert process is not None
            await house.tick()
            house.host.quit(process.pid)
        house.host.advance(24 * HOUR, asleep=True)
        await house.tick()
    one = learned(house)["chess"]
    assert (one.starts, one.days) == (6, 3)


async def test_it_ends_by_itself_and_says_so(tmp_path: Path) -> None:
    house = await opened(tmp_path)
    await house.act(Learn(child="mia", seconds=3600))
    assert "Fairtime is learning which programs you use. It stops on Monday at 16:00." in house.shown[-1].text
    first = house.start(downloaded())
    assert first is not None
    await house.tick(HOUR - 10 * SECOND)
    assert not house.still(first)
    await house.tick(20 * SECOND)
    assert house.loop.learner.of["mia"].over
    assert [n.title for n in house.shown if n.kind == "state"][-1] == "Learning is over"
    await house.tick()
    assert house.still(first), "what is new must be asked for again"
    later = house.start(downloaded("late", "d"))
    await house.tick()
    assert later is not None
    assert house.still(later)
    assert "late" not in learned(house)


async def test_a_guardian_ends_it_and_the_list_stays(house: House) -> None:
    process = house.start(downloaded())
    await house.tick()
    done = await house.act(Learn(child="mia", seconds=0))
    assert "1 programs are on the list" in done.sentence
    await house.tick()
    assert process is not None
    assert house.still(process)
    assert learned(house)
    with pytest.raises(NotFound):
        await house.act(Learn(child="mia", seconds=0))
    with pytest.raises(NotFound):
        await house.act(Learn(child="leo", seconds=60))
    with pytest.raises(Refused):
        await house.act(Learn(child="mia", seconds=5))
    log = (house.folder / "audit.log").read_text()
    assert "learn-start" in log
    assert "learn-stop" in log


async def test_it_survives_the_service(house: House) -> None:
    house.start(downloaded())
    await house.tick()
    await house.tick(70 * SECOND)
    house.kill()
    house.open()
    await house.tick()
    assert learned(house)["chess"].starts >= 1
    process = house.start(downloaded("new", "f"))
    assert process is not None
    assert not house.still(process)


async def test_damage_is_the_strict_side(house: House) -> None:
    house.store.record((), {"learning": b"{"})
    house.kill()
    house.open()
    await house.tick()
    process = house.start(downloaded())
    assert process is not None
    assert house.still(process)


async def test_it_is_bounded(house: House) -> None:
    for number in range(MOST_LEARNED + 30):
        house.start(ProgramId(name=f"g{number}", path=f"/home/mia/g{number}", sha256=f"{number:064x}"))
    await house.tick()
    known = house.loop.learner.of["mia"]
    assert len(known.programs) == MOST_LEARNED
    assert known.left_out == 30
    assert f"{known.left_out} starts of other programs" in propose(known)
    assert f"{known.left_out} starts of other programs" in listing(known, house.rules.zone)
    for _ in range(MOST_BRIEF + 10):
        house.loop.learner.started(house.start(LS))  # type: ignore[arg-type]  # it may start
    assert len(house.loop.learner._seen) <= MOST_BRIEF


# ---- the proposal --------------------------------------------------------------------------------------------------


async def test_the_proposal_is_a_file_that_can_be_signed(house: House) -> None:
    programs = (FIREFOX, installed(), installed("go"), downloaded(), downloaded("chess", "b"), SCRIPT, LS)
    for program in programs:
        house.start(program)
    house.loop.learner.started(house.start(CODE))  # type: ignore[arg-type]  # it may start
    await house.tick()
    await house.tick(MINUTE)
    known = house.loop.learner.of["mia"]
    assert known.system >= 1
    text = propose(known)
    assert "coreutils" not in text
    lines = text.splitlines()
    assert 'program = "firefox"' in lines
    assert 'package = "deb:go"' in lines
    assert not [line for line in lines if line.startswith("sha256")], "doubtful ones are commented out"
    assert "#: sha256 = " in text
    assert "lies where the child can write" in text
    assert "a script" in text
    assert "by its name alone" in text
    base = written(limits=LIMITS.replace("programs = []", ""))
    wanted = parse(base + text)
    assert not [problem for problem in check(wanted, load_catalogue()) if problem.error]
    bold = parse(base + text.replace("#: ", ""))
    assert not [problem for problem in check(bold, load_catalogue()) if problem.error]
    assert len(bold.children[0].limits.programs or []) == len(wanted.children[0].limits.programs or []) + 3


def test_most_used_first_and_what_has_a_rule_is_left_out() -> None:
    known = Learning(child="mia", since=0, until=1, by="Ana")
    for number, (title, millis, ruled) in enumerate((("a", 5, False), ("b", 9, False), ("c", 99, True))):
        known.programs[title] = Learned(identity=f"deb:{title}", title=title, millis=millis * MINUTE, ruled=ruled)
        known.programs[title].starts = number + 1
    text = propose(known)
    assert text.index("deb:b") < text.index("deb:a")
    assert "deb:c" not in text
    assert "1 more have a rule" in text
    assert "2 starts on 0 days, 9 min" in text


def test_nothing_used_is_said() -> None:
    known = Learning(child="mia", since=0, until=1, by="Ana", over=True)
    assert "Nothing was used" in propose(known)
    assert tomllib.loads(propose(known)) == {}
    assert "Nothing was started yet" in listing(known, family().zone)
    assert "over since" in listing(known, family().zone)
    assert "It stops on" in say(said(known, family().zone))


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["", "writable", "script", "name"]))
def test_no_name_breaks_the_proposal(title: str, path: str, doubt: str) -> None:
    known = Learning(child="mia", since=0, until=1, by="Ana")
    for number, identity in enumerate((f"path:/{path}", "sha256:" + "a" * 64, f"deb:{title}")):
        known.programs[str(number)] = Learned(identity=identity, title=title, path=path, doubt=doubt)
    tree = tomllib.loads("[[children]]\n" + propose(known))
    assert len(tree["children"][0].get("limits", {}).get("programs", [])) == (0 if doubt else 3)
