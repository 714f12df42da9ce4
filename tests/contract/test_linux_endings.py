"""How sessions end on Linux: what logind and systemd are asked, in which order, and what is killed when.

The real ones are in tests/system; here are the cases that a container has not: seats, consoles, a login screen.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("logind is Linux's", allow_module_level=True)

from dbus_fast import Message, Variant

from agent.errors import HostError
from agent.model.program import Process, ProgramId
from agent.platforms.linux import endings, logind
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.cgroups import Groups
from agent.platforms.linux.endings import AGAIN, Endings
from agent.platforms.linux.freezing import Freezer
from agent.platforms.linux.logind import Logind
from agent.platforms.linux.places import Places
from agent.platforms.linux.stopping import Stopping
from tests.contract.logind_double import LogindDouble, needs_bus, private_bus

pytestmark = needs_bus
MIA = Person("mia", 61501, frozenset({61501}))


class Seat:
    """Endings on a double, with control groups in a folder."""

    def __init__(self, folder: Path, double: LogindDouble, address: str) -> None:
        self.double = double
        self.root = folder / "cgroup"
        self.slice = self.root / "user.slice" / f"user-{MIA.uid}.slice"
        self.slice.mkdir(parents=True)
        (self.root / "cgroup.controllers").touch()
        (self.root / "user.slice" / "cgroup.freeze").touch()
        self.group(self.slice)
        self.paths: dict[int, str] = {}
        self.count = 0
        self.logind = Logind(lambda: None, address=address)
        self.endings = Endings(
            Stopping(), Freezer(self.root), Groups(self.root), Places(lambda pid: self.paths.get(pid, ""))
        )
        self.endings.watch(Owners.of([MIA]))

    def group(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / "cgroup.freeze").write_text("0")
        (path / "cgroup.kill").write_text("")
        (path / "cgroup.events").write_text("populated 1\nfrozen 0\n")

    async def login(self, **changes: Variant) -> logind.Login:
        self.count += 1
        id_ = self.double.add(f"c{self.count}", MIA.uid, "mia", **changes)
        self.group(self.slice / f"session-{id_}.scope")
        return await self.seen(id_)

    async def seen(self, id_: str) -> logind.Login:
        async with asyncio.timeout(5):
            while True:
                for login in self.logind.logins.values():
                    if login.id == id_:
                        return login
                await asyncio.sleep(0.01)

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not done():
                await asyncio.sleep(0.01)

    async def end(self, login: logind.Login, ending: str, now: int = 0) -> None:
        await self.endings.end(self.logind, login, ending, now, lambda: None)  # type: ignore[arg-type]  # the test says it

    def look(self, *pids: int) -> None:
        processes = tuple(
            Process(pid=pid, started=1, parent=1, account="mia", program=ProgramId(name="x", path="/x")) for pid in pids
        )
        for _ in range(2):
            self.endings.look(processes, self.logind.logins.values())

    @property
    def asked(self) -> list[str]:
        return [member for member, _ in self.double.asked]

    def frozen(self) -> bool:
        return (self.slice / "cgroup.freeze").read_text() == "1"

    def killed(self, path: Path) -> bool:
        return (path / "cgroup.kill").read_text() == "1"


@pytest.fixture
async def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seat]:
    monkeypatch.setattr(endings, "KILL", 0.4)
    monkeypatch.setattr(endings, "_WATCH", 0.02)
    async with private_bus(tmp_path) as address:
        double = LogindDouble(address)
        await double.open()
        made = Seat(tmp_path, double, address)
        await made.logind.open()
        try:
            yield made
        finally:
            await made.endings.close()
            await made.logind.close()
            double.close()


# ---- freezing ------------------------------------------------------------------------------------------------------


async def test_a_freeze_puts_the_login_screen_in_front_first(seat: Seat) -> None:
    """A display server that stands still holds the keyboard: nobody could log in any more."""
    seat.double.add("g1", 999, "greeter", Class=Variant("s", "greeter"), Active=Variant("b", False))
    await seat.seen("g1")
    login = await seat.login()
    await seat.end(login, "freeze")
    assert seat.double.asked == [("ActivateSession", ["g1"])]
    assert seat.frozen()


async def test_a_display_manager_is_asked_for_one_where_none_runs(seat: Seat) -> None:
    await seat.double.manage_displays()
    await seat.end(await seat.login(), "freeze")
    assert seat.asked == ["SwitchToGreeter"]
    assert seat.frozen()


async def test_else_a_console_that_nobody_uses_comes_to_the_front(seat: Seat) -> None:
    seat.double.add("t", 0, "root", VTNr=Variant("u", 6), Active=Variant("b", False))
    await seat.seen("t")
    await seat.end(await seat.login(VTNr=Variant("u", 2)), "freeze")
    assert seat.double.asked == [("SwitchTo", [5])]
    assert seat.frozen()


async def test_without_any_way_out_nothing_is_frozen(seat: Seat) -> None:
    for number in range(1, 7):
        seat.double.add(f"t{number}", 0, "root", VTNr=Variant("u", number), Active=Variant("b", False))
        await seat.seen(f"t{number}")
    login = await seat.login(VTNr=Variant("u", 7))
    with pytest.raises(HostError, match="free to switch"):
        await seat.end(login, "freeze")
    assert not seat.frozen()


async def test_a_session_without_a_seat_is_frozen_where_it_is(seat: Seat) -> None:
    await seat.end(await seat.login(Seat=Variant("(so)", ["", "/"]), Remote=Variant("b", True)), "freeze")
    assert seat.asked == [] and seat.frozen()


async def test_without_its_slice_an_account_cannot_be_frozen_and_keeps_its_screen(seat: Seat) -> None:
    login = await seat.login()
    (seat.slice / "cgroup.freeze").unlink()
    with pytest.raises(HostError, match="cannot freeze"):
        await seat.end(login, "freeze")
    assert seat.asked == []


async def test_what_runs_in_nobodys_slice_is_gathered_and_frozen(seat: Seat) -> None:
    seat.paths = {71: "/system.slice/cron.service", 72: "/user.slice/user-61502.slice/session-4.scope"}
    login = await seat.login(Seat=Variant("(so)", ["", "/"]))
    seat.look(71, 72)
    await seat.end(login, "freeze")
    ((member, (name, mode, about, _)),) = seat.double.asked
    assert member == "StartTransientUnit" and name.startswith("fairtime-61501-") and mode == "fail"
    found = {key: variant.value for key, variant in about}
    assert found["PIDs"] == [71], "what is in somebody's session is that session's matter"
    assert found["Slice"] == "user-61501.slice"


async def test_a_frozen_session_that_comes_to_the_front_goes_behind_again(seat: Seat) -> None:
    login = await seat.login()
    await seat.end(login, "freeze")
    seat.double.asked.clear()
    seat.double.change(login.id, Active=Variant("b", True))
    await seat.until(lambda: seat.logind.logins[login.path].active)
    for now in (0, 500, 1000):
        seat.look()
        seat.endings.keep(seat.logind, seat.endings.frozen(), now)
        await asyncio.sleep(0.05)
    assert seat.asked == ["SwitchTo"], "once for all the time that a switch may take"
    seat.double.change(login.id, Active=Variant("b", True))
    await seat.until(lambda: seat.logind.logins[login.path].active)
    seat.endings.keep(seat.logind, seat.endings.frozen(), AGAIN + 1000)
    await seat.until(lambda: len(seat.asked) == 2)


async def test_what_begins_while_all_stands_still_is_gathered(seat: Seat) -> None:
    login = await seat.login(Seat=Variant("(so)", ["", "/"]))
    await seat.end(login, "freeze")
    seat.paths = {71: "/system.slice/atd.service"}
    seat.look(71)
    seat.endings.keep(seat.logind, seat.endings.frozen(), 0)
    await seat.until(lambda: seat.asked == ["StartTransientUnit"])


async def test_programs_on_loan_are_frozen_too(seat: Seat) -> None:
    seat.paths = {72: "/user.slice/user-61502.slice/session-4.scope"}
    seat.look(72)
    (session,) = seat.endings.outside(frozenset())
    assert (session.account, session.within, session.active) == ("mia", "#61502", True)
    assert await seat.endings.end_outside(seat.logind, session.id, "freeze")
    assert seat.asked == ["StartTransientUnit"] and seat.frozen()
    seat.paths = {72: f"/user.slice/user-{MIA.uid}.slice/fairtime-1.scope"}
    seat.look(72)
    assert not any(one.active for one in seat.endings.outside(seat.endings.frozen()))


async def test_an_end_of_the_service_lets_go(seat: Seat) -> None:
    await seat.end(await seat.login(), "freeze")
    await seat.endings.close()
    assert not seat.frozen()


async def test_whoever_is_no_child_any_more_is_let_go(seat: Seat) -> None:
    await seat.end(await seat.login(), "freeze")
    changed = Person("mia", MIA.uid, frozenset({MIA.uid, 996}))
    seat.endings.watch(Owners.of([changed]))
    assert seat.frozen(), "another group is no other child"
    seat.endings.watch(Owners())
    assert not seat.frozen()


# ---- locking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tty", "unspecified", "web"])
async def test_a_lock_is_not_asked_of_what_has_no_locker(seat: Seat, kind: str) -> None:
    login = await seat.login(Type=Variant("s", kind))
    with pytest.raises(HostError, match="no screen that locks"):
        await seat.end(login, "lock")
    assert seat.double.calls == []


@pytest.mark.parametrize("kind", ["x11", "wayland", "mir"])
async def test_a_lock_is_asked_of_a_desktop(seat: Seat, kind: str) -> None:
    login = await seat.login(Type=Variant("s", kind))
    await seat.end(login, "lock")
    assert seat.double.calls == [(login.id, "Lock")]


async def test_a_lock_of_the_locked_puts_the_login_screen_in_front(seat: Seat) -> None:
    login = await seat.login(LockedHint=Variant("b", True))
    await seat.end(login, "lock")
    assert seat.double.calls == [] and seat.asked == ["SwitchTo"]


# ---- logging out ---------------------------------------------------------------------------------------------------


async def test_the_last_log_out_ends_services_and_kills_what_is_left_in_time(seat: Seat) -> None:
    login = await seat.login()
    await seat.end(login, "logout")
    assert seat.double.calls == [(login.id, "Terminate")]
    assert seat.double.asked == [("TerminateUser", [MIA.uid])]
    assert not seat.killed(seat.slice), "programs get time to close"
    await seat.until(lambda: seat.killed(seat.slice) and seat.killed(seat.slice / f"session-{login.id}.scope"))


async def test_while_another_session_lives_only_this_one_dies(seat: Seat) -> None:
    login, other = await seat.login(), await seat.login(Type=Variant("s", "tty"))
    await seat.end(login, "logout")
    await seat.until(lambda: seat.killed(seat.slice / f"session-{login.id}.scope"))
    await asyncio.sleep(0.1)
    assert seat.asked == []
    assert not seat.killed(seat.slice) and not seat.killed(seat.slice / f"session-{other.id}.scope")


async def test_two_log_outs_at_once_are_the_last_together(seat: Seat) -> None:
    login, other = await seat.login(), await seat.login()
    await seat.end(login, "logout")
    await seat.end(other, "logout")
    assert seat.asked == ["TerminateUser"]
    await seat.until(lambda: seat.killed(seat.slice))


async def test_whoever_logs_in_again_meanwhile_is_spared(seat: Seat) -> None:
    """A guardian gave time in the five seconds that programs get to close."""
    login = await seat.login()
    await seat.end(login, "logout")
    again = await seat.login()
    await seat.until(lambda: seat.killed(seat.slice / f"session-{login.id}.scope"))
    await asyncio.sleep(0.1)
    assert not seat.killed(seat.slice) and not seat.killed(seat.slice / f"session-{again.id}.scope")


async def test_nothing_is_killed_when_all_closed_by_itself(seat: Seat) -> None:
    login = await seat.login()
    (seat.slice / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    begun = asyncio.get_running_loop().time()
    await seat.end(login, "logout")
    await seat.until(lambda: not seat.endings._work.busy)
    assert asyncio.get_running_loop().time() - begun < 0.4


async def test_a_frozen_session_is_let_go_to_hear_the_request(seat: Seat) -> None:
    login = await seat.login()
    await seat.end(login, "freeze")
    await seat.end(login, "logout")
    assert not seat.frozen()


async def test_a_refused_log_out_kills_nothing(seat: Seat) -> None:
    login = await seat.login()
    del seat.double.sessions[login.id]  # logind knows no such session
    with pytest.raises(HostError):
        await seat.end(login, "logout")
    await asyncio.sleep(0.6)
    assert not seat.killed(seat.slice)


async def test_leftovers_are_asked_and_killed(seat: Seat) -> None:
    seat.paths = {71: f"/user.slice/user-{MIA.uid}.slice/user@{MIA.uid}.service/app.slice/x.service"}
    seat.look(71)
    assert seat.endings.leftovers(seat.logind.logins.values()) == ("mia",)
    await seat.endings.clear(seat.logind, MIA)
    await seat.endings.clear(seat.logind, MIA)
    assert seat.asked == ["TerminateUser", "TerminateUser"]
    assert len(seat.endings._work._tasks) == 1, "one watch is enough"
    await seat.until(lambda: seat.killed(seat.slice))


async def test_with_a_session_there_are_no_leftovers(seat: Seat) -> None:
    seat.paths = {71: f"/user.slice/user-{MIA.uid}.slice/user@{MIA.uid}.service/app.slice/x.service"}
    await seat.login()
    seat.look(71)
    assert seat.endings.leftovers(seat.logind.logins.values()) == ()
    await seat.endings.clear(seat.logind, MIA)
    await asyncio.sleep(0.6)
    assert seat.asked == [] and not seat.killed(seat.slice)


async def test_an_end_in_the_middle_finishes_what_was_begun(seat: Seat) -> None:
    await seat.end(await seat.login(), "logout")
    await seat.endings.close()
    assert seat.killed(seat.slice)


async def test_a_session_that_is_opening_is_waited_for(seat: Seat) -> None:
    """logind tells of it when it is made, and never answers the login when it is ended before it is there."""
    login = await seat.login(State=Variant("s", "opening"))
    assert not login.is_person
    seat.double.sessions[login.id]["State"] = Variant("s", "active")  # without a signal, as the real one
    await seat.until(lambda: seat.logind.logins[login.path].is_person)
    before = await seat.login()
    opening = await seat.login(State=Variant("s", "opening"))
    await seat.end(login, "logout")
    await seat.end(before, "logout")
    assert seat.asked == [], "the account has a session that is about to begin"
    assert opening.lives


async def test_whoever_ends_the_loop_while_logind_answers_is_heard(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation that comes together with the answer is not lost (asyncio.wait_for lost it before Python 3.12)."""
    login = await seat.login()
    bus = seat.logind._bus
    assert bus is not None
    answered = asyncio.get_running_loop().create_future()

    class SlowBus:
        """The bus, whose answers come when the test says so."""

        connected = True

        async def call(self, message: Message) -> Message | None:
            reply = await bus.call(message)
            await answered
            return reply

    monkeypatch.setattr(seat.logind, "_bus", SlowBus())

    async def work() -> None:
        await seat.logind.lock(login)
        await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await seat.until(lambda: seat.double.calls)
    await asyncio.sleep(0.1)
    answered.set_result(None)
    await asyncio.sleep(0)
    task.cancel()
    monkeypatch.undo()
    done, _ = await asyncio.wait({task}, timeout=3)
    task.cancel()
    assert done and task.cancelled()
