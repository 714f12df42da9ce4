"""Which rule judges a program, on what evidence, under what name."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from agent.core.programs import Matcher, Matchers, is_at, needs_hash
from agent.model.program import ProgramId
from tests.core.scene import BUS, CHESS, MONDAY, ODD, RACER, SUMS, clock, mia

SHA = "a" * 64


class Found(NamedTuple):
    """A match and its verdict, flat."""

    key: str
    title: str
    rule: str
    action: str
    strong: bool
    counts: bool
    groups: tuple[str, ...]
    limits: tuple[str, ...]


def match(program: ProgramId, programs: str = "", more: str = "", unknown: str = "ask", count: str = "all") -> Found:
    child = mia(f'unknown_programs = "{unknown}"\ncount = "{count}"\nprograms = [{programs}]', more=more)
    found = Matcher(child, child.plan(MONDAY)).match(program)
    said, limits = found.verdict, tuple(limit.id for limit in found.limits)
    assert said.left is None
    assert said.program == (found.key or program.name)
    return Found(found.key, said.title, said.rule, said.action, found.strong, said.counts, said.groups, limits)


def test_who_a_known_program_is_without_any_rule() -> None:
    found = match(CHESS)
    assert found == Found("chess", "Chess", "mia/unknown-programs", "ask", True, True, ("games",), ())
    assert match(CHESS, count="listed").counts is False
    assert match(CHESS, unknown="inform").action == "inform"


@pytest.mark.parametrize(
    ("program", "entry", "strong"),
    [
        (ProgramId(name="x", package="deb:gnome-chess"), "chess", True),
        (ProgramId(name="x", package="rpm:gnome-chess"), "chess", True),
        (ProgramId(name="x", package="flatpak:org.x.Chess"), "chess", True),
        (ProgramId(name="x", package="snap:chess-snap"), "chess", True),
        (ProgramId(name="x", package="flatpak:gnome-chess"), "gnome-chess", False),
        (ProgramId(name="x", package="appx:Chess.App"), "chess", True),
        (ProgramId(name="x", package="deb:"), "x", False),
        (ProgramId(name="gchess", path="/opt/gchess", protected=True), "chess", True),
        (ProgramId(name="gchess", path="/home/mia/gchess"), "chess", False),
        (ProgramId(name="chess.exe", signer="CN=Chess"), "chess", True),
        (ProgramId(name="chess.exe", signer="CN=Other"), "chess", False),
        (ProgramId(name="homework.exe", signer="CN=Chess", product="Chess"), "chess", True),
        (ProgramId(name="homework.exe", signer="CN=Chess", product="Sums"), "homework.exe", False),
        (ProgramId(name="homework.exe", signer="CN=Other", product="Chess"), "homework.exe", False),
        (ProgramId(name="CHESS.EXE", path=r"C:\Program Files\Chess\CHESS.EXE", protected=True), "chess", True),
        (ProgramId(name="Chess.exe", path=r"C:\Users\mia\Chess.exe"), "chess", False),
        (ProgramId(name="chess.exe", path="/usr/bin/chess.exe", protected=True), "chess", False),
        (ProgramId(name="Chess.exe", path="/usr/bin/Chess.exe"), "Chess.exe", False),
        (ProgramId(name="chess.exe"), "chess", False),
        (ProgramId(name="Chess", signer="CHESSTEAM"), "chess", True),
        (ProgramId(name="Chess", signer="OTHER"), "chess", False),
        (ProgramId(name="Chess"), "chess", False),
        (ProgramId(name="x", signer="CHESSTEAM"), "x", False),
    ],
)
def test_evidence_for_a_catalogue_entry(program: ProgramId, entry: str, strong: bool) -> None:
    found = match(program, '{ program = "chess", action = "allow", counts = false }', unknown="block")
    known = entry == "chess"
    assert found.key == entry
    assert found.title == ("Chess" if known else program.name)
    assert found.groups == (("games",) if known else ())
    assert found.rule == ("mia/program:chess" if known else "mia/unknown-programs")
    assert found.action == ("allow" if strong else "block")
    assert found.counts is not strong
    assert found.strong is strong


def test_a_strong_entry_later_in_the_catalogue_beats_a_name_earlier() -> None:
    found = match(ProgramId(name="gchess", path="/home/mia/gchess", package="deb:racer"))
    assert (found.key, found.strong) == ("racer", True)


@pytest.mark.parametrize(
    ("program", "key", "rule", "action"),
    [
        (BUS, "", "system", "allow"),
        (replace(BUS, application=True), "dbus", "mia/unknown-programs", "block"),
        (replace(BUS, protected=False), "dbus", "mia/unknown-programs", "block"),
        (ODD, "odd", "mia/unknown-programs", "block"),
        (ProgramId(name="files", path="/usr/bin/files", package="deb:nautilus"), "", "system", "allow"),
        (ProgramId(name="files", path="/home/mia/files"), "files", "mia/unknown-programs", "block"),
    ],
)
def test_the_plumbing_is_allowed_and_not_recorded(program: ProgramId, key: str, rule: str, action: str) -> None:
    found = match(program, unknown="block")
    assert (found.key, found.rule, found.action) == (key, rule, action)


RULES = {
    "sha256": f'{{ id = "sha256", sha256 = "{SHA}", action = "warn" }}',
    "signer": '{ id = "signer", signer = "CN=Me", action = "warn" }',
    "package": '{ id = "package", package = "deb:gnome-chess", action = "warn" }',
    "path": '{ id = "path", path = "/usr/games/gchess", action = "warn" }',
    "name": '{ id = "name", name = "gchess", action = "warn" }',
    "group": '{ id = "group", group = "games", action = "warn" }',
}


def test_the_most_specific_rule_wins_wherever_it_stands() -> None:
    everything = replace(CHESS, sha256=SHA, signer="CN=Me")
    kinds = list(RULES)
    for number, kind in enumerate(kinds):
        for listed in (kinds[number:], kinds[: number - 1 if number else None : -1]):
            found = match(everything, ", ".join(RULES[one] for one in listed))
            assert found.rule == f"mia/{kind}", listed


def test_of_two_rules_of_one_kind_the_first_wins() -> None:
    first, second = '{ id = "a", group = "games", week = "1h" }', '{ id = "b", group = "games", week = "2h" }'
    found = match(CHESS, f"{first}, {second}")
    assert (found.rule, found.limits) == ("mia/a", ("mia/a", "mia/b"))
    found = match(CHESS, f"{second}, {first}")
    assert (found.rule, found.limits) == ("mia/b", ("mia/b", "mia/a"))


@pytest.mark.parametrize(
    ("rule", "program", "hit"),
    [
        (RULES["sha256"], replace(ODD, sha256="b" * 64), False),
        (RULES["signer"], replace(ODD, signer="CN=You"), False),
        (RULES["signer"], ODD, False),
        (RULES["package"], replace(ODD, package="deb:other"), False),
        (RULES["package"], ODD, False),
        ('{ id = "package", package = "krita", action = "warn" }', replace(ODD, package="flatpak:krita"), True),
        ('{ id = "package", package = "krita", action = "warn" }', replace(ODD, package="krita"), True),
        (RULES["path"], ODD, False),
        (RULES["name"], ODD, False),
        (RULES["group"], ODD, False),
        ('{ id = "path", path = "/home/mia/", action = "block" }', ODD, True),
        ('{ id = "path", path = "/home/mia", action = "block" }', ODD, False),
        ('{ id = "path", path = "/home/mia/odd", action = "block" }', ODD, True),
        ('{ id = "name", name = "odd", action = "block" }', ODD, True),
        ('{ id = "program", program = "odd", action = "block" }', ODD, True),
        ('{ id = "program", program = "even", action = "block" }', ODD, False),
    ],
)
def test_rules_hit_what_they_name(rule: str, program: ProgramId, hit: bool) -> None:
    assert (match(program, rule).rule != "mia/unknown-programs") is hit


@pytest.mark.parametrize("rule", ['path = "/home/mia/"', 'path = "/home/mia/odd"', 'name = "odd"', 'program = "odd"'])
def test_weak_evidence_only_makes_matters_stricter(rule: str) -> None:
    for action, unknown, expected in (
        ("allow", "block", "block"),
        ("inform", "ask", "ask"),
        ("warn", "inform", "warn"),
        ("block", "allow", "block"),
        ("ask", "warn", "ask"),
    ):
        found = match(ODD, f'{{ {rule}, action = "{action}", week = "1h", counts = false }}', unknown=unknown)
        assert (found.action, found.strong, found.counts) == (expected, False, True), (action, unknown)
    assert match(ODD, f'{{ {rule}, action = "block", counts = true }}', count="listed").counts is True
    assert match(ODD, f'{{ {rule}, action = "block", counts = false }}', count="listed").counts is False


def test_a_place_the_child_cannot_write_is_firm() -> None:
    tool = ProgramId(name="tool", path="/opt/tools/tool", protected=True)
    found = match(tool, '{ path = "/opt/tools/", action = "allow", counts = false }', unknown="block")
    assert (found.action, found.strong, found.counts) == ("allow", True, False)
    # and beats a name, which an unprotected place does not
    both = '{ id = "n", name = "tool", action = "block" }, { id = "p", path = "/opt/tools/", action = "allow" }'
    assert match(tool, both).rule == "mia/p"
    assert match(replace(tool, protected=False), both).rule == "mia/n"


def test_a_rule_for_plumbing_makes_it_a_program() -> None:
    found = match(BUS, '{ package = "deb:dbus", action = "inform" }')
    assert (found.key, found.rule, found.action) == ("dbus", "mia/program:deb:dbus", "inform")


@pytest.mark.parametrize(
    ("program", "rule", "key", "title"),
    [
        (ODD, f'{{ id = "art", sha256 = "{SHA}" }}', "art", "art"),
        (ODD, f'{{ sha256 = "{SHA}" }}', "odd", "odd"),
        (ODD, '{ path = "/home/mia/odd", action = "block" }', "odd", "odd"),
        (replace(ODD, protected=True), '{ id = "tools", path = "/home/mia/" }', "tools", ""),
        (replace(ODD, protected=True), '{ id = "tool", path = "/home/mia/odd" }', "tool", "odd"),
        (ODD, '{ id = "n", name = "odd", action = "block" }', "odd", "odd"),
        (ODD, '{ program = "odd", action = "block" }', "odd", "odd"),
        (CHESS, '{ id = "c", package = "deb:gnome-chess" }', "chess", "Chess"),
        (replace(ODD, package="deb:odd-tools"), '{ id = "g", group = "odds", action = "warn" }', "odd-tools", "odd"),
    ],
)
def test_what_the_ledger_calls_it(program: ProgramId, rule: str, key: str, title: str) -> None:
    found = match(replace(program, sha256=SHA), rule, more='[groups]\nodds = ["odd"]')
    assert found.key == key
    assert found.title == (title or found.title)


def test_own_groups_and_catalogue_groups() -> None:
    more = '[groups]\nfun = ["games", "odd"]\nnumbers = ["sums"]'
    assert match(CHESS, more=more).groups == ("games", "fun")
    assert match(ODD, more=more).groups == ("fun",)
    assert match(SUMS, more=more).groups == ("school", "numbers")
    assert match(replace(ODD, name="other"), more=more).groups == ()


def test_groups_rules_also_bear_on_a_program_with_a_rule_of_its_own() -> None:
    more = '[groups]\nfun = ["games"]'
    listed = '{ program = "chess" }, { group = "games", week = "1h" }, { group = "fun", week = "2h" }'
    found = match(CHESS, listed, more=more)
    assert found.rule == "mia/program:chess"
    assert found.limits == ("mia/program:games", "mia/program:fun"), "a rule without hours or minutes shuts nothing"
    blocked = listed.replace('week = "1h"', 'week = "1h", action = "block"')
    assert match(CHESS, blocked, more=more).limits == ("mia/program:fun",)
    for action in ("block", "ask"):
        assert match(RACER, f'{{ group = "games", week = "1h", action = "{action}" }}').limits == ()


def test_under_listed_only_what_is_listed_counts() -> None:
    assert match(CHESS, '{ program = "chess", counts = true }', count="listed").counts is True
    assert match(CHESS, '{ program = "chess" }', count="listed").counts is False
    assert match(CHESS, '{ program = "chess" }').counts is True
    assert match(CHESS, '{ program = "chess", counts = false }').counts is False


def test_matches_are_remembered_but_not_without_end() -> None:
    child = mia('unknown_programs = "block"')
    matcher = Matcher(child, child.plan(MONDAY))
    assert matcher.match(CHESS) is matcher.match(CHESS)
    for number in range(5000):
        matcher.match(replace(ODD, name=f"odd{number}"))
        assert len(matcher._seen) <= 4096
    assert len(matcher._seen) == 5001 - 4096


def test_a_rules_own_hours() -> None:
    child = mia('programs = [{ program = "chess", hours = { mon = ["15:00-16:00"] } }, { program = "racer" }]')
    matcher = Matcher(child, child.plan(MONDAY))
    chess, racer = child.plan(MONDAY).programs
    found = matcher.hours(chess)
    assert found is not None
    assert (clock("15:00"), clock("16:00")) in found
    assert found[0] == (clock("00:00") - 86_400_000, clock("00:00")), "the day before has no hours of its own: all open"
    assert (clock("15:00", MONDAY + dt.timedelta(days=7)), clock("16:00", MONDAY + dt.timedelta(days=7))) in found
    assert len(found) == 4
    assert matcher.hours(chess) is found
    assert matcher.hours(racer) is None


def test_one_matcher_per_child_until_the_plan_changes() -> None:
    matchers, child, other = Matchers(), mia(), mia()
    first = matchers.of(child, MONDAY)
    assert matchers.of(child, MONDAY) is first
    assert first.rules is child
    assert first.plan is child.plan(MONDAY)
    tomorrow = matchers.of(child, MONDAY + dt.timedelta(days=1))
    assert tomorrow is not first
    assert tomorrow.plan.date == MONDAY + dt.timedelta(days=1)
    assert matchers.of(other, MONDAY).rules is other


def test_hashes_are_only_wanted_when_a_rule_names_one() -> None:
    assert not needs_hash(mia('programs = [{ program = "chess" }]').plan(MONDAY))
    assert needs_hash(mia(f'programs = [{{ program = "chess" }}, {{ sha256 = "{SHA}" }}]').plan(MONDAY))
    assert match(RACER, '{ program = "racer" }').action == "allow"


@pytest.mark.parametrize(
    ("path", "place", "inside"),
    [
        (r"C:\Games\chess.exe", r"c:\games\CHESS.EXE", True),
        (r"C:\Games\chess.exe", "C:\\GAMES\\", True),
        (r"C:\Games\chess.exe", r"C:\Games", False),
        (r"C:\Gamesome\chess.exe", "C:\\Games\\", False),
        (r"\\nas\Games\chess.exe", "\\\\NAS\\games\\", True),
        ("/opt/games/chess", "/opt/games/", True),
        ("/opt/Games/chess", "/opt/games/", False),
        ("/opt/games", "/opt/games", True),
    ],
)
def test_where_a_program_lies(path: str, place: str, inside: bool) -> None:
    assert is_at(path, place) is inside
