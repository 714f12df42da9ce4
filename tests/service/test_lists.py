"""The lists of a PC, with the real jobs: what is in force only ever changes whole, and never becomes less by accident."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import tarfile
from pathlib import Path

import pytest

from agent.clock import Millis
from agent.errors import FairtimeError, ListError, NotFound, Refused, StoreError
from agent.filter.lists import archives
from agent.filter.lists.book import Book
from agent.service import job, jobs, listfiles, lists
from agent.service.listfiles import INDEX, SPARE
from agent.service.lists import Lists
from agent.trust import publisher, signing
from agent.trust.listing import Statement

NOW: Millis = 1_790_000_000_000
ME = os.getuid() if sys.platform != "win32" else 0


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "vpn.txt").write_text("# ours\nvpn.example\n")
    return folder


@pytest.fixture
def kept(tmp_path: Path, own: Path) -> Lists:
    return Lists(tmp_path / "state", own=own)


def text(folder: Path, *names: str, name: str = "games.txt") -> Path:
    path = folder / name
    path.write_text("\n".join(names) + "\n", newline="\n")
    return path


async def put(kept: Lists, name: str, path: Path | str, **more: str) -> str:
    return await kept.put(name, str(path), ME, NOW, **more)  # type: ignore[arg-type]  # words that the wire would have checked


def book(kept: Lists) -> Book:
    assert kept.book is not None
    return Book.open(kept.book)


def files(kept: Lists) -> list[str]:
    return sorted(path.name for path in kept.folder.iterdir())


async def test_what_comes_with_the_program_is_compiled_once_and_again_when_it_changes(kept: Lists, own: Path) -> None:
    assert kept.book is None
    await kept.ensure()
    assert book(kept).sizes == {"vpn": 1}
    first = kept.book
    await kept.ensure()
    assert kept.book == first
    (own / "vpn.txt").write_text("vpn.example\nother.example\n")
    again = Lists(kept.folder, own=own)
    assert again.book == first
    await again.ensure()
    assert book(again).sizes == {"vpn": 2}
    assert again.trouble is None


async def test_a_list_is_in_force_when_it_was_read(kept: Lists, tmp_path: Path) -> None:
    told: list[Path | None] = []
    kept.changed = lambda: told.append(kept.book)
    path = text(tmp_path, "a.example", "b.example", "a.example", "192.0.2.1")
    said = await put(kept, "games", path)
    assert said == ("games has 2 hosts from now on.  1 of 4 lines were left out; “fairtime lists show games” says why.")
    assert book(kept).sizes == {"games": 2, "vpn": 1}
    assert told[-1] == kept.book
    found = Lists(kept.folder, own=kept.own)
    assert found.lists == kept.lists
    assert found.book == kept.book
    now = found.lists["games"].now
    assert now is not None
    assert (now.format, now.hosts, now.at, now.skipped[0].first) == ("domains", 2, NOW, "list:4: 192.0.2.1")


async def test_a_packed_folder_is_read_by_the_job_and_a_bomb_is_said(kept: Lists, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "ut1.tar.gz", "w:gz") as archive:
        for name in ("games", "chat"):
            archive.add(text(tmp_path, f"{name}.example"), f"blacklists/{name}/domains")
    await put(kept, "ut1", tmp_path / "ut1.tar.gz")
    assert book(kept).sizes == {"ut1/chat": 1, "ut1/games": 1, "vpn": 1}
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(archives.MODEST + 1)))
    with pytest.raises(ListError, match="not a text file"):
        await put(kept, "bomb", tmp_path / "bomb.gz")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"a.example\n" + b"#" * archives.MODEST))
    with pytest.raises(ListError, match="unpacks to more"):
        await put(kept, "bomb", tmp_path / "bomb.gz")


async def test_a_folder_brings_a_group_a_category(kept: Lists, tmp_path: Path) -> None:
    for name in ("games", "chat"):
        (tmp_path / "ut1" / name).mkdir(parents=True)
        (tmp_path / "ut1" / name / "domains").write_text(f"{name}.example\n")
    assert await put(kept, "ut1", tmp_path / "ut1") == "ut1 has 2 hosts from now on."
    assert book(kept).sizes == {"ut1/chat": 1, "ut1/games": 1, "vpn": 1}


async def test_whoever_has_the_old_book_open_keeps_it_and_may_open_it_a_moment_later(
    kept: Lists, tmp_path: Path
) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    old, path = book(kept), kept.book
    await put(kept, "games", text(tmp_path, "b.example", "c.example"))
    assert old.covering("a.example")
    assert path is not None
    assert Book.open(path).covering("a.example")
    assert not book(kept).covering("a.example")
    await put(kept, "games", text(tmp_path, "b.example", "d.example"))
    if sys.platform != "win32":  # which takes no file away that somebody has open; it goes the next time
        assert not path.exists()
        assert len([name for name in files(kept) if name.startswith("book-")]) == 2
    assert len([name for name in files(kept) if name.endswith(".names")]) == 2


async def test_a_list_that_shrinks_by_more_than_half_asks_first(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, *(f"n{i}.example" for i in range(100))))
    said = await put(kept, "games", text(tmp_path, *(f"n{i}.example" for i in range(49)), *["n1.example"] * 100))
    assert said.startswith("games would have 49 hosts instead of 100 hosts.  The list before stays in force")
    assert "fairtime lists accept games" in said
    assert book(kept).sizes["games"] == 100
    found = Lists(kept.folder, own=kept.own)
    assert [(one.id, one.severity) for one in found.findings()] == [("list-waits:games", "note")]
    assert await found.accept("games") == "games has 49 hosts from now on."
    assert book(found).sizes["games"] == 49
    assert found.findings() == ()
    with pytest.raises(Refused, match="Nothing of the list"):
        await found.accept("games")


async def test_half_is_enough_and_a_larger_edition_replaces_what_waits(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, *(f"n{i}.example" for i in range(100))))
    await put(kept, "games", text(tmp_path, "n1.example"))
    assert kept.lists["games"].waiting is not None
    assert await put(kept, "games", text(tmp_path, *(f"n{i}.example" for i in range(50)))) == (
        "games has 50 hosts from now on."
    )
    assert kept.lists["games"].waiting is None


async def test_one_group_of_many_that_shrinks_is_enough_to_ask(kept: Lists, tmp_path: Path) -> None:
    for name, count in (("games", 100), ("chat", 3)):
        (tmp_path / "ut1" / name).mkdir(parents=True)
        (tmp_path / "ut1" / name / "domains").write_text("".join(f"{name}{i}.example\n" for i in range(count)))
    await put(kept, "ut1", tmp_path / "ut1")
    (tmp_path / "ut1" / "chat" / "domains").unlink()
    assert "fairtime lists accept ut1" in await put(kept, "ut1", "")
    assert book(kept).sizes["ut1/chat"] == 3


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b"", "The list is empty"),
        (os.urandom(50_000).replace(b"\0", b"\1") + b"\0", "This is not a text file"),
        (b"<html>Login</html>", "This is a web page, not a list"),
        (b"||com^\n||net^\n", "No line of this list names a host"),
        (b"x" * 10_000_000, "It cannot be seen what kind of list this is"),
    ],
    ids=["empty", "junk", "page", "suffixes", "one-line"],
)
async def test_what_is_no_list_leaves_the_one_before_in_force(
    kept: Lists, tmp_path: Path, data: bytes, title: str
) -> None:
    path = text(tmp_path, "a.example")
    await put(kept, "games", path)
    before = kept.book
    path.write_bytes(data)
    with pytest.raises(ListError) as caught:
        await put(kept, "games", "")
    assert caught.value.title.startswith(title)
    assert caught.value.advice
    assert kept.book == before
    assert book(kept).covering("a.example")
    assert [(one.id, one.severity) for one in kept.findings()] == [("list:games", "weak")]
    path.write_text("a.example\n")
    await put(kept, "games", "")
    assert kept.findings() == ()


async def test_a_list_that_was_never_one_leaves_nothing(kept: Lists, tmp_path: Path) -> None:
    await kept.ensure()
    before = files(kept)
    with pytest.raises(ListError):
        await put(kept, "games", tmp_path / "none")
    assert kept.lists == {}
    assert files(kept) == before


async def test_names_that_are_taken_or_unknown(kept: Lists, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="comes with Fairtime"):
        await put(kept, "vpn", text(tmp_path, "a.example"))
    with pytest.raises(NotFound, match="no list “chat”"):
        await put(kept, "chat", "")
    for deed in (kept.accept, kept.remove):
        with pytest.raises(NotFound, match="no list"):
            await deed("chat")


async def test_a_list_that_is_removed_is_gone(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    assert await kept.remove("games") == "games is gone, and its 1 host with it."
    assert book(kept).sizes == {"vpn": 1}
    assert [name for name in files(kept) if name.startswith("games")] == []


async def test_too_much_for_one_book_is_refused(kept: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    monkeypatch.setattr(lists, "MOST_NAMES", 3)
    with pytest.raises(ListError, match="million names together"):
        await put(kept, "chat", text(tmp_path, "b.example", "c.example"))
    monkeypatch.setattr(lists, "MOST_LISTS", 1)
    with pytest.raises(Refused, match="1 lists already"):
        await put(kept, "chat", text(tmp_path, "b.example"))
    assert list(kept.lists) == ["games"]


# ---- signatures ------------------------------------------------------------------------------------------------------


class Publisher:
    def __init__(self, folder: Path) -> None:
        self.signer = signing.new_signer()
        self.path = folder / "signed.txt"

    @property
    def key(self) -> str:
        return publisher.public_key(self.signer)

    def publish(self, names: str, version: int, title: str = "Games", sums: dict[str, str] | None = None) -> None:
        import hashlib

        self.path.write_text(names, newline="\n")
        statement = Statement(
            list=title, version=version, files=sums or {"": hashlib.sha256(names.encode()).hexdigest()}
        )
        beside = self.path.with_name("signed.txt.dsse.json")
        beside.write_bytes(publisher.sign(statement, self.signer))


async def test_a_signed_list_keeps_to_its_publisher(kept: Lists, tmp_path: Path) -> None:
    school, other = Publisher(tmp_path), Publisher(tmp_path)
    with pytest.raises(NotFound, match="no publisher"):
        await put(kept, "games", school.path, publisher="school")
    kept.trust("school", school.key)
    school.publish("a.example\n", 3)
    await put(kept, "games", school.path, publisher="school")
    now = kept.lists["games"].now
    assert now is not None
    assert (now.title, now.version) == ("Games", 3)

    async def refused(why: str) -> None:
        with pytest.raises(ListError) as caught:
            await put(kept, "games", "")
        assert caught.value.title == f"It is not the list that school signed: {why}"
        assert caught.value.advice == "The list before stays in force."
        assert book(kept).covering("a.example")
        assert [one.id for one in kept.findings()] == ["list:games"]

    school.path.write_text("b.example\n")
    await refused("its files are others")
    other.publish("b.example\n", 4)
    await refused("somebody else signed it, or it was changed")
    school.publish("b.example\n", 2)
    await refused("version 2 is older than 3")
    school.publish("b.example\n", 4, title="Chat")
    await refused("this is “Chat”, not “Games”")
    beside = school.path.with_name("signed.txt.dsse.json")
    beside.write_bytes(beside.read_bytes()[:-9])
    await refused("the statement is damaged")
    beside.unlink()
    await refused(f"there is no statement beside it ({school.path}.dsse.json)")
    school.publish("b.example\n", 4)
    assert await put(kept, "games", "") == "games has 1 host from now on."
    assert kept.findings() == ()


async def test_publishers_are_known_by_one_key_each(kept: Lists, tmp_path: Path) -> None:
    school = Publisher(tmp_path)
    kept.trust("school", school.key)
    kept.trust("school", school.key)
    with pytest.raises(Refused, match="another key"):
        kept.trust("school", "0" * 64)
    school.publish("a.example\n", 1)
    await put(kept, "games", school.path, publisher="school")
    with pytest.raises(Refused, match="must be signed by school"):
        kept.trust("school", "")
    await put(kept, "games", "", publisher="")
    kept.trust("school", "")
    assert kept.publishers == {}
    with pytest.raises(NotFound):
        kept.trust("school", "")


# ---- rights ----------------------------------------------------------------------------------------------------------

NOBODY = 65534


numbered = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no numbers of accounts, and a job there keeps its own account"
)


@pytest.mark.root
@numbered
@pytest.mark.skipif(ME != 0, reason="needs root, to read for somebody else")
async def test_a_list_is_read_with_the_rights_of_whoever_handed_it_in(kept: Lists, tmp_path: Path) -> None:
    place = Path("/tmp") / f"fairtime-lists-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        secret, mine = place / "secret.txt", place / "mine.txt"
        secret.write_text("a.example\n")
        secret.chmod(0o600)
        mine.symlink_to(secret)
        for path in (secret, mine):
            with pytest.raises(ListError, match="Permission denied"):
                await kept.put("games", str(path), NOBODY, NOW)
        with pytest.raises(ListError, match=r"Permission denied|No such file"):
            await kept.put("games", "/root/list.txt", NOBODY, NOW)
        secret.chmod(0o644)
        assert await kept.put("games", str(mine), NOBODY, NOW) == "games has 1 host from now on."
    finally:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


@numbered
async def test_nobody_reads_for_an_account_that_is_not_there() -> None:
    with pytest.raises(FairtimeError, match="no account with number"):
        await jobs.run("list", b"{}", uid=3_999_999_999)


# ---- accidents -------------------------------------------------------------------------------------------------------


async def test_a_damaged_index_has_a_spare_and_two_are_told(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    (kept.folder / INDEX).write_bytes(b"{")
    found = Lists(kept.folder, own=kept.own)
    assert found.lists == kept.lists
    assert found.trouble is None
    (kept.folder / SPARE).write_bytes(b"[]")
    lost = Lists(kept.folder, own=kept.own)
    assert [one.title for one in lost.findings()] == ["What is known of the site lists is damaged"]


async def test_a_book_that_is_gone_or_cut_short_is_made_again(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    for harm in (Path.unlink, lambda path: os.truncate(path, 100)):
        assert kept.book is not None
        harm(kept.book)
        await kept.ensure()
        assert book(kept).sizes == {"games": 1, "vpn": 1}
    first = kept.book
    await kept.rebuild()
    assert kept.book != first
    assert book(kept).sizes == {"games": 1, "vpn": 1}


async def test_an_edition_that_is_gone_changes_nothing_and_says_so(kept: Lists, tmp_path: Path) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))
    now = kept.lists["games"].now
    assert now is not None
    (kept.folder / now.file).unlink()
    with pytest.raises(ListError, match="“games” is gone"):
        await put(kept, "chat", text(tmp_path, "b.example", name="chat.txt"))
    assert book(kept).sizes == {"games": 1, "vpn": 1}
    await put(kept, "games", "")
    await put(kept, "chat", tmp_path / "chat.txt")
    assert book(kept).sizes == {"chat": 1, "games": 1, "vpn": 1}


async def test_an_end_between_the_files_and_the_index_leaves_the_old_state(
    kept: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(kept, "games", text(tmp_path, "a.example"))

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listfiles, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        await put(kept, "games", text(tmp_path, "b.example", "c.example"))
    monkeypatch.undo()
    again = Lists(kept.folder, own=kept.own)
    assert book(again).covering("a.example")
    await put(again, "games", "")
    assert book(again).covering("b.example")
    assert len([name for name in files(again) if name.startswith("games-")]) == 1


async def test_a_job_that_takes_too_long_changes_nothing(
    kept: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.ensure()
    monkeypatch.setitem(job.LIMITS, "list", job.Limit(seconds=0.05))  # type: ignore[arg-type]  # a dict
    before = files(kept)
    with pytest.raises(jobs.JobFailed, match="took longer"):
        await put(kept, "games", text(tmp_path, "a.example"))
    assert files(kept) == before


async def test_changes_come_one_after_the_other(kept: Lists, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        text(tmp_path, f"{name}.example", name=f"{name}.txt")
    await asyncio.gather(*(put(kept, name, tmp_path / f"{name}.txt") for name in ("a", "b", "c")))
    assert book(kept).sizes == {"a": 1, "b": 1, "c": 1, "vpn": 1}


@pytest.mark.slow
async def test_a_list_of_a_million_lines_keeps_within_the_jobs_memory(kept: Lists, tmp_path: Path) -> None:
    """The whole way, under the limits of the jobs: 256 MiB of address space to read, 512 to compile."""
    path = tmp_path / "many.txt"
    with path.open("w") as out:
        for i in range(1_000_000):
            out.write(f"0.0.0.0 host{i * 7919 % 1_000_003}.site{i % 997}.example.com\n")
            if i % 100_000 == 0:
                out.write("x" * 2_000_000 + "\n")
    assert (await put(kept, "many", path)).startswith("many has 1,000,000 hosts from now on.  10 of 1000010 lines")
    assert book(kept).names == 1_000_001
