"""The groups that come with Fairtime: what each promises in its head holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.helphosts import HELP_HOSTS
from agent.core.hosts import canonical
from agent.filter.lists.suffixes import of_registries
from agent.resources import folder
from tests.lists import bound, read_to

GROUPS = sorted((folder("policies") / "sites").glob("*.txt"))
CLOSING = {"doh", "vpn", "proxies", "translate", "archives"}


def hosts(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and line[0] != "#"]


def test_the_groups_there_are() -> None:
    assert {path.stem for path in GROUPS} == {"learning", "search", *CLOSING}


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: path.stem)
def test_each_says_how_it_was_made_and_holds_canonical_hosts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "# Recipe: " in text
    assert "# Licence: Apache-2.0" in text
    found = hosts(path)
    assert len(set(found)) == len(found)
    suffixes = of_registries()
    for host in found:
        assert canonical(host) == host
        assert not suffixes.holds(host)


def test_no_group_that_closes_has_what_opens() -> None:
    closed = {host: path.stem for path in GROUPS if path.stem in CLOSING for host in hosts(path)}
    open_hosts = [*HELP_HOSTS, *hosts(folder("policies") / "sites" / "learning.txt")]
    for host in open_hosts:
        labels = host.split(".")
        assert not [closed[name] for at in range(len(labels)) if (name := ".".join(labels[at:])) in closed], host
    twice = [host for path in GROUPS if path.stem in CLOSING for host in hosts(path)]
    assert len(set(twice)) == len(twice)


def test_they_are_one_list_without_a_line_left_out(tmp_path: Path) -> None:
    found = read_to(folder("policies") / "sites", tmp_path / "names")
    assert found.skipped == ()
    assert found.names == sum(len(hosts(path)) for path in GROUPS)
    book = bound(tmp_path / "book", (tmp_path / "names", {group: group for group in found.groups}))
    assert book.sizes == {path.stem: len(hosts(path)) for path in GROUPS}
    assert book.covering("www-wikipedia-org.translate.goog") == [("translate.goog", book.bits["translate"])]
