"""The job that says why: the same rules as the resolver's, with the lists that are compiled."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.filter.why import run
from agent.model.site import GroupRule, HostRule, SitePlan
from agent.model.sitewhy import Because, WhySite
from tests.lists import bound, read_to

PLAN = SitePlan(
    child="mia",
    hosts=(HostRule(host="chess.example", action="allow", rule="mia/site:chess.example"),),
    groups=(
        GroupRule(group="games", action="block", rule="mia/site:games"),
        GroupRule(group="films", action="block", rule="mia/site:films"),
    ),
    otherwise="allow",
)


def why(host: str, book: str = "") -> Because:
    return msgspec.json.decode(run(msgspec.json.encode(WhySite(plan=PLAN, host=host, book=book))), type=Because)


def test_a_listed_host_is_decided_by_its_group(tmp_path: Path) -> None:
    names = tmp_path / "games.txt"
    names.write_text("play.example\nchess.example\n")
    read_to(names, tmp_path / "games.names")
    bound(tmp_path / "book", (tmp_path / "games.names", {"": "games"}))
    found = why("https://www.play.example/x", str(tmp_path / "book"))
    assert found.verdict is not None
    assert (found.verdict.action, found.verdict.rule) == ("block", "mia/site:games")
    assert found.verdict.sentence == "play.example is in “games”, which is not open for you. You can ask for it."
    assert (found.verdict.groups, found.missing) == (("games",), ("films",))
    own = why("chess.example", str(tmp_path / "book")).verdict
    assert own is not None
    assert (own.action, own.rule) == ("allow", "mia/site:chess.example")


def test_without_lists_rules_of_hosts_still_say_what_they_say() -> None:
    found = why("chess.example")
    assert found.verdict is not None
    assert (found.verdict.action, found.missing) == ("allow", ("films", "games"))


def test_what_is_wrong_is_said_in_words(tmp_path: Path) -> None:
    assert (why("a..b").title, why("a..b").advice) == ("“a..b” is no host name", "Write one such as example.org.")
    (tmp_path / "book").write_bytes(b"no book")
    assert "damaged" in why("chess.example", str(tmp_path / "book")).title
