"""Lists taken apart: whatever they hold, what can be listed is, and the rest is counted with its reason."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from agent.core.hosts import canonical
from agent.errors import ListError
from agent.filter.lists import binding, reading
from agent.filter.lists.formats import PARSERS, Says
from agent.filter.lists.suffixes import of_registries, rules
from agent.model.sitelist import Bound, ListFormat, Reading, ToBind, ToRead
from tests.lists import UBLOCK, read_to


def read(folder: Path, text: str | bytes) -> tuple[list[str], Reading]:
    source, out = folder / "list.txt", folder / "list.names"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    found = read_to(source, out)
    return out.read_text().splitlines(), found


def why(found: Reading) -> dict[str, int]:
    return {one.why: one.count for one in found.skipped}


def test_names_are_made_canonical_once(tmp_path: Path) -> None:
    names, found = read(
        tmp_path, "A.Example\nb.example.\nmünchen.example\n*.c.example\n.d.example\nxn--bcher-kva.example\n"
    )
    assert names == [
        ":", "a.example", "b.example", "xn--mnchen-3ya.example", "c.example", "d.example", "xn--bcher-kva.example",
    ]  # fmt: skip
    assert (found.lines, found.names, found.skipped) == (6, 6, ())


def test_exceptions_keep_their_mark(tmp_path: Path) -> None:
    names, _ = read(tmp_path, "||a.example^\n@@||Good.a.example^\n")
    assert names == [":", "a.example", "@good.a.example"]


@pytest.mark.parametrize("before", [True, False])
def test_a_rule_of_adblock_is_cancelled_by_the_same_one_and_no_other(tmp_path: Path, before: bool) -> None:
    rules = [
        "||a.example^",
        "||B.example^$important",
        "@@||c.example^",
        "||d.example^",
        "||e.example^$document,important",
        "||f.example^",
    ]
    cancels = [
        "||A.example^$badfilter", "||b.example^$badfilter,important", "@@||c.example^$badfilter", "||c.example^$badfilter",
        "||d.example^$important,badfilter", "||e.example^$important,badfilter,document", "||sub.f.example^$badfilter", "! badfilter",
    ]  # fmt: skip
    names, found = read(tmp_path, "\n".join([*cancels, *rules] if before else [*rules, *cancels]))
    assert names == [":", "d.example", "f.example"]
    assert why(found) == {"cancels another rule": 7, "cancelled by another rule": 4}
    assert found.lines == found.names + 11


def test_what_cancels_stands_anywhere_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"||n{i}.example^\n" for i in range(300)) + "||n7.example^$badfilter\n||n8.example^$badfilter"
    for size in (1, 7, 1000):
        monkeypatch.setattr(reading, "BLOCK", size)
        names, _ = read(tmp_path, text)
        assert set(names) == {":", *(f"n{i}.example" for i in range(300) if i not in (7, 8))}
    monkeypatch.setattr(reading, "MOST_CANCELLED", 1)
    with pytest.raises(ListError, match="cancels more"):
        read(tmp_path, text)


def test_bytes_that_are_no_letters_are_told_of_all_the_same(tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_bytes(b"a.example\nb.example\nc\xe9 d\n")
    with (tmp_path / "out").open("wb") as out:
        answer = reading.run(msgspec.json.encode(ToRead(path=str(source), out=out.fileno())))
    assert [one.first for one in msgspec.json.decode(answer, type=Reading).skipped] == ["list:3: c? d"]


def test_nothing_that_would_block_a_country_is_taken(tmp_path: Path) -> None:
    names, found = read(
        tmp_path,
        "||com^\n||co.uk^\n||foo.ck^\n||*.net^\n||www.ck^\n||a.example.com^\n||blogspot.com^\n||nosuchtop^\n@@||org^\n",
    )
    assert names == [":", "www.ck", "a.example.com", "blogspot.com"]
    assert why(found) == {"a public suffix: everybody's sites are below it": 2, "a name of one word": 4}
    assert found.skipped[0].first == "list:1: ||com^"


def test_what_is_no_name_is_counted_with_the_first_of_its_kind(tmp_path: Path) -> None:
    names, found = read(
        tmp_path,
        "ok.example\nfine.example\ngood.example\nnice.example\n192.0.2.1\n0x7f.1\n2001:db8::1\n"
        "-bad.example\na..example\nhttps://b.example/\nb.example:80\n" + "x" * 64 + ".example\n" + "y." * 130 + "example\n",
    )  # fmt: skip
    assert names == [":", "ok.example", "fine.example", "good.example", "nice.example"]
    assert why(found) == {"an address": 3, "no host name": 6}
    assert {one.why: one.first for one in found.skipped}["an address"] == "list:5: 192.0.2.1"


def test_a_line_of_ten_megabytes_costs_no_memory_and_nothing_but_itself(tmp_path: Path) -> None:
    names, found = read(tmp_path, b"a.example\n" + b"x" * 10_000_000 + b"\nb.example\n" + b"c.example " * 500 + b"\n")
    assert names == [":", "a.example", "b.example"]
    assert why(found) == {"longer than any rule": 2}
    assert found.skipped[0].first.startswith("list:2: xxx")
    assert found.lines == 4
    assert len(found.skipped[0].first) < 120


def test_junk_within_a_list_is_counted(tmp_path: Path) -> None:
    junk = b"a.example\nb.example\n" * 20_000 + os.urandom(500_000) + b"\nlast.example\n"
    names, found = read(tmp_path, junk)
    assert names.count("a.example") == 20_000
    assert names[-1] == "last.example"
    assert why(found)["not understood"] + why(found)["no host name"] > 100


def test_lines_across_blocks_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"n{i}.example.com\n" for i in range(200)).removesuffix("\n")
    for size in (1, 7, 64):
        monkeypatch.setattr(reading, "BLOCK", size)
        names, found = read(tmp_path, text)
        assert names[1:] == text.split("\n")
        assert found.lines == 200
        assert found.files == {"": hashlib.sha256(text.encode()).hexdigest()}


def test_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_NAMES", 2)
    with pytest.raises(ListError, match="more than"):
        read(tmp_path, "a.example\nb.example\nc.example\n")
    monkeypatch.setattr(reading, "MOST_BYTES", 10)
    with pytest.raises(ListError, match="larger"):
        read(tmp_path, "a.example\nb.example\n")


def test_a_list_without_any_host_is_none(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="No line of this list") as caught:
        read(tmp_path, "192.0.2.1\n192.0.2.2\n")
    assert "2 lines were left out: an address (list:1: 192.0.2.1)" in caught.value.advice


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no place in Windows' folders")
def test_only_files_and_folders_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, Path("/dev/zero")):
        with pytest.raises(ListError, match="neither a file nor a folder"):
            read_to(place, tmp_path / "out")
    with pytest.raises(ListError, match="No such file"):
        read_to(tmp_path / "none", tmp_path / "out")


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        place = root / name.replace("__", "/") / "domains"
        place.parent.mkdir(parents=True)
        place.write_text(text)
        (place.parent / "urls").write_text("a.example/path\n")
    return root


def test_a_folder_of_categories_brings_a_group_each(tmp_path: Path) -> None:
    root = tree(tmp_path / "ut1", blacklists__games="a.example\n192.0.2.1\n", blacklists__vpn="b.example\n")
    links = sys.platform != "win32"  # where they need a privilege
    if links:
        (root / "blacklists" / "play").symlink_to("games")
    (root / "blacklists" / "README").write_text("words")
    found = read_to(root, tmp_path / "out")
    assert (found.format, found.groups) == ("folder", ("games", "vpn"))
    assert (tmp_path / "out").read_text().splitlines() == [":games", "a.example", ":vpn", "b.example"]
    assert sorted(found.files) == ["blacklists/games/domains", "blacklists/vpn/domains"]
    assert why(found) == {"an address": 1, **({"a link": 1} if links else {})}


def test_a_category_by_itself_is_one_group(tmp_path: Path) -> None:
    found = read_to(tree(tmp_path, games="a.example\n") / "games", tmp_path / "out")
    assert (found.format, found.groups) == ("folder", ("",))


def test_a_folder_of_text_files_brings_a_group_each(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    (root / "games.txt").write_text("0.0.0.0 a.example\n")
    (root / "Chat.txt").write_text("||b.example^\n")
    (root / "notes.md").write_text("c.example\n")
    assert read_to(root, tmp_path / "out").groups == ("chat", "games")
    assert (tmp_path / "out").read_text().splitlines() == [":chat", "b.example", ":games", "a.example"]


def test_a_folder_without_hosts_is_none(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(ListError, match="no file “domains”"):
        read_to(tmp_path / "photos", tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_links_in_a_folder_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden.example\n")
    root = tree(tmp_path / "lists", games="a.example\n")
    (root / "chat").mkdir()
    (root / "chat" / "domains").symlink_to(secret)
    assert read_to(root, tmp_path / "out").groups == ("games",)
    assert "hidden" not in (tmp_path / "out").read_text()


def test_a_statement_beside_the_list_comes_with_it(tmp_path: Path) -> None:
    (tmp_path / "list.txt.dsse.json").write_bytes(b"{}")
    assert read(tmp_path, "a.example\n")[1].statement == b"{}"


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_a_statement_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "list.txt.dsse.json").symlink_to("list.txt.dsse.json")
    with pytest.raises(ListError, match="Too many levels"):
        read(tmp_path, "a.example\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_is_said_by_the_job(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.example\n")
    out = os.open("/dev/full", os.O_WRONLY)
    try:
        answer = reading.run(msgspec.json.encode(ToRead(path=str(tmp_path / "list.txt"), out=out)))
        bound = binding.run(msgspec.json.encode(ToBind(sources=(), scratch=(), out=out)))
    finally:
        os.close(out)
    for found in (msgspec.json.decode(answer, type=Reading), msgspec.json.decode(bound, type=Bound)):
        assert "No space left" in found.title
        assert "disk" in found.advice


@pytest.mark.parametrize("form", PARSERS)
@given(line=st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=60))
def test_no_line_is_too_odd_for_a_parser(form: ListFormat, line: str) -> None:
    line = line.strip()
    if line:
        says = PARSERS[form]()(line)
        assert says is None or isinstance(says, (str, Says))


ODD = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"a.example", b"||b.example^", b"0.0.0.0 c.example", b"address=/d.example/", b"e.example CNAME ."]
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(ODD, max_size=30), form=st.sampled_from([None, *PARSERS]))
def test_whatever_a_file_holds_it_is_a_list_or_none(
    lines: list[bytes], form: ListFormat | None, tmp_path: Path
) -> None:
    source, out = tmp_path / "list.txt", tmp_path / "list.names"
    source.write_bytes(b"\n".join(lines))
    try:
        found = read_to(source, out, form)
    except ListError as error:
        assert error.title and error.advice
        return
    for name in out.read_text(encoding="ascii").splitlines():
        host = name.removeprefix("@")
        assert name == ":" or (canonical(host) == host and "." in host)
    assert found.names == len(out.read_text().splitlines()) - 1


def test_public_suffixes_are_those_of_the_package() -> None:
    oracle = PublicSuffixList(only_icann=True)
    mine = of_registries()
    names = [rule.lstrip("*!.") for rule, _ in rules()]
    names += [f"{label}.{name}" for name in names for label in ("a", "www")]
    assert len(names) > 20_000
    wrong = [name for name in names if mine.holds(name) != (oracle.publicsuffix(name) == name)]
    assert wrong == []


@pytest.mark.skipif(not UBLOCK.is_dir(), reason="Debian's webext-ublock-origin-firefox is not installed")
def test_easylist_as_debian_has_it(tmp_path: Path) -> None:
    source = UBLOCK / "easylist" / "easylist.txt"
    found = read_to(source, tmp_path / "out")
    assert found.format == "adblock"
    assert found.names > 30_000
    taken = set((tmp_path / "out").read_text(encoding="utf-8").splitlines()[1:])
    plain = {
        line[2:-1]
        for line in source.read_text(encoding="utf-8").splitlines()
        if line.startswith("||") and line.endswith("^") and line[2:-1].replace("-", "").replace(".", "").isalpha()
    }
    assert len(plain) > 15_000
    assert {name for name in plain if "." in name} <= taken
    assert found.names + sum(one.count for one in found.skipped) == found.lines
