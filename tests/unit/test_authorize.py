"""The table of rights, cell by cell, written out once more by hand: a change here is a change of the promise."""

from __future__ import annotations

from typing import get_args

import pytest

from agent.core.authorize import TABLE, Role, Who, may, who
from agent.ipc.protocol import Body

# call: may a (child, guardian, administrator, nobody) make it without the PIN; then with the PIN
EXPECTED = {
    "hello": "yyyy yyyy",
    "status": "yyyn yyyn",
    "week": "yyyn yyyn",
    "agreement": "yyyn yyyn",
    "recorded": "yyyn yyyn",
    "why": "yyyn yyyn",
    "doctor": "yyyn yyyn",
    "requests": "yyyn yyyn",
    "subscribe": "yyyn yyyn",
    "audit": "nyyn nyyn",
    "ask": "ynnn ynnn",
    "goal": "ynnn ynnn",
    "prove": "yyyn yyyn",
    "give": "nnnn yyyn",
    "release": "nnnn yyyn",
    "answer": "nnnn yyyn",
    "set-pin": "nnnn yyyn",
    "accept-clock": "nnnn yyyn",
    "delete-history": "nnnn nyyn",
    "install": "nyyn nyyn",
}
ROLES: tuple[Role, ...] = ("child", "guardian", "administrator", "nobody")


def test_the_table_knows_every_call_and_no_other() -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(Body)}
    assert tags == set(TABLE) == set(EXPECTED)


@pytest.mark.parametrize("call", sorted(EXPECTED))
def test_each_cell(call: str) -> None:
    for proven, row in zip((False, True), EXPECTED[call].split(), strict=True):
        for role, letter in zip(ROLES, row, strict=True):
            caller = Who("x", role, "mia" if role == "child" else None)
            ruling = may(caller, call, None, proven=proven)
            assert ruling.allowed is (letter == "y"), (call, role, proven)
            assert ruling.allowed or (ruling.why and ruling.advice)


@pytest.mark.parametrize("call", sorted(EXPECTED))
def test_a_child_sees_nobody_elses_page(call: str) -> None:
    mia = Who("mia", "child", "mia")
    if EXPECTED[call][0] == "y":
        assert may(mia, call, "mia", proven=False).allowed
    assert not may(mia, call, "leo", proven=False).allowed


def test_a_childs_account_is_a_childs_whatever_else_it_is() -> None:
    assert who("mia", {"mia": "mia"}, {"mia"}, privileged=True).role == "child"
    assert who("ana", {"mia": "mia"}, {"ana"}, privileged=True).role == "guardian"
    assert who("root", {"mia": "mia"}, {"ana"}, privileged=True).role == "administrator"
    assert who("guest", {"mia": "mia"}, {"ana"}, privileged=False).role == "nobody"
