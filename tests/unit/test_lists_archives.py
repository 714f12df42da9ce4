"""Packed lists: read as what was packed, whatever they say of themselves, and never more than a list may be."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import ListError
from agent.filter.lists import archives
from agent.model.sitelist import ListFormat, Reading
from tests.lists import read_to

Files = Mapping[str, bytes]
TREE = {
    "blacklists/games/domains": b"play.example\n192.0.2.1\n",
    "blacklists/games/urls": b"play.example/index.html\n",
    "blacklists/chat/domains": b"talk.example\n",
    "blacklists/README": b"about these",
}
TEXTS = {
    "lists/games.txt": b"0.0.0.0 play.example\n",
    "lists/chat.txt": b"||talk.example^\n",
    "lists/deep/more.txt": b"no.example\n",
}


def tarred(files: Files, mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]  # one of tarfile's modes
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


PACKERS: list[Callable[[Files], bytes]] = [tarred, lambda files: tarred(files, "w"), zipped]


def read(folder: Path, data: bytes, form: ListFormat | None = None) -> tuple[dict[str, list[str]], Reading]:
    """Names by group."""
    source, out = folder / "list", folder / "names"  # what it is called says nothing
    source.write_bytes(data)
    return _grouped(source, out, form)


def _grouped(source: Path, out: Path, form: ListFormat | None = None) -> tuple[dict[str, list[str]], Reading]:
    found = read_to(source, out, form)
    groups: dict[str, list[str]] = {}
    for line in out.read_text(encoding="ascii").splitlines():
        if line[0] == ":":
            names = groups.setdefault(line[1:], [])
        else:
            names.append(line)
    return groups, found


def unpacked(folder: Path, files: Files) -> Path:
    """The folder that was packed."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files)).partition("/")[0]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("files", [TREE, TEXTS])
def test_an_archive_is_read_as_the_folder_that_was_packed(
    tmp_path: Path, pack: Callable[[Files], bytes], files: Files
) -> None:
    packed, found = read(tmp_path, pack(files))
    plain, wanted = _grouped(unpacked(tmp_path, files), tmp_path / "plain")
    assert packed == plain == {"games": ["play.example"], "chat": ["talk.example"]}
    assert (found.format, found.names, found.lines) == (wanted.format, wanted.names, wanted.lines)
    assert found.files == wanted.files, "who signed the folder has signed the archive"
    assert set(found.groups) == set(wanted.groups)


@pytest.mark.parametrize("pack", [*PACKERS, lambda files: gzip.compress(next(iter(files.values())))])
@pytest.mark.parametrize(
    ("text", "form"),
    [(b"0.0.0.0 a.example\n", "hosts"), (b"||a.example^\n||b.example^\n||b.example^$badfilter\n", "adblock")],
)
def test_a_single_file_is_the_list(
    tmp_path: Path, pack: Callable[[Files], bytes], text: bytes, form: ListFormat
) -> None:
    plain = read(tmp_path, text)
    for name in ("games.txt", "top/hosts"):
        packed = read(tmp_path, pack({name: text, "__MACOSX/._games.txt": b"\0", "top/.DS_Store": b"\0"}))
        assert packed == plain
        assert packed[0] == {"": ["a.example"]}
        assert packed[1].format == form
    assert read(tmp_path, pack({"games.txt": b"a.example\n"}), "domains")[1].format == "domains"
    with pytest.raises(ListError, match="This is a file"):
        read(tmp_path, pack({"games.txt": b"a.example\n"}), "folder")


@pytest.mark.parametrize("pack", PACKERS)
def test_a_category_alone_is_the_list(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    for name in ("games/domains", "domains", "./games/domains"):
        assert read(
            tmp_path, pack({name: b"a.example\n", "games/urls": b"x\n"} if "games" in name else {name: b"a.example\n"})
        )[0] == {"": ["a.example"]}


def test_the_statement_lies_beside_the_archive(tmp_path: Path) -> None:
    (tmp_path / "list.dsse.json").write_bytes(b"signed")
    assert read(tmp_path, tarred(TREE))[1].statement == b"signed"


def test_nothing_but_files_is_read_and_no_name_is_a_place(tmp_path: Path) -> None:
    out = io.BytesIO()
    (tmp_path / "secret").write_bytes(b"secret.example\n")
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for kind, name, target in (
            (tarfile.SYMTYPE, "games/domains", str(tmp_path / "secret")),
            (tarfile.LNKTYPE, "chat/domains", "ok/domains"),
            (tarfile.CHRTYPE, "null/domains", ""),
            (tarfile.FIFOTYPE, "pipe/domains", ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
        for name in (
            "ok/domains",
            "../up/domains",
            "/abs/domains",
            "UPPER/domains",
            "ok2/../../x/domains",
            "x" * 50 + "/domains",
            "OK/domains",
        ):
            member = tarfile.TarInfo(name)
            member.size = 10
            archive.addfile(member, io.BytesIO(b"a.example\n"))
    groups, found = read(tmp_path, out.getvalue())
    assert groups == {"ok": ["a.example"], "abs": ["a.example"], "upper": ["a.example"]}
    assert {one.why: one.count for one in found.skipped} == {
        "a link": 2, "no file": 2, "a place outside of the archive": 2, "a category whose name cannot be one": 2,
    }  # fmt: skip
    assert set(tmp_path.iterdir()) == {tmp_path / name for name in ("secret", "list", "names")}
    linked = zipfile.ZipInfo("games/domains")
    linked.external_attr = 0o120777 << 16
    both = io.BytesIO()
    with zipfile.ZipFile(both, "w") as zipped_one:
        zipped_one.writestr(linked, str(tmp_path / "secret"))
        zipped_one.writestr("ok/domains", "a.example\n")
        zipped_one.writestr("ok/urls", "a.example\n")
    assert read(tmp_path, both.getvalue())[1].skipped[0].why == "a link"


@pytest.mark.parametrize("name", [b"caf\xe9/games/domains", b"\x1b[2J/games/domains"])
def test_a_name_of_odd_letters_is_told_in_plain_ones(tmp_path: Path, name: bytes) -> None:
    odd = name.decode("utf-8", "surrogateescape")
    files = {odd: b"a.example\n", "chat/domains": b"b.example\n"}
    _, found = read(tmp_path, tarred(files))
    assert all(place.encode() for place in found.files)


# ---- what is too much ------------------------------------------------------------------------------------------------

LIMIT = archives.MODEST


def bombs() -> dict[str, bytes]:
    zeros = bytes(LIMIT + 1)
    line = b"a" * 63 + b".example\n"
    lines = line * (LIMIT // len(line) + 1)
    return {
        "gzip": gzip.compress(lines, 1),
        "tar": tarred({"a/domains": b"a.example\n", "b/domains": lines}),
        "tar, before what is read": tarred({"a/big": zeros, "a/domains": b"a.example\n", "b/domains": b"b.example\n"}),
        "zip": zipped({"a/domains": b"a.example\n", "b/domains": lines}),
        "zip, in many": zipped({f"n{i}/domains": bytes(LIMIT // 10) for i in range(11)}),
    }


@pytest.fixture(scope="module")
def packed_bombs() -> dict[str, bytes]:
    return bombs()


@pytest.mark.parametrize("which", ["gzip", "tar", "tar, before what is read", "zip", "zip, in many"])
def test_what_unpacks_to_more_than_a_list_of_its_size_is_refused(
    tmp_path: Path, packed_bombs: dict[str, bytes], which: str
) -> None:
    assert len(packed_bombs[which]) * archives.RATIO < LIMIT
    with pytest.raises(ListError, match="unpacks to more than 64 MiB"):
        read(tmp_path, packed_bombs[which])


def test_a_member_that_says_it_is_endless_is_not_waited_for(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE):
        member = tarfile.TarInfo("a/domains")
        member.type, member.size = kind, 1 << 62
        data = member.tobuf(tarfile.GNU_FORMAT) + bytes(2048)
        for packed in (data, gzip.compress(data)):
            with pytest.raises((ListError, MemoryError)):  # the job tells of both
                read(tmp_path, packed)


def test_more_files_than_any_archive_of_lists_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    for pack in PACKERS:
        with pytest.raises(ListError, match="more than 3 files"):
            read(tmp_path, pack({f"n{i}/domains": b"a.example\n" for i in range(4)}))


def test_what_is_locked_or_packed_in_another_way_is_said(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"a.example\n"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    with pytest.raises(ListError, match="password"):
        read(tmp_path, bytes(data))
    with pytest.raises(ListError, match="not known here"):
        read(tmp_path, zipped({"a.txt": b"a.example\n"}, compression=zipfile.ZIP_LZMA))


def test_a_file_without_a_name_is_left_out(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"a.example\n", "b/domains": b"b.example\n", "b/urls": b"b.example\n"}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 28], data[entry + 32] = 0, 1  # its name is a comment
    groups, found = read(tmp_path, bytes(data))
    assert groups == {"": ["b.example"]}
    assert found.skipped[0].why == "a place outside of the archive"


@pytest.mark.parametrize("pack", PACKERS)
def test_an_archive_without_a_list_is_none(tmp_path: Path, pack: Callable[[Files], bytes]) -> None:
    for files in ({}, {"a/readme": b"x", "b/readme": b"y"}):
        with pytest.raises(ListError, match=r"no file “domains”|damaged|cannot be seen|not a text file"):
            read(tmp_path, pack(files))


# ---- what is damaged -------------------------------------------------------------------------------------------------

WHOLE = [
    tarred(TREE),
    tarred(TREE, "w"),
    zipped(TREE),
    gzip.compress(b"a.example\n" * 50),
    zipped({"a.txt": b"a.example\n"}),
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WHOLE), st.integers(0, 2**32))
def test_a_damaged_archive_is_a_list_or_none(tmp_path: Path, whole: bytes, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(whole)
    for _ in range(dice.randrange(1, 6)):
        match dice.randrange(3):
            case 0:
                data[dice.randrange(len(data))] = dice.choice((0, 0xFF, dice.randrange(256)))
            case 1:
                del data[dice.randrange(len(data)) + 1 :]
            case _:
                at = dice.randrange(len(data))
                data[at : at + dice.randrange(1, 9)] = dice.randbytes(dice.randrange(9))
        if len(data) < 4:
            break
    try:
        _, found = read(tmp_path, bytes(data))
    except ListError as error:
        assert error.title and error.advice
        return
    assert found.names


@pytest.mark.parametrize("whole", WHOLE)
def test_a_part_of_an_archive_is_none(tmp_path: Path, whole: bytes) -> None:
    with pytest.raises(ListError, match="not whole"):
        read(tmp_path, whole[: min(len(whole) // 2, 516)])
