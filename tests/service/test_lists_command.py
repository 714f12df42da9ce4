"""``fairtime lists`` as a guardian types it, over a real socket, down to the compiled book."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import lists as command
from agent.cli import main
from agent.core.authorize import RIGHTS_LAST, Role, Who
from agent.errors import FairtimeError, Refused
from agent.filter.lists.book import Book
from agent.ipc.answers import Done, Result, Rights
from agent.ipc.client import Client
from agent.ipc.protocol import Body, GetLists, Prove, PutList
from agent.ipc.server import Connection, Server
from agent.service.audit import Audit
from agent.service.listacts import ListActs
from agent.service.lists import Lists
from agent.service.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the service's socket is POSIX")
Typed = Callable[..., tuple[int, str, str]]


class Room:
    """A server whose only caller is a guardian (or whoever ``role`` says), in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.role: Role = "guardian"
        self.path = folder / "s.sock"
        self.store = Store.open(folder, machine_id="pc")
        self.audit = Audit.open(folder, self.store, at=1)
        self.lists = Lists(folder / "lists")
        self.acts = ListActs(self.lists, self.audit, lambda: 1_790_000_000_000, lambda: None)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            server = Server(self.path, self._answer, lambda peer: Who(peer.account, self.role, None), lambda: 0)
            await server.start()
            self._stop = asyncio.Event()
            self._ready.set()
            await self._stop.wait()
            await self.acts.close()
            await server.close()

        self._loop.run_until_complete(serve())
        self._loop.close()

    async def _answer(self, connection: Connection, body: Body) -> Result:
        if isinstance(body, Prove):
            if body.pin != "4711":
                raise Refused("This PIN is not right", "Try again.")
            connection.proven_until = RIGHTS_LAST
            return Rights(seconds=120)
        return await self.acts.act(connection, body)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.store.close()

    @property
    def book(self) -> Book:
        assert self.lists.book is not None
        return Book.open(self.lists.book)

    def deeds(self) -> list[tuple[str, str]]:
        return [(entry.action, entry.detail) for entry in self.audit.tail(100)]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


@pytest.fixture
def typed(room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.setenv("FAIRTIME_SOCKET", str(room.path))

    def run(*words: str, pin: str = "4711") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{pin}\n"))
        code = main(["lists", *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return run


def test_handed_in_shown_shrunk_accepted_and_removed(room: Room, typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "games.txt"
    path.write_text("".join(f"0.0.0.0 n{i}.example\n" for i in range(10)) + "0.0.0.0 localhost\n")
    code, out, _ = typed("add", "games", str(path))
    assert (code, out) == (
        0,
        "games has 10 hosts from now on.  1 of 11 lines were left out; “fairtime lists show games” says why.\n",
    )
    code, out, _ = typed("show")
    assert code == 0
    assert out.startswith("games: 10 hosts (hosts, read ")
    assert "With Fairtime come: archives (" in out
    code, out, _ = typed("show", "games")
    assert f"from {path}\n" in out
    assert "  1 left out: a name of one word, first list:11: 0.0.0.0 localhost\n" in out
    path.write_text("n1.example\n")
    code, out, _ = typed("update")
    assert "games would have 1 host instead of 10 hosts." in out
    assert "! waits for “fairtime lists accept games”: 1 host (domains" in typed("show", "games")[1]
    assert room.book.sizes["games"] == 10
    assert typed("accept", "games")[:2] == (0, "games has 1 host from now on.\n")
    assert room.book.sizes["games"] == 1
    document = json.loads(typed("show", "--json")[1])
    assert document["lists"]["games"]["now"]["groups"] == {"": 1}
    assert typed("remove", "games")[:2] == (0, "games is gone, and its 1 host with it.\n")
    assert [deed for deed, _ in room.deeds()] == ["put-list", "put-list", "accept-list", "remove-list"]
    assert str(path) in room.deeds()[0][1]


def test_what_cannot_be_done_says_what_to_do(room: Room, typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("<html></html>\n")
    for words, title, advice in (
        (("add", "games", str(tmp_path / "none")), "The list cannot be read: No such file", "Check its place"),
        (("add", "games", str(tmp_path / "page.txt")), "This is a web page", "Download the list itself"),
        (("add", "vpn", str(tmp_path / "page.txt")), "A group called “vpn” comes with Fairtime", "another name"),
        (("update", "games"), "There is no list “games”", "fairtime lists add"),
        (("update",), "There is no list to update", "fairtime lists add"),
        (("show", "games"), "There is no list “games”", "none yet"),
        (("accept", "games"), "There is no list “games”", "none yet"),
        (("remove", "games"), "There is no list “games”", "none yet"),
        (("trust", "school", "abc"), "This is no publisher's key", "64 hex digits"),
        (("distrust", "school"), "There is no publisher “school” here", "fairtime lists show"),
        (("add", "games", str(tmp_path / "page.txt"), "--publisher", "school"), "There is no publisher", "fairtime lists trust"),
    ):  # fmt: skip
        code, out, err = typed(*words)
        assert (code, out) == (1, ""), words
        assert title in err, words
        assert advice in err, words
    failed = ["put-list-failed"] * 3 + ["accept-list-failed", "remove-list-failed", "put-list-failed"]
    assert [deed for deed, _ in room.deeds()] == failed


def test_every_list_is_updated_whatever_becomes_of_another(room: Room, typed: Typed, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}.example\n")
        typed("add", name, str(tmp_path / name))
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("b.example\nc.example\n")
    code, out, err = typed("update")
    assert (code, out) == (1, "b has 2 hosts from now on.\n")
    assert err.startswith("fairtime: a: The list cannot be read: No such file")
    assert "! The list a could not be updated" in typed("show")[1]


def test_a_wrong_pin_or_role_changes_nothing(room: Room, typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "games.txt").write_text("a.example\n")
    assert typed("add", "games", str(tmp_path / "games.txt"), pin="0000")[0] == 1
    room.role = "child"
    code, out, err = typed("add", "games", str(tmp_path / "games.txt"))
    assert (code, out) == (1, "")
    assert "This is for guardians" in err
    assert typed("show")[0] == 1
    client = Client(str(room.path))
    for body in (PutList(name="games", path=str(tmp_path / "games.txt")), GetLists()):
        with pytest.raises(Refused):
            client.call(body)
    client.close()
    assert room.lists.lists == {}


@pytest.mark.parametrize(
    ("name", "path"),
    [("Games", "/a"), ("../x", "/a"), ("", "/a"), ("a" * 41, "/a"), ("a.b", "/a"), ("games", "a"), ("games", "/a\0b")],
)
def test_the_wire_takes_no_other_names_and_no_relative_paths(room: Room, name: str, path: str) -> None:
    client = Client(str(room.path))
    client.call(Prove(pin="4711"))
    with pytest.raises(FairtimeError):
        client.call(PutList(name=name, path=path))
    client.close()
    assert room.lists.lists == {}


def test_a_publisher_signs_and_a_guardian_trusts(
    room: Room, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.cli.keys import new_key

    monkeypatch.setenv("FAIRTIME_PASSPHRASE", "correct horse battery")
    new_key(tmp_path / "school.key", "correct horse battery")
    games = tmp_path / "games.txt"
    games.write_text("a.example\n")
    key = typed("key", "--key", str(tmp_path / "school.key"))[1].strip()
    sign = ("sign", str(games), "--title", "Games", "--key", str(tmp_path / "school.key"))
    assert typed(*sign)[:2] == (0, f"{games}.dsse.json\n")
    assert typed("trust", "school", key)[:2] == (0, "school is known by this key.\n")
    assert typed("add", "games", str(games), "--publisher", "school")[0] == 0
    assert "signed by school" in typed("show", "games")[1]
    games.write_text("a.example\nb.example\n")
    code, _, err = typed("update", "games")
    assert code == 1
    assert "It is not the list that school signed: its files are others" in err
    assert room.book.sizes["games"] == 1
    assert typed(*sign)[0] == 0
    assert typed("update", "games")[:2] == (0, "games has 2 hosts from now on.\n")
    (tmp_path / "page.txt").write_text("no list, these are only words\n")
    assert typed("sign", str(tmp_path / "page.txt"), "--title", "x", "--key", str(tmp_path / "school.key"))[0] == 1


def test_whoever_has_no_patience_is_told_to_look_again(room: Room, typed: Typed, tmp_path: Path) -> None:
    room.acts.patience = 0.0
    (tmp_path / "games.txt").write_text("a.example\n")
    code, out, _ = typed("add", "games", str(tmp_path / "games.txt"))
    assert (code, out) == (0, "This takes a while and goes on.  “fairtime lists show” tells what comes of it.\n")
    end = time.monotonic() + 30
    while "games" not in room.lists.lists:
        assert time.monotonic() < end
        time.sleep(0.05)
    client = Client(str(room.path))
    client.call(Prove(pin="4711"))
    done = client.call(PutList(name="games", path=""))
    client.close()
    assert isinstance(done, Done)


def test_which_groups_rules_may_name_here(room: Room, typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "games.txt").write_text("play.example\n")
    folder = tmp_path / "ut1"
    for name in ("chat", "press"):
        (folder / name).mkdir(parents=True)
        (folder / name / "domains").write_text(f"{name}.example\n")
    assert typed("add", "games", str(tmp_path / "games.txt"))[0] == 0
    assert typed("add", "ut1", str(folder))[0] == 0
    found = command.groups_here()
    assert found == set(room.book.sizes)
    assert found is not None
    assert {"games", "ut1/chat", "ut1/press", "learning"} <= found


def test_without_a_service_it_is_not_known_which_groups_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRTIME_SOCKET", str(tmp_path / "none"))
    assert command.groups_here() is None
