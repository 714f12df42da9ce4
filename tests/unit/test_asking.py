"""A program that must be asked for: it stands still, the guardians are asked, and only their yes lets it run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.clock import HOUR, MINUTE, SECOND
from agent.core.agreement import agreement
from agent.core.holding import MOST_HELD, WITHOUT_SESSION, identity_of
from agent.core.judge import permitted
from agent.model.grant import Grant, Lasting
from agent.model.program import ProgramId
from agent.platforms.base import Capability
from tests.family import MONDAY
from tests.house import LIMITS, House, downloaded, family, installed

CODE = ProgramId(name="python3", interpreter="/usr/bin/python3", package="deb:python3")


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return await opened(tmp_path)


async def opened(folder: Path, more: str = "") -> House:
    made = House(folder, family(more))
    made.host.login("mia")
    await made.tick()
    return made


# ---- held --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [downloaded(), installed()])
async def test_an_unknown_program_stands_still_and_a_guardian_is_asked(house: House, program: ProgramId) -> None:
    process = house.start(program)
    assert process is not None
    assert house.still(process), "from its start, not from the next look"
    await house.tick()
    await house.tick(4 * MINUTE)
    assert house.alive(process)
    assert house.ran(process) == 0
    (request,) = house.asked()
    assert (request.kind, request.subject, request.identity) == ("program", "chess", identity_of(program))
    assert request.place == program.path
    (notice,) = house.shown
    assert notice.kind == "ask"
    assert "chess is new here. Ana has been asked. It waits for the answer, 5 min at most." in notice.text
    again = house.start(program)
    await house.tick()
    assert again is not None
    assert house.still(again)
    assert len(house.asked()) == 1, "one question for one program"


async def test_what_is_held_is_not_charged_as_a_program(house: House) -> None:
    house.start(downloaded())
    await house.hours(0.05)
    assert house.store.rows("mia", "", "9999")
    assert not [row for row in house.store.rows("mia", "", "9999") if row.kind == "program"]


@pytest.mark.parametrize("lasting", ["once", "today", "good"])
async def test_a_yes_lets_it_go_on(house: House, lasting: Lasting) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    done = await house.answer(house.asked()[0], lasting, "Have fun.")
    assert "granted" in done.sentence
    assert house.alive(process)
    assert not house.still(process)
    await house.tick()
    assert house.ran(process) == SECOND
    assert not house.asked()
    (grant,) = house.store.grants("mia", at=house.wall)
    assert (grant.subject, grant.title, grant.once) == ("sha256:" + "a" * 64, "chess", lasting == "once")
    assert [n.title for n in house.shown if n.kind == "granted"] == ["From Ana"]
    log = (house.folder / "audit.log").read_text()
    assert "request-granted" in log
    assert "give-program" in log
    assert grant.subject in log


async def test_once_is_until_it_is_closed(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.answer(house.asked()[0], "once")
    await house.hours(2)
    helper = house.start(downloaded())
    assert helper is not None
    assert not house.still(helper), "it is open already"
    house.host.quit(process.pid)
    await house.hours(1)
    assert house.alive(helper)
    house.host.quit(helper.pid)
    await house.tick()
    assert not house.store.grants("mia", at=house.wall)
    again = house.start(downloaded())
    assert again is not None
    assert house.still(again)


async def test_once_does_not_wait_for_ever(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    request = house.asked()[0]
    house.host.quit(process.pid)
    await house.answer(request, "once")
    await house.tick(30 * SECOND)
    assert house.store.grants("mia", at=house.wall)
    await house.tick(40 * SECOND)
    assert not house.store.grants("mia", at=house.wall)


async def test_today_ends_with_the_day(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.answer(house.asked()[0], "today")
    second = house.start(downloaded())
    assert second is not None
    assert not house.still(second)
    for one in (process, second):
        house.host.quit(one.pid)
    house.host.advance(12 * HOUR, asleep=True)
    await house.tick()
    assert house.loop.engine.today("mia") > MONDAY
    third = house.start(downloaded())
    assert third is not None
    assert house.still(third)


async def test_good_is_until_it_is_withdrawn(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.answer(house.asked()[0], "good")
    house.host.advance(20 * 24 * HOUR, asleep=True)
    await house.tick()
    (grant,) = house.store.grants("mia", at=house.wall)
    assert house.alive(process)
    await house.withdraw(grant.id)
    await house.tick()
    assert house.still(process), "it is a new program again"


async def test_a_no_closes_it_and_holds_for_the_day(house: House) -> None:
    process = house.start(downloaded())
    await house.tick()
    await house.answer(house.asked()[0], None, "Too old for you.")
    assert not house.alive(process)
    said = house.shown[-1]
    assert "Chess is not for today. Too old for you." in said.text
    again = house.start(downloaded())
    await house.tick()
    assert not house.alive(again), "and it is not asked again at once"
    assert not house.asked()
    assert "Ana said no to chess for today. Too old for you." in house.shown[-1].text
    other = house.start(downloaded("draughts", "b"))
    assert other is not None
    assert house.still(other)
    await house.withdraw(house.store.grants("mia", at=house.wall)[0].id)
    third = house.start(downloaded())
    assert third is not None
    assert house.still(third)


async def test_the_last_word_counts(house: House) -> None:
    house.start(downloaded())
    await house.tick()
    await house.answer(house.asked()[0], None)
    await house.tick()
    house.host.install(downloaded())
    await house.give("/home/mia/chess", "today")
    process = house.start(downloaded())
    assert process is not None
    assert not house.still(process)


# ---- never free, never for ever ------------------------------------------------------------------------------------


async def test_nobody_answers(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.tick(5 * MINUTE - 2 * SECOND)
    assert house.alive(process)
    await house.tick(3 * SECOND)
    assert not house.alive(process)
    assert "Nobody has answered for 5 min" in house.shown[-1].text
    assert len(house.asked()) == 1, "the question stays open"
    again = house.start(downloaded())
    assert again is not None
    await house.tick()
    assert house.still(again)
    await house.answer(house.asked()[0], "today")
    assert not house.still(again)


async def test_the_policy_says_how_long(tmp_path: Path) -> None:
    house = await opened(tmp_path, 'answer_within = "30s"')
    process = house.start(downloaded())
    await house.tick()
    await house.tick(31 * SECOND)
    assert not house.alive(process)


async def test_no_waiting_is_closed_and_asked(tmp_path: Path) -> None:
    house = await opened(tmp_path, 'answer_within = "0s"')
    process = house.start(downloaded())
    assert process is None, "denied at its start"
    await house.tick()
    assert len(house.asked()) == 1
    assert "Ana has been asked. Start it again after a yes." in house.shown[-1].text


async def test_only_a_few_wait_at_a_time(house: House) -> None:
    started = [house.start(downloaded(f"game{n}", format(n, "x"))) for n in range(MOST_HELD + 3)]
    assert [one is not None for one in started] == [True] * MOST_HELD + [False] * 3
    await house.tick()
    assert len(house.host.held) == MOST_HELD
    assert len(house.asked()) == MOST_HELD
    assert house.start(downloaded("late", "f")) is None
    await house.tick()
    assert "5 programs wait for an answer already" in house.shown[-1].text


async def test_a_flood_of_starts_between_two_looks_is_bounded(house: House) -> None:
    alive = [house.start(downloaded("game", "c")) for _ in range(200)]
    assert sum(one is not None for one in alive) == MOST_HELD
    await house.tick()
    assert sum(house.alive(one) for one in alive) == MOST_HELD


async def test_logging_out_ends_it(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    # A session that is gone while its programs live on, as after a crash of the display.
    house.host.sessions.clear()
    await house.tick()
    assert house.alive(process)
    await house.tick(WITHOUT_SESSION)
    assert not house.alive(process)


@pytest.mark.parametrize("program", [CODE, ProgramId(name="memfd")])
async def test_what_nothing_tells_from_others_cannot_be_asked_for(house: House, program: ProgramId) -> None:
    assert house.start(program) is None
    await house.tick()
    assert not house.asked()
    assert "Nothing tells" in house.shown[-1].text


async def test_a_large_file_waits_for_its_hash(house: House) -> None:
    unread = replace(downloaded(), sha256="")
    process = house.start(unread)
    assert process is not None
    assert house.still(process)
    await house.tick()
    assert not house.asked()
    house.host.running[process.pid].process = replace(process, program=downloaded())
    await house.tick()
    assert [r.identity for r in house.asked()] == ["sha256:" + "a" * 64]
    assert house.still(process)


async def test_a_namesake_gets_nothing(house: House) -> None:
    house.start(downloaded())
    await house.tick()
    await house.answer(house.asked()[0], "good")
    false = house.start(replace(downloaded(), sha256="b" * 64))
    assert false is not None
    assert house.still(false)
    renamed = house.start(replace(downloaded(), path="/home/mia/other", name="other"))
    assert renamed is not None
    assert not house.still(renamed), "the same bytes are the same program"


def test_a_package_is_no_permission_for_code_of_its_interpreter() -> None:
    assert identity_of(CODE) == ""
    assert not permitted("deb:python3", CODE, "python3", True)
    assert permitted("deb:chess", installed(), "chess", True)
    script = ProgramId(name="x.py", path="/home/mia/x.py", interpreter="/usr/bin/python3", sha256="c" * 64)
    assert identity_of(script) == "sha256:" + "c" * 64


async def test_where_nothing_can_be_held_it_is_stopped(house: House) -> None:
    house.host.missing[Capability.HOLD] = "no freezer"
    house.host.missing[Capability.START_EVENTS] = "no events"
    house.host._decide = None
    process = house.start(downloaded())
    await house.tick()
    assert not house.alive(process)
    assert len(house.asked()) == 1


async def test_a_program_that_runs_already_is_held_by_the_tick(house: House) -> None:
    house.host._decide = None
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    assert house.still(process)
    await house.answer(house.asked()[0], "once")
    assert not house.still(process)


async def test_many_questions_are_not_more_than_the_ledger_takes(house: House) -> None:
    for number in range(25):
        process = house.start(ProgramId(name=f"g{number}", path=f"/home/mia/g{number}", sha256=f"{number:064x}"))
        await house.tick()
        if process is not None:
            house.host.quit(process.pid)
        await house.tick()
    assert len(house.asked()) == 20
    assert "Many questions are open already" in house.shown[-1].text


# ---- the service dies ----------------------------------------------------------------------------------------------


async def test_killed_while_something_is_held(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.tick(6 * SECOND)  # saved
    house.kill()
    house.host.advance(2 * MINUTE)
    house.open()
    await house.tick()
    assert house.still(process)
    assert house.ran(process) == 0
    await house.tick(2 * MINUTE + 50 * SECOND)
    assert house.still(process)
    await house.tick(5 * SECOND)
    assert not house.alive(process), "and its time runs on"


async def test_killed_and_its_memory_lost(house: House) -> None:
    process = house.start(downloaded())
    assert process is not None
    await house.tick()
    await house.answer(house.asked()[0], "good")
    house.host.held.add(process.pid)  # held by a service that died before it let go
    house.kill()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (house.folder / name).unlink(missing_ok=True)
    house.open()
    await house.tick()
    assert house.still(process), "the permission is lost too, so it is asked for again"
    await house.answer(house.asked()[0], "once")
    assert not house.still(process)


async def test_held_by_mistake_is_let_go_on(house: House) -> None:
    process = house.start(ProgramId(name="ls", path="/usr/bin/ls", package="deb:coreutils", protected=True))
    assert process is not None
    house.host.held.add(process.pid)
    await house.tick()
    assert not house.still(process)


# ---- whatever happens ----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "once", "today", "good", "no", "withdraw", "wait", "long", "quit", "kill", "day"]),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STEPS)
async def test_no_answer_ever_lets_an_unknown_program_run_without_a_grant(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int]]
) -> None:
    house = await opened(tmp_path_factory.mktemp("house"))
    for what, which in story:
        before = {pid: one.ran for pid, one in house.host.running.items()}
        allowed = {g.subject for g in given_now(house)}
        program = downloaded(f"game{which}", format(which, "x"))
        match what:
            case "start":
                house.start(program)
                await house.tick()
            case "once" | "today" | "good" | "no":
                if house.asked():
                    await house.answer(house.asked()[-1], None if what == "no" else what)
            case "withdraw":
                for grant in given_now(house)[:1]:
                    await house.withdraw(grant.id)
            case "wait":
                await house.tick(7 * SECOND)
            case "long":
                await house.tick(5 * MINUTE)
            case "quit":
                for pid in list(house.host.running)[:1]:
                    house.host.quit(pid)
                await house.tick()
            case "kill":
                house.kill()
                house.host.advance(10 * SECOND)
                house.open()
                await house.tick()
            case "day":
                house.host.advance(13 * HOUR, asleep=True)
                await house.tick()
        for pid, one in house.host.running.items():
            if one.ran > before.get(pid, 0):
                assert identity_of(one.process.program) in allowed, (what, one.process.program.name)
        assert len(house.host.held) <= MOST_HELD
        now = {g.subject for g in given_now(house)}
        for pid in list(house.host.held):
            assert identity_of(house.host.running[pid].process.program) not in now, "allowed, and still held"
    house.kill()


def given_now(house: House) -> list[Grant]:
    return [g for g in house.store.grants("mia", at=house.wall) if g.kind == "program"]


def test_the_agreement_says_what_asking_means() -> None:
    text = agreement(family(), "mia", MONDAY)
    assert "It stands still at its start and waits for Ana, 5 min at most." in text
    assert "for this very program, not for its name" in text
    closed = agreement(family('answer_within = "0s"'), "mia", MONDAY)
    assert "It is closed at once. The question goes to Ana" in closed
    open_house = family(limits=LIMITS.replace('"ask"', '"allow"'))
    assert "When a program is new" not in agreement(open_house, "mia", MONDAY)
