"""The service and the PC around it, on the fake computer: new accounts are limited and told of, own files are reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.accounts import own_account
from agent.cli.policy import build
from agent.core.family import parse
from agent.ipc.answers import Status
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus
from agent.model.program import ProgramId
from agent.model.snapshot import Mended
from agent.model.verdict import Notify
from agent.platforms.fake import FakeHost
from agent.platforms.unsupervised import Unsupervised
from agent.service.app import Service, Settings
from agent.service.audit import Audit
from agent.service.founding import found
from agent.service.lookout import rules_for
from agent.service.store import Store
from agent.trust import root, signing
from tests.family import child, head


@pytest.fixture
def host() -> FakeHost:
    made = FakeHost()
    made.add_account("ana", administrator=True)
    made.add_account("mia")
    return made


@asynccontextmanager
async def serving(state: Path, host: FakeHost) -> AsyncIterator[Service]:
    service = Service(Settings(state, state / "s.sock"), host, Unsupervised())
    task = asyncio.create_task(service.run())
    try:
        await until(lambda: _answers(state / "s.sock"), task)
        yield service
    finally:
        service.stop()
        await task


async def _answers(socket: Path) -> bool:
    return socket.exists()


async def until(done: Callable[[], Awaitable[bool]], task: asyncio.Task[None] | None = None) -> None:
    async with asyncio.timeout(25):
        while not await done():
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.05)


async def household(state: Path, host: FakeHost, more: str = "") -> None:
    signer, device = signing.new_signer(), signing.new_signer()
    text = head(more, zone="UTC", reset=None, account=own_account()) + child()
    data = signing.sign_policy(build(parse(text), version=1), signer)
    keys = root.make([signer.public_key], [signer], devices=[device.public_key])
    await found(state, host, keys, data, "258025", "root", device_key=signing.pem(device, None))


def actions(state: Path) -> list[tuple[str, str]]:
    store = Store.open(state, machine_id=FakeHost().machine_id())
    try:
        return [(e.action, e.detail) for e in Audit.open(state, store).tail(100)]
    finally:
        store.close()


def events(state: Path, kind: str) -> list[str]:
    store = Store.open(state, machine_id=FakeHost().machine_id())
    try:
        return [e.text for e in store.events("", "", "9999-12-31") if e.kind == kind]
    finally:
        store.close()


async def status(state: Path) -> Status:
    with closing(Client(str(state / "s.sock"))) as client:
        answer = await asyncio.to_thread(client.call, GetStatus())
    assert isinstance(answer, Status)
    return answer


async def test_a_new_account_is_limited_and_told_of(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    async with serving(state, host):
        assert {c.child for c in (await status(state)).children} == {"mia"}
        host.add_account("tim")
        session = host.login("tim")

        async def limited() -> bool:
            return "tim" in {c.child for c in (await status(state)).children}

        await until(limited)
        found = await status(state)
        tim = next(c for c in found.children if c.child == "tim")
        assert tim.budget_today == 3600
        assert any("The account tim is in nobody's name" in note for note in found.notes)
        assert found.protection != "protected"
        # And its programs are judged as a child's of the strictest kind: what is unknown stands still until it was asked for.
        game = host.start("tim", ProgramId(name="game", path="/home/tim/game"))
        assert game is not None and game.pid in host.held
        del host.people["tim"]
        host.logout(session.id)

        async def gone() -> bool:
            return "tim" not in {c.child for c in (await status(state)).children}

        await until(gone)
    told = [action for action, _ in actions(state) if action.startswith("account-")]
    assert told == ["account-appeared", "account-settled"]
    assert any("tim appeared" in text for text in events(state, "account"))


async def test_it_is_told_once_across_restarts(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    host.add_account("tim")
    for _ in range(2):
        async with serving(state, host):

            async def told() -> bool:
                return any("tim" in note for note in (await status(state)).notes)

            await until(told)
    assert [action for action, _ in actions(state) if action == "account-appeared"] == ["account-appeared"]


async def test_whoever_is_left_alone_is(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host, 'unwatched = ["gran"]')
    host.add_account("gran")
    async with serving(state, host):
        assert {c.child for c in (await status(state)).children} == {"mia"}
        assert host.start("gran", ProgramId(name="game", path="/home/gran/game")) is not None
    assert not events(state, "account")


async def test_an_account_that_the_policy_names_by_its_number_is_no_stranger(host: FakeHost) -> None:
    numbered = parse(head(zone="UTC", reset=None) + child(accounts=["#1001"]), "family.toml")
    host.add_account("tim")
    assert {account.uid: account.name for account in host.accounts()}["1001"] == "mia"
    _, found = await rules_for(host, build(numbered, version=1))
    assert found == ("tim",)


async def test_own_files_that_were_changed_are_in_audit_and_ledger_and_told(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    async with serving(state, host):
        seen: list[str] = []
        listening, heard = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def notice(one: Notify) -> None:
            seen.append(one.text)
            loop.call_soon_threadsafe(heard.set)

        with closing(Client(str(state / "s.sock"))) as client:
            client.watch(lambda _: loop.call_soon_threadsafe(listening.set), notice, lambda *_: None)
            async with asyncio.timeout(20):
                await listening.wait()
                host.mended += [
                    Mended(path="/usr/bin/fairtime", what="removed"),
                    Mended(path="/etc/x", what="changed", why="Read-only file system"),
                ]
                await heard.wait()
        assert "/usr/bin/fairtime was removed; it is put right again" in seen[0]
    assert [detail for action, detail in actions(state) if action == "own-file"] == [
        "Fairtime's file /usr/bin/fairtime was removed; it is put right again.",
        "Fairtime's file /etc/x was changed and cannot be put right: Read-only file system.",
    ]
    assert len(events(state, "tamper")) == 2


async def test_a_group_that_changed_is_looked_at_within_seconds(tmp_path: Path, host: FakeHost) -> None:
    """The doctor looks again as soon as accounts or groups change, not at its next round."""
    state = tmp_path / "s"
    await household(state, host)
    async with serving(state, host):
        assert not any("administrator" in note for note in (await status(state)).notes)
        host.people["mia"] = replace(host.people["mia"], administrator=True)

        async def seen() -> bool:
            return any("administrator" in note for note in (await status(state)).notes)

        await until(seen)


async def test_a_tombstone_is_told_once(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    (state / "removed").write_text("2026-11-20T10:00:00Z ana\n")
    for _ in range(2):
        async with serving(state, host):
            await status(state)
    told = [detail for action, detail in actions(state) if action == "was-removed"]
    assert told == ["Fairtime was taken off this PC on 2026-11-20T10:00:00Z by ana. It is back now."]
    assert told == events(state, "tamper")
    assert not (state / "removed").exists()


async def test_the_audits_last_line_says_that_fairtime_is_being_removed(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    async with serving(state, host):
        pass
    assert not [action for action, _ in actions(state) if action == "being-removed"]
    async with serving(state, host):
        await status(state)  # the service has begun: it takes a tombstone that it finds then for an old one
        (state / "removed").write_text("2026-11-20T10:00:00Z ana\n")
    assert actions(state)[-1] == ("being-removed", "Fairtime is being taken off this PC. Limits end here.")
    assert events(state, "tamper")[-1] == "Fairtime is being taken off this PC. Limits end here."


async def test_making_room_keeps_what_holds_and_a_stop_lets_go(tmp_path: Path, host: FakeHost) -> None:
    state = tmp_path / "s"
    await household(state, host)
    for end, stays in ((Service.make_room, True), (Service.stop, False)):
        async with serving(state, host) as service:
            host.frozen.add("mia")
            end(service)
        assert ("mia" in host.frozen) is stays
