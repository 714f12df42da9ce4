"""What every ``Host`` must do, whatever stands behind it.

A host is tested by a test module of its own::

    from tests.contract.host_contract import HostContract, Rig

    class TestFakeHost(HostContract):
        @pytest.fixture
        async def rig(self) -> AsyncIterator[Rig]:
            yield FakeRig(...)          # the host is not open yet: the contract opens and closes it

A ``Rig`` is a host and a hand in the world that it looks at; eight small members, all described below.  A rig for a real
system starts real processes; a rig for a host in memory changes its memory.  Nothing here knows which one it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from agent.errors import HostError
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.model.program import Process
from agent.model.site import SiteLane, SitePlan
from agent.model.snapshot import Session, Snapshot
from agent.platforms.base import Capability, Host, Start

Key = tuple[int, int]
"""``(pid, started)`` of a process."""


class Rig(Protocol):
    """A host, and how the test acts on its world."""

    @property
    def host(self) -> Host: ...

    @property
    def child(self) -> str:
        """An account that the contract watches."""

    @property
    def stranger(self) -> str:
        """Another account, never watched."""

    async def login(self, account: str) -> str:
        """Begin an active, unlocked session of ``account``; its id as ``observe`` must report it."""

    async def start(self, account: str, name: str, *, stubborn: bool = False, offspring: int = 0) -> tuple[Key, ...]:
        """Start a program whose file name is ``name`` as ``account``, in a file that the account may not write.

        It runs until it is stopped.  It is the parent of ``offspring`` further processes of the same program (a chain or
        a fan, as the rig likes; one of them in a session of its own).  ``stubborn``: they all ignore a request to
        terminate.  The keys, the first process first.
        """

    async def become(self, key: Key, name: str) -> None:
        """The process at ``key`` (started by ``start``) goes on as program ``name``, under the same pid (``exec``)."""

    def alive(self, key: Key) -> bool:
        """Whether this very process still runs (a zombie does not)."""

    def still(self, key: Key) -> bool:
        """Whether this living process stands still."""

    async def pass_time(self, millis: int) -> None:
        """Let the world's time go by; the host's own tasks run meanwhile."""


@dataclass
class Wake:
    """Counts the calls of ``wake``."""

    count: int = 0

    def __call__(self) -> None:
        self.count += 1


def allow(_: Process) -> Start:
    return Start.ALLOW


def refuse_games(process: Process) -> Start:
    return Start.DENY if process.program.name == "game" else Start.ALLOW


async def until_seen(rig: Rig, key: Key, *, tries: int = 30) -> Process:
    """The process at ``key`` as ``observe`` reports it, as soon as it does."""
    for _ in range(tries):
        for process in (await rig.host.observe()).processes:
            if process.key == key:
                return process
        await rig.pass_time(200)
    raise AssertionError(f"observe never reported {key}")


async def until_gone(rig: Rig, keys: tuple[Key, ...], *, within: int) -> bool:
    """Whether all of ``keys`` are gone within so many milliseconds of the world's time."""
    for _ in range(within // 100):
        if not any(rig.alive(key) for key in keys):
            return True
        await rig.pass_time(100)
    return not any(rig.alive(key) for key in keys)


async def session_of(rig: Rig, session: str, *, tries: int = 30) -> Session:
    for _ in range(tries):
        for seen in (await rig.host.observe()).sessions:
            if seen.id == session:
                return seen
        await rig.pass_time(200)
    raise AssertionError(f"observe never reported session {session}")


def able(host: Host, capability: Capability) -> bool:
    return any(ability.present for ability in host.abilities() if ability.capability is capability)


class HostContract:
    """The promises of ``agent.platforms.base.Host``."""

    @pytest.fixture
    def wake(self) -> Wake:
        return Wake()

    @pytest.fixture
    async def opened(self, rig: Rig, wake: Wake) -> AsyncIterator[Rig]:
        """The rig with its host open, watching the child and allowing all."""
        rig.host.watch([rig.child])
        rig.host.on_start(allow)
        await rig.host.open(wake)
        yield rig
        await rig.host.close()

    # -- life ------------------------------------------------------------------------------------------------------

    async def test_closes_twice_and_unopened(self, rig: Rig, wake: Wake) -> None:
        await rig.host.close()
        await rig.host.open(wake)
        await rig.host.close()
        await rig.host.close()

    async def test_where_no_gate_is_asked_for_nothing_has_to_be_waited_for(self, opened: Rig) -> None:
        async with asyncio.timeout(20):
            await opened.host.in_place()

    async def test_clock_runs_forward(self, opened: Rig) -> None:
        before = opened.host.clock.now()
        await opened.pass_time(50)
        after = opened.host.clock.now()
        assert after.boot > before.boot
        assert after.boot_id == before.boot_id

    # -- abilities -------------------------------------------------------------------------------------------------

    async def test_abilities_name_every_capability_once(self, opened: Rig) -> None:
        named = [ability.capability for ability in opened.host.abilities()]
        assert sorted(named) == sorted(Capability)

    async def test_missing_ability_says_why(self, opened: Rig) -> None:
        for ability in opened.host.abilities():
            assert ability.present or len(ability.why) > 10, ability

    async def test_findings_are_bounded_and_advise(self, opened: Rig) -> None:
        findings = opened.host.findings([opened.child])
        assert len(findings) <= 100
        for finding in findings:
            assert finding.severity in {"ok", "note", "weak", "open"}
            assert finding.id and finding.title
            assert finding.advice or finding.severity in {"ok", "note"}, finding

    async def test_accounts_are_people(self, opened: Rig) -> None:
        accounts = opened.host.accounts()
        assert len({account.name for account in accounts}) == len(accounts)
        assert all(account.name and account.uid for account in accounts)

    async def test_machine_id_is_stable(self, opened: Rig) -> None:
        assert opened.host.machine_id()
        assert opened.host.machine_id() == opened.host.machine_id()

    async def test_identify_knows_nothing_of_a_missing_program(self, opened: Rig) -> None:
        assert opened.host.identify("/no/such/program") is None

    # -- seeing ----------------------------------------------------------------------------------------------------

    async def test_observe_reports_a_watched_program(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        process = await until_seen(opened, key)
        assert process.account == opened.child
        assert process.program.name == "chess"
        assert process.program.path.replace("\\", "/").endswith("/chess")
        assert process.program.protected

    async def test_observe_reports_offspring(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "chess", offspring=2)
        for key in keys:
            await until_seen(opened, key)

    async def test_observe_reports_watched_accounts_only(self, opened: Rig) -> None:
        await opened.login(opened.stranger)
        (foreign,) = await opened.start(opened.stranger, "chess")
        (own,) = await opened.start(opened.child, "chess")
        await until_seen(opened, own)
        snapshot = await opened.host.observe()
        assert {process.account for process in snapshot.processes} == {opened.child}
        assert foreign not in {process.key for process in snapshot.processes}
        assert all(session.account == opened.child for session in snapshot.sessions)

    async def test_watch_follows_a_change(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        opened.host.watch([opened.stranger])
        assert not (await opened.host.observe()).processes
        opened.host.watch([opened.child])
        await until_seen(opened, key)

    async def test_unknown_accounts_are_ignored(self, opened: Rig) -> None:
        opened.host.watch(["no-such-account-here"])
        snapshot = await opened.host.observe()
        assert snapshot.sessions == () and snapshot.processes == ()

    async def test_observe_gives_the_same_tuple_while_nothing_starts_or_ends(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        first = (await opened.host.observe()).processes
        await opened.pass_time(1_000)
        again = (await opened.host.observe()).processes
        assert again is first or again != first  # a rig's programs may start others
        (other,) = await opened.start(opened.child, "chess")
        await until_seen(opened, other)
        assert (await opened.host.observe()).processes is not first

    async def test_observe_drops_what_ended(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.host.stop(*key, at_once=True)
        assert await until_gone(opened, (key,), within=2_000)
        snapshot = await opened.host.observe()
        assert key not in {process.key for process in snapshot.processes}

    async def test_observe_sees_a_late_exec_within_5_s(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.become(key, "game")
        for _ in range(6):
            snapshot = await opened.host.observe()
            if any(process.key == key and process.program.name == "game" for process in snapshot.processes):
                return
            await opened.pass_time(1_000)
        raise AssertionError("the new program was not seen")

    async def test_session_is_seen_and_wakes(self, opened: Rig, wake: Wake) -> None:
        await opened.host.observe()
        before = wake.count
        session = await session_of(opened, await opened.login(opened.child))
        assert session.account == opened.child
        assert session.active and not session.locked_hint
        await opened.pass_time(200)
        assert wake.count > before

    # -- starting --------------------------------------------------------------------------------------------------

    async def test_refused_program_is_killed(self, opened: Rig) -> None:
        await opened.host.observe()
        opened.host.on_start(refuse_games)
        (game,) = await opened.start(opened.child, "game", stubborn=True)
        (chess,) = await opened.start(opened.child, "chess")
        await opened.pass_time(300)
        await opened.host.observe()
        assert await until_gone(opened, (game,), within=1_000)
        assert opened.alive(chess)

    async def test_program_refused_after_a_late_exec_is_killed(self, opened: Rig) -> None:
        opened.host.on_start(refuse_games)
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.become(key, "game")
        for _ in range(6):
            await opened.host.observe()
            if await until_gone(opened, (key,), within=1_000):
                return
        raise AssertionError("the refused program runs on")

    async def test_strangers_are_never_asked_about(self, opened: Rig) -> None:
        asked: list[Process] = []

        def refuse_all(process: Process) -> Start:
            asked.append(process)
            return Start.DENY

        await opened.host.observe()
        opened.host.on_start(refuse_all)
        (foreign,) = await opened.start(opened.stranger, "game")
        await opened.pass_time(300)
        await opened.host.observe()
        assert opened.alive(foreign)
        assert all(process.account == opened.child for process in asked)

    async def test_a_held_program_goes_on_when_it_is_released(self, opened: Rig) -> None:
        if not able(opened.host, Capability.START_EVENTS):
            pytest.skip("this computer has no start events, so nothing is held before a scan")
        await opened.host.observe()
        opened.host.on_start(lambda process: Start.HOLD if process.program.name == "chess" else Start.ALLOW)
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.pass_time(300)
        assert opened.alive(key) and opened.still(key)
        await opened.host.release(*key)
        await opened.pass_time(300)
        assert opened.alive(key) and not opened.still(key)

    async def test_a_tree_is_held_and_let_go_on(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "chess", offspring=2)
        await until_seen(opened, keys[0])
        assert keys[0] not in (await opened.host.observe()).held
        await opened.host.hold(*keys[0])
        await opened.host.hold(*keys[0])
        await opened.pass_time(300)
        assert keys[0] in (await opened.host.observe()).held
        assert all(opened.alive(key) and opened.still(key) for key in keys)
        await opened.host.release(*keys[0])
        await opened.pass_time(300)
        assert keys[0] not in (await opened.host.observe()).held
        assert all(opened.alive(key) and not opened.still(key) for key in keys)

    async def test_what_is_held_can_be_stopped(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "chess", stubborn=True, offspring=1)
        await until_seen(opened, keys[0])
        await opened.host.hold(*keys[0])
        await opened.host.stop(*keys[0], at_once=True)
        assert await until_gone(opened, keys, within=2_000)
        assert not (await opened.host.observe()).held

    async def test_strangers_are_not_held(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.stranger, "chess")
        with pytest.raises(HostError):
            await opened.host.hold(*key)
        assert opened.alive(key) and not opened.still(key)

    async def test_releasing_what_is_gone_is_success(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await opened.host.stop(*key, at_once=True)
        assert await until_gone(opened, (key,), within=2_000)
        await opened.host.release(*key)

    # -- stopping --------------------------------------------------------------------------------------------------

    async def test_stop_ends_a_willing_program(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        await opened.host.stop(*key, at_once=False)
        assert await until_gone(opened, (key,), within=2_000)

    async def test_stop_ends_a_stubborn_tree_within_5_s(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "game", stubborn=True, offspring=3)
        await until_seen(opened, keys[0])
        await opened.host.stop(*keys[0], at_once=False)
        assert opened.alive(keys[0]), "a program gets time to close before it is killed"
        assert await until_gone(opened, keys, within=5_500)

    async def test_stop_at_once_ends_a_stubborn_tree_now(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "game", stubborn=True, offspring=3)
        await until_seen(opened, keys[0])
        await opened.host.stop(*keys[0], at_once=True)
        assert await until_gone(opened, keys, within=1_000)

    async def test_stop_is_idempotent(self, opened: Rig) -> None:
        keys = await opened.start(opened.child, "game", stubborn=True, offspring=1)
        await until_seen(opened, keys[0])
        for _ in range(3):
            await opened.host.stop(*keys[0], at_once=False)
        await opened.host.stop(*keys[0], at_once=True)
        assert await until_gone(opened, keys, within=1_000)
        await opened.host.stop(*keys[0], at_once=False)
        await opened.host.stop(*keys[0], at_once=True)

    async def test_stop_never_touches_a_reused_pid(self, opened: Rig) -> None:
        (key,) = await opened.start(opened.child, "chess")
        await until_seen(opened, key)
        pid, started = key
        await opened.host.stop(pid, started - 1, at_once=True)
        await opened.pass_time(300)
        assert opened.alive(key)

    async def test_stop_spares_other_accounts(self, opened: Rig) -> None:
        (foreign,) = await opened.start(opened.stranger, "game")
        with pytest.raises(HostError):
            await opened.host.stop(*foreign, at_once=True)
        await opened.pass_time(300)
        assert opened.alive(foreign)

    # -- ending sessions -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("ending", ["lock", "logout", "freeze"])
    async def test_unknown_session_is_an_error(self, opened: Rig, ending: str) -> None:
        with pytest.raises(HostError):
            await opened.host.end_session("no-such-session", ending)  # type: ignore[arg-type]  # parametrised literal

    async def test_lock_locks_or_says_it_cannot(self, opened: Rig) -> None:
        session = await opened.login(opened.child)
        await session_of(opened, session)
        if not able(opened.host, Capability.LOCK):
            with pytest.raises(HostError) as caught:
                await opened.host.end_session(session, "lock")
            assert caught.value.advice
            return
        await opened.host.end_session(session, "lock")
        for _ in range(10):
            if (await session_of(opened, session)).locked_hint:
                return
            await opened.pass_time(200)
        raise AssertionError("the session is not locked")

    async def test_logout_ends_the_session_or_says_it_cannot(self, opened: Rig) -> None:
        session = await opened.login(opened.child)
        await session_of(opened, session)
        if not able(opened.host, Capability.LOGOUT):
            with pytest.raises(HostError):
                await opened.host.end_session(session, "logout")
            return
        await opened.host.end_session(session, "logout")
        snapshot = Snapshot()
        for _ in range(35):
            snapshot = await opened.host.observe()
            if not any(seen.id == session and seen.active for seen in snapshot.sessions):
                return
            await opened.pass_time(200)
        raise AssertionError(f"the session goes on: {snapshot.sessions}")

    async def test_freeze_freezes_or_says_it_cannot(self, opened: Rig) -> None:
        session = await opened.login(opened.child)
        await session_of(opened, session)
        if not able(opened.host, Capability.FREEZE):
            with pytest.raises(HostError) as caught:
                await opened.host.end_session(session, "freeze")
            assert caught.value.advice
            return
        await opened.host.end_session(session, "freeze")
        # A frozen session is reported as not active: nobody can use it, so nothing is charged for it.
        assert not (await session_of(opened, session)).active
        await opened.host.thaw(opened.child)
        assert (await session_of(opened, session)).active

    async def test_thaw_of_the_unfrozen_is_success(self, opened: Rig) -> None:
        await opened.host.thaw(opened.child)
        await opened.host.thaw(opened.child)

    # ---- what the system denies ----------------------------------------------------------------------------------

    async def test_a_floor_denies_what_it_names_or_it_is_left_to_the_service(self, opened: Rig) -> None:
        """Whoever denies, a program that may not run does not, and every other does."""
        rule = Denial(rule="mia/game", traits=(Trait(kind="name", value="game"),))
        floor = ProgramFloor(child="mia", accounts=(opened.child,), denials=(rule,))
        try:
            await opened.host.put_programs((floor,))
        except HostError as error:
            assert error.advice
        await opened.host.observe()
        opened.host.on_start(refuse_games)
        (game,) = await opened.start(opened.child, "game", stubborn=True)
        (chess,) = await opened.start(opened.child, "chess")
        await opened.pass_time(300)
        await opened.host.observe()
        assert await until_gone(opened, (game,), within=1_000)
        assert opened.alive(chess)
        await opened.host.put_programs(())

    # ---- sites ---------------------------------------------------------------------------------------------------

    async def test_no_lanes_are_always_in_force(self, opened: Rig) -> None:
        await opened.host.put_sites(())
        await opened.host.put_sites(())

    async def test_lanes_are_in_force_or_it_says_what_is_missing(self, opened: Rig) -> None:
        plan = SitePlan(child="mia")
        lane = SiteLane(plan=plan, accounts=(opened.child,), dns_port=5301, page_port=5401)
        if able(opened.host, Capability.SITES_DNS) and able(opened.host, Capability.SITES_BROWSER):
            await opened.host.put_sites((lane,))
        else:
            with pytest.raises(HostError) as caught:
                await opened.host.put_sites((lane,))
            assert caught.value.advice
        await opened.host.put_sites(())

    async def test_a_missing_lane_has_a_reason(self, opened: Rig) -> None:
        for ability in opened.host.abilities():
            if ability.capability in (Capability.SITES_DNS, Capability.SITES_BROWSER):
                assert ability.present or ability.why
