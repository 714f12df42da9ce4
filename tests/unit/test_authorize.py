"""The table of rights, cell by cell, written out once more by hand: a change here is a change of the promise."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from agent.core.authorize import TABLE, Role, Who, may, who
from agent.ipc.protocol import Body

# Who calls, and about whom ("own": itself, nobody in particular, or for adults any child; "other": mia about leo).
CELLS: tuple[tuple[Role, str], ...] = (
    ("child", "own"),
    ("child", "other"),
    ("guardian", "own"),
    ("administrator", "own"),
    ("nobody", "own"),
)
# call: may they make it without the PIN; then with the PIN proved
EXPECTED = {
    "hello": "y-yyy y-yyy",
    "status": "ynyyn ynyyn",
    "week": "ynyyn ynyyn",
    "agreement": "ynyyn ynyyn",
    "recorded": "ynyyn ynyyn",
    "why": "ynyyn ynyyn",
    "login": "y-yyn y-yyn",
    "requests": "ynyyn ynyyn",
    "learned": "ynyyn ynyyn",
    "doctor": "y-yyn y-yyn",
    "subscribe": "y-yyn y-yyn",
    "audit": "n-yyn n-yyn",
    "ask": "y-nnn y-nnn",
    "goal": "y-nnn y-nnn",
    "idle": "y-nnn y-nnn",
    "prove": "y-yyn y-yyn",
    "give": "nnnnn yyyyn",
    "learn": "nnnnn yyyyn",
    "release": "n-nnn y-yyn",
    "answer": "n-nnn y-yyn",
    "set-pin": "n-nyn n-yyn",
    "accept-clock": "n-nnn y-yyn",
    "delete-history": "nnnnn nnyyn",
    "install": "n-yyn n-yyn",
    "lists": "n-yyn n-yyn",
    "put-list": "n-nyn n-yyn",
    "accept-list": "n-nyn n-yyn",
    "remove-list": "n-nyn n-yyn",
    "trust-publisher": "n-nyn n-yyn",
}


def test_the_table_knows_every_call_and_no_other() -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(Body)}
    assert tags == set(TABLE) == set(EXPECTED)


def test_a_dash_stands_for_calls_that_name_no_child() -> None:
    naming = {kind.__struct_config__.tag for kind in get_args(Body) if "child" in kind.__struct_fields__}
    assert naming == {call for call, row in EXPECTED.items() if row[1] != "-"}


@pytest.mark.parametrize(("call", "proven"), list(product(sorted(EXPECTED), (False, True))))
def test_each_cell(call: str, proven: bool) -> None:
    for (role, about), letter in zip(CELLS, EXPECTED[call].split()[proven], strict=True):
        caller = Who("x", role, "mia" if role == "child" else None)
        names: tuple[str | None, ...] = ("leo",) if about == "other" else (None, "mia")
        if role in ("guardian", "administrator", "nobody"):
            names = (None, "mia", "leo")
        if letter == "-":
            continue
        for name in names:
            ruling = may(caller, call, name, proven=proven)
            assert ruling.allowed is (letter == "y"), (call, role, name, proven)
            assert ruling.allowed or (ruling.why and ruling.advice)


def test_a_childs_account_is_a_childs_whatever_else_it_is() -> None:
    assert who("mia", {"mia": "mia"}, {"mia"}, privileged=True) == Who("mia", "child", "mia")
    assert who("mia-school", {"mia": "mia", "mia-school": "mia"}, set(), privileged=False).child == "mia"
    assert who("ana", {"mia": "mia"}, {"ana"}, privileged=True).role == "guardian"
    assert who("root", {"mia": "mia"}, {"ana"}, privileged=True).role == "administrator"
    assert who("guest", {"mia": "mia"}, {"ana"}, privileged=False).role == "nobody"
    assert who("Ana", {"mia": "mia"}, {"ana"}, privileged=False).role == "nobody"


def test_before_a_policy_only_root_is_somebody() -> None:
    assert who("root", {}, set(), privileged=True).role == "administrator"
    assert who("mia", {}, set(), privileged=False).role == "nobody"
