"""A guardian's file: read with errors that can be mended, checked for contradictions, compiled for every day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.checks import check
from agent.core.drafting import diff, draft
from agent.core.family import parse
from agent.core.layers import layered
from agent.core.timewords import parse_clock, parse_duration, parse_hours, write_duration
from agent.errors import PolicyError
from agent.model.policy import Limits, schema
from agent.resources import folder, load_catalogue, load_presets
from tests.family import child, compiled, head, policy

BASE = head(reset=None) + child(preset="junior")
MORE = """
[[children]]
name = "leo"
accounts = ["{account}"]
preset = "preteen"
"""


def errors(text: str, accounts: list[str] | None = None) -> list[str]:
    return [f"{p.where}: {p.title} / {p.advice}" for p in check(parse(text), load_catalogue(), accounts) if p.error]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "The file is empty"),
        ("format = 1\nzone = ", "line 2"),
        ("x" * 1_100_000, "far too big"),
        ("\x00\x01", "not TOML"),
        (BASE + 'windws = { all = ["09:00-10:00"] }\n', "line 11"),
        (BASE + 'windws = { all = ["09:00-10:00"] }\n', "Did you mean “windows”"),
        (BASE.replace('zone = "Europe/Lisbon"\n', ""), "“zone” is missing"),
        (BASE + "budget = { all = 45 }\n", "children[1].limits.budget"),
        (BASE + 'notices = ["soon"]\n', "line 11"),
        (BASE.replace("junior", "toddler"), "preset"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.advice
    assert "family.toml" in caught.value.where


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + 'budget = { all = "25h" }\n', "25h is more than a day has"),
        (BASE + 'windows = { all = ["09:00-12:00", "11:00-13:00"] }\n', "overlap"),
        (BASE + 'windows = { all = ["22:00-02:00", "23:00-23:30"] }\n', "overlap"),
        (BASE + 'windows = { all = ["09:75-12:00"] }\n', "no time of a day"),
        (BASE + 'windows = { all = ["09:00-09:00"] }\n', "same minute"),
        (BASE.replace("Europe/Lisbon", "Europe/Lisboa"), "no time zone"),
        (BASE + MORE.format(account="mia"), "belongs to mia already"),
        (BASE.replace('account = "ana"', 'account = "mia"'), "would be limited too"),
        (BASE + 'programs = [{ action = "allow" }]\n', "names no program"),
        (BASE + 'programs = [{ name = "x", path = "/x", action = "block" }]\n', "in 2 ways"),
        (BASE + 'programs = [{ name = "game", action = "allow" }]\n', "anything can be renamed"),
        (BASE + 'programs = [{ program = "minecaft", action = "block" }]\n', "Did you mean “minecraft”"),
        (BASE + 'programs = [{ group = "game", action = "block" }]\n', "Did you mean “games”"),
        (BASE + 'programs = [{ path = "bin/game", action = "block" }]\n', "not a full path"),
        (BASE + '[[exceptions]]\nfrom = "2026-02-30"\nprofile = "x"\n', "no date 2026-02-30"),
        (BASE + '[[exceptions]]\nfrom = "2026-03-02"\nto = "2026-03-01"\nprofile = "x"\n', "before it begins"),
        (BASE + '[[exceptions]]\nfrom = "2026-03-02"\nprofile = "x"\n', "no profile “x”"),
        (BASE + 'week = "200h"\n', "more than there is in 7 days"),
        (BASE + 'notices = ["25h"]\n', "is none"),
        (BASE + 'breaks = { after = "0m", rest = "5m" }\n', "needs use before it"),
    ],
)
def test_contradictions_are_errors(text: str, words: str) -> None:
    found = errors(text)
    assert any(words in one for one in found), found


def test_an_unknown_account_is_an_error_with_a_guess() -> None:
    found = errors(BASE, accounts=["ana", "mya"])
    assert len(found) == 1
    assert "no account mia" in found[0]
    assert "Did you mean “mya”" in found[0]


def test_every_error_is_told_at_once() -> None:
    assert len(errors(BASE + 'budget = { all = "25h" }\nweek = "200h"\nnotices = ["0m"]\n')) == 3


@pytest.mark.parametrize("name", ["family.toml", "class.toml"])
def test_the_examples_are_fine_and_have_a_plan_for_every_day(name: str) -> None:
    text = (folder("policies") / "examples" / name).read_text(encoding="utf-8")
    assert errors(text) == []
    for rules in compiled(text).children.values():
        for day in range(400):
            plan = rules.plan(dt.date(2026, 1, 1) + dt.timedelta(days=day))
            assert plan.budget is None or 0 <= plan.budget <= 86_400_000


@pytest.mark.parametrize("preset", ["early", "junior", "preteen", "teen", "older"])
def test_a_new_file_is_fine(preset: str) -> None:
    assert errors(draft(preset, 'mi"a', "mia", "ana", "ana", "UTC")) == []


def test_the_presets_grow_with_the_child() -> None:
    presets = load_presets()
    minutes = [
        parse_duration((presets[name].budget or {})["schooldays"])
        for name in ("early", "junior", "preteen", "teen", "older")
    ]
    assert minutes == sorted(minutes)
    assert len(set(minutes)) == 5


def test_the_catalogue_names_at_least_120_programs_once_each() -> None:
    entries = [entry for group in load_catalogue().values() for entry in group]
    assert len(entries) >= 120
    assert len({entry.id for entry in entries}) == len(entries)
    assert all(entry.linux or entry.windows or entry.macos for entry in entries)
    assert all(entry.group == group for group, found in load_catalogue().items() for entry in found)


def test_the_schema_in_policies_is_the_models() -> None:
    import json

    kept = json.loads((folder("policies") / "schema" / "family.schema.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(schema()))


def test_a_policy_differs_from_itself_in_nothing_and_from_another_where_it_does() -> None:
    assert diff(policy(BASE), policy(BASE)) == []
    (change,) = diff(policy(BASE), policy(BASE + 'grace = "5m"\n'))
    assert (change.where, change.before, change.after) == ("children[mia].limits.grace", '"60s"', '"5m"')


@given(st.integers(0, 9999 * 3600))
def test_durations_come_back_as_they_were_written(seconds: int) -> None:
    assert parse_duration(write_duration(seconds)) == seconds


@given(st.integers(0, 1440))
def test_times_of_day_come_back(minute: int) -> None:
    assert parse_clock(f"{minute // 60:02d}:{minute % 60:02d}") == minute


@pytest.mark.parametrize("text", ["", "h", "1x", "1m1h", "-5m", "1h 5m", "99999h"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["24:01", "25:00", "9:00", "09:60", "24:00-09:00", "09:00"])
def test_no_hours(text: str) -> None:
    with pytest.raises(ValueError):
        parse_hours(text)


_LAYERS = st.builds(
    Limits,
    grace=st.none() | st.sampled_from(["1m", "2m"]),
    week=st.none() | st.sampled_from(["1h", "2h"]),
    budget=st.none() | st.just({}) | st.just({"all": "1h"}),
    mode=st.none() | st.sampled_from(["warn", "block"]),
)


@given(_LAYERS, _LAYERS, _LAYERS)
def test_layers_lie_on_each_other_in_any_order_of_laying(top: Limits, middle: Limits, below: Limits) -> None:
    assert layered(layered(top, middle), below) == layered(top, layered(middle, below))
    assert layered(Limits(), below) == below


def test_a_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from agent.cli import main

    place = tmp_path / "family.toml"
    assert main(["policy", "new", "--preset", "teen", "--out", str(place)]) == 0
    before = place.read_bytes()
    assert main(["policy", "new", "--preset", "early", "--out", str(place)]) == 1
    assert place.read_bytes() == before
    assert "already" in capsys.readouterr().err
    assert main(["policy", "check", str(place)]) == 0
    place.write_text("format = 1\nbudgt = 3\n")
    assert main(["policy", "check", str(place)]) == 1
    assert "line 2" in capsys.readouterr().err
