"""Accounts that the policy does not name: who they are, what they get, and that nobody locks themselves out."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.checks import check, locks_out
from agent.core.family import parse
from agent.core.rules import Rules, compile_policy
from agent.core.strangers import MOST, strangers, with_strangers
from agent.model.policy import Family, Policy
from agent.resources import load_catalogue
from tests.family import child, head


def text(more: str = "", account: str = "mia") -> str:
    return head(more, reset="05:00") + child(accounts=[account], preset="junior")


def family(more: str = "") -> Family:
    return parse(text(more))


def rules(more: str = "") -> Rules:
    policy = Policy(policy_id="p", version=1, issued="2026-01-01T00:00:00Z", family=family(more))
    return compile_policy(policy)


def test_a_standard_account_that_nobody_names_is_a_stranger() -> None:
    assert strangers(family(), ["mia", "tim", "ana", "gran"]) == ("gran", "tim")


def test_whoever_is_to_be_left_alone_is_none() -> None:
    assert strangers(family('unwatched = ["gran"]'), ["mia", "tim", "gran"]) == ("tim",)
    assert strangers(family('others = "ignore"'), ["mia", "tim", "gran"]) == ()


def test_before_setup_there_are_none() -> None:
    nobody = Family(format=1, zone="UTC", guardians=[], children=[])
    assert strangers(nobody, ["tim"]) == ()


def test_a_stranger_gets_the_strictest_limits_by_the_familys_days() -> None:
    found = with_strangers(rules(), ["tim"], load_catalogue())
    assert found.accounts == {"mia": "mia", "tim": "tim"}
    plan = found.children["tim"].plan(dt.date(2026, 11, 25))
    assert plan.budget == 3_600_000
    assert plan.windows == {"all": ["08:00-20:00"]}
    assert plan.unknown == "ask"
    assert found.children["tim"].reset == rules().reset == 300
    assert found.children["tim"].zone == rules().zone
    assert "tim" not in found.guardians


def test_the_named_children_are_not_touched() -> None:
    before, after = rules(), with_strangers(rules(), ["tim", "gran"], load_catalogue())
    assert after.children["mia"].child == before.children["mia"].child
    assert after.children["mia"].catalogue == before.children["mia"].catalogue
    assert (after.policy, after.guardians) == (before.policy, before.guardians)
    assert with_strangers(before, [], {}) is before


def test_an_account_called_like_a_child_is_not_that_child() -> None:
    policy = Policy(policy_id="p", version=1, issued="2026-01-01T00:00:00Z", family=parse(text(account="mia-new")))
    found = with_strangers(compile_policy(policy), ["mia"], load_catalogue())
    assert found.accounts == {"mia-new": "mia", "mia": "mia (account)"}
    assert set(found.children) == {"mia", "mia (account)"}


@given(st.sets(st.text("abcdefg", min_size=1, max_size=3), max_size=40), st.sets(st.sampled_from("abc")))
def test_nobody_named_is_ever_a_stranger_and_they_are_bounded(standard: set[str], unwatched: set[str]) -> None:
    one = family(f"unwatched = {sorted(unwatched)}".replace("'", '"'))
    found = strangers(one, standard)
    assert not set(found) & ({"ana", "mia"} | unwatched)
    assert set(found) <= standard
    assert len(found) == min(MOST, len(standard - {"ana", "mia"} - unwatched))


@pytest.mark.parametrize(
    ("more", "signer", "administrator", "words"),
    [
        ("", "ana", False, ""),
        ("", "root", True, ""),
        ("", "tim", False, "your own account would get the strictest limits"),
        ('unwatched = ["tim"]', "tim", False, ""),
        ('others = "ignore"', "tim", False, ""),
        ('others = "ignore"', "mia", False, "which is mia's account"),
        ("", "mia", True, "which is mia's account"),
    ],
)
def test_whoever_signs_is_not_locked_out(more: str, signer: str, administrator: bool, words: str) -> None:
    problem = locks_out(family(more), signer, administrator=administrator)
    assert (problem is None) == (not words)
    assert problem is None or (words in problem.title and problem.error)


def test_a_childs_account_cannot_be_left_alone() -> None:
    problems = check(family('unwatched = ["mia"]'), load_catalogue())
    assert [(p.where, p.error) for p in problems] == [("unwatched", True)]


def test_a_name_to_leave_alone_that_nobody_has_is_worth_a_look() -> None:
    problems = check(family('unwatched = ["gram"]'), load_catalogue(), ["ana", "mia", "gran"])
    assert [(p.where, p.error) for p in problems] == [("unwatched", False)]
    assert "gran" in problems[0].advice
