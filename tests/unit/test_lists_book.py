"""The book: what was listed is found, and nothing else."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable
from pathlib import Path

import pytest
from disposable_email_domains import blocklist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from agent.core.sites import FewNames, SiteMatcher
from agent.errors import FairtimeError, StoreError
from agent.filter.lists import binding
from agent.filter.lists.book import Book, BookDamaged, number_at, width_of
from agent.model.site import GroupRule, SitePlan
from tests.lists import UBLOCK, book_of, bound, read_to

PSL = PublicSuffixList()


def names(book: Book, host: str) -> list[tuple[str, set[str]]]:
    return [(name, {group for group, bit in book.bits.items() if mask & bit}) for name, mask in book.covering(host)]


def test_a_name_covers_itself_and_what_is_below_it(tmp_path: Path) -> None:
    book = book_of(tmp_path, {"games": "example.org\nplay.example.com\n", "chat": "example.org\nb.example.org\n"})
    assert names(book, "example.org") == [("example.org", {"games", "chat"})]
    assert names(book, "a.b.example.org") == [("b.example.org", {"chat"}), ("example.org", {"games", "chat"})]
    assert names(book, "play.example.com") == [("play.example.com", {"games"})]
    for host in ("example.com", "notexample.org", "example.org.evil.net", "org", "xplay.example.com", "192.0.2.1", ""):
        assert names(book, host) == [], host
    assert book.sizes == {"chat": 2, "games": 2}
    assert book.names == 3


def test_an_exception_ends_the_walk_for_its_own_group(tmp_path: Path) -> None:
    book = book_of(
        tmp_path,
        {
            "ads": "||example.org^\n@@||good.example.org^\n||bad.good.example.org^\n||both.com^\n@@||both.com^\n",
            "games": "example.org\ngood.example.org\nplay.net\n",
        },
    )
    assert names(book, "good.example.org") == [("good.example.org", {"games"}), ("example.org", {"games"})]
    assert names(book, "x.bad.good.example.org")[0] == ("bad.good.example.org", {"ads"})
    assert names(book, "other.example.org") == [("example.org", {"ads", "games"})]
    assert names(book, "both.com") == []
    assert book.sizes == {"ads": 2, "games": 3}


LABEL = st.sampled_from(["a", "b", "c", "x-y"])
HOST = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example"]))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    listed=st.dictionaries(st.sampled_from(["g1", "g2", "g3"]), st.sets(HOST, min_size=1, max_size=12), min_size=1),
    excepted=st.dictionaries(st.sampled_from(["g1", "g2", "g3"]), st.sets(HOST, max_size=4)),
    asked=st.lists(HOST, min_size=20, max_size=40),
    tries=st.integers(1, 4),
)
def test_the_book_says_what_sets_say(
    listed: dict[str, set[str]], excepted: dict[str, set[str]], asked: list[str], tries: int, tmp_path: Path
) -> None:
    book = book_of(
        tmp_path,
        {
            group: "".join(f"||{name}^\n" for name in names) + "".join(f"@@||{n}^\n" for n in excepted.get(group, ()))
            for group, names in listed.items()
        },
        tries=tries,
    )
    for host in [*asked, *(name for found in listed.values() for name in found)]:
        labels = host.split(".")
        expected = []
        ended: set[str] = set()
        for name in (".".join(labels[at:]) for at in range(len(labels))):
            ended |= {group for group in listed if name in excepted.get(group, ())}
            groups = {group for group, found in listed.items() if name in found} - ended
            if groups:
                expected.append((name, groups))
        assert names(book, host) == expected


def every(book: Book, hosts: Iterable[str]) -> int:
    return sum(bool(book.covering(host)) for host in hosts)


@pytest.mark.parametrize("tries", [1, 7])
def test_ten_thousand_real_names(tmp_path: Path, tries: int) -> None:
    listed = sorted(blocklist)
    assert len(listed) > 5_000
    book = book_of(tmp_path, {"mail": "\n".join(listed)}, tries=tries)
    assert every(book, listed) == every(book, [f"www.{name}" for name in listed]) == len(listed)
    known = set(listed)

    def oracle(host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[at:]) in known for at in range(len(labels)))

    near = [
        variant for name in listed for variant in (f"x{name}", f"{name}x", name.partition(".")[2], f"{name}.evil.org")
    ]
    assert [host for host in near if bool(book.covering(host)) != oracle(host)] == []


@pytest.mark.skipif(not UBLOCK.is_dir(), reason="Debian's webext-ublock-origin-firefox is not installed")
def test_real_lists_together(tmp_path: Path) -> None:
    groups: dict[str, list[str]] = {}
    made = []
    for name in ("easylist", "easyprivacy"):
        out = tmp_path / f"{name}.names"
        read_to(UBLOCK / "easylist" / f"{name}.txt", out)
        groups[name] = [line for line in out.read_text().splitlines()[1:] if not line.startswith("@")]
        made.append((out, {"": name}))
    book = bound(tmp_path / "book", *made)
    assert book.sizes.keys() == groups.keys()
    for name, found in groups.items():
        assert abs(book.sizes[name] - len(set(found))) < 50  # less the exceptions of the same name
        missed = [host for host in found if not book.covering(host)]
        assert len(missed) < 50


def test_the_matcher_decides_by_a_book_as_by_a_dictionary(tmp_path: Path) -> None:
    lists = {"games": ["play.example", "a.example"], "learning": ["learn.play.example", "a.example"]}
    book = book_of(tmp_path, {group: "\n".join(found) for group, found in lists.items()})
    plan = SitePlan(
        child="mia",
        groups=(
            GroupRule(group="games", action="block", rule="r1"),
            GroupRule(group="learning", action="allow", rule="r2"),
        ),
        otherwise="ask",
    )
    mapped, plain = SiteMatcher(plan, book), SiteMatcher(plan, FewNames(lists))
    for host in ("play.example", "x.learn.play.example", "a.example", "b.example", "example"):
        assert mapped.decide(host) == plain.decide(host)


def test_registrable_names_are_those_of_the_package(tmp_path: Path) -> None:
    book = book_of(tmp_path, {"games": "a.example\n"})
    hosts = [
        "www.bbc.co.uk",
        "a.b.github.io",
        "x.y.foo.ck",
        "a.www.ck",
        "city.kawasaki.jp",
        "a.b.c.kobe.jp",
        "one.two.nosuchtop",
    ]
    hosts += [f"a.b.{name}" for name in sorted(blocklist)[:2000]]
    assert [(host, book.registrable(host)) for host in hosts] == [(host, PSL.privatesuffix(host)) for host in hosts]
    for host in ("com", "co.uk", "192.0.2.1", "2001:db8::1", "localhost"):
        assert book.registrable(host) == host


def test_the_same_lists_give_the_same_bytes(tmp_path: Path) -> None:
    text = "\n".join(f"n{i}.example.com" for i in range(2000))
    book_of(tmp_path, {"games": text, "chat": "a.example"})
    first = (tmp_path / "book").read_bytes()
    book_of(tmp_path, {"games": text, "chat": "a.example"})
    assert (tmp_path / "book").read_bytes() == first


@pytest.mark.parametrize("count", [1, 2, 4, 8, 10])
def test_many_combinations_of_groups(tmp_path: Path, count: int) -> None:
    """Each number of bits in which a combination may be written."""
    groups = {
        f"g{n}": "".join(f"{i}.h{i % 97}.example\n" for i in range(1, 1024) if (i % 2**count or 1) >> n & 1)
        for n in range(count)
    }
    book = book_of(tmp_path, groups)
    for i in range(1, 1024):
        wanted = {f"g{n}" for n in range(count) if (i % 2**count or 1) >> n & 1}
        assert names(book, f"a.{i}.h{i % 97}.example") == [(f"{i}.h{i % 97}.example", wanted)]
    assert book.short(list(groups), 1024).keys() == groups.keys()


@given(st.sampled_from([1, 2, 4, 8, 16]), st.data())
def test_numbers_take_as_few_bits_as_they_need(width: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, 2**width - 1)))
    packed = binding.packed(array("H", numbers), width)
    assert len(packed) == -(-len(numbers) * width // 8)
    read = memoryview(packed).cast("H" if width > 8 else "B")
    assert [number_at(read, at, width) for at in range(len(numbers))] == numbers
    assert width_of(2**width) == width


def test_too_many_groups_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "MOST_GROUPS", 1)
    with pytest.raises(FairtimeError, match="2 groups"):
        book_of(tmp_path, {"games": "a.example", "chat": "b.example"})
    monkeypatch.undo()
    monkeypatch.setattr(binding, "MOST_NAMES", 1)
    with pytest.raises(FairtimeError, match="2 names"):
        book_of(tmp_path, {"games": "a.example", "chat": "b.example"})


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows puts nothing in the place of an open file; each book has a name of its own"
)
def test_whoever_has_the_old_book_keeps_it(tmp_path: Path) -> None:
    old = book_of(tmp_path, {"games": "old.example"})
    (tmp_path / "new").mkdir()
    book_of(tmp_path / "new", {"games": "new.example"})
    os.replace(tmp_path / "new" / "book", tmp_path / "book")
    assert old.covering("old.example")
    assert Book.open(tmp_path / "book").covering("new.example")


def test_a_damaged_book_is_none(tmp_path: Path) -> None:
    book_of(tmp_path, {"games": "\n".join(f"n{i}.example.com" for i in range(300))})
    whole = (tmp_path / "book").read_bytes()
    broken = tmp_path / "broken"
    for at in range(0, len(whole), max(1, len(whole) // 400)):
        broken.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises(BookDamaged):
            Book.open(broken)
    for data in (b"", b"x" * 100, whole[:-1], whole[: len(whole) // 2], whole + b"x"):
        broken.write_bytes(data)
        with pytest.raises(BookDamaged):
            Book.open(broken)
    with pytest.raises(StoreError, match="cannot be read"):
        Book.open(tmp_path / "none")


@pytest.mark.parametrize("tries", [1, 4])
def test_the_names_of_short_groups(tmp_path: Path, tries: int) -> None:
    book = book_of(
        tmp_path,
        {
            "few": "b.example.org\na.org\nb.org\n",
            "both": "a.org\nc.co.uk\n",
            "many": "\n".join(f"n{n}.example" for n in range(50)),
            "ads": "||example.org^\n@@||good.example.org^\n",
        },
        **({"tries": tries} if tries > 1 else {}),
    )
    assert book.short(["few", "both", "many", "ads", "gone"], 10) == {
        "few": ("a.org", "b.example.org", "b.org"),
        "both": ("a.org", "c.co.uk"),
    }
    assert book.short(["many"], 10) == {}
    assert len(book.short(["many"], 50)["many"]) == 50
