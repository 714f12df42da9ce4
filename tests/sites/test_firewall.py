"""The firewall in force on a network of its own: whose questions go where, what is refused, and what is put right."""

from __future__ import annotations

import functools
import sys
from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform != "linux":
    pytest.skip("nftables is Linux's", allow_module_level=True)

from agent import resources
from agent.filter import nft
from tests.sites import netlab
from tests.sites.netlab import AWAY4, AWAY6, DOH, DOH4, DOH6, WAYS

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
real = pytest.mark.skipif(bool(netlab.unable()), reason=netlab.unable() or "-")
CHILDREN = {"mia": 5301, "container": 5301, "leo": 5302}


@functools.cache
def roads() -> dict[str, dict[str, str]]:
    return netlab.run("roads")  # type: ignore[return-value]  # that part of the laboratory prints this


@real
@pytest.mark.slow
@pytest.mark.parametrize("who", CHILDREN)
def test_questions_for_names_go_to_the_childs_own_resolver_whatever_server_they_were_for(who: str) -> None:
    for kind in ("udp", "tcp"):
        for address in (AWAY4, AWAY6, "127.0.0.53"):
            assert roads()[who][f"{kind} {address} 53"] == f"here:{CHILDREN[who]}", (kind, address)
        assert roads()[who][f"{kind} fe80::53%out 53"] == "refused"


@real
@pytest.mark.slow
@pytest.mark.parametrize("who", CHILDREN)
def test_encrypted_questions_are_refused_at_once_and_the_rest_of_the_web_is_not(who: str) -> None:
    mine = roads()[who]
    for address in (AWAY4, AWAY6):
        assert mine[f"tcp {address} 853"] == "refused"
        assert {mine[f"udp {address} {port}"] for port in (853, 784, 8853)} == {"refused"}
        assert {mine[f"{kind} {address} {port}"] for kind in ("tcp", "udp") for port in (443, 8080)} == {
            "away:443",
            "away:8080",
        }
    assert {mine[f"{kind} {address} 443"] for kind in ("tcp", "udp") for address in (DOH4, DOH6)} == {"refused"}


@real
@pytest.mark.slow
@pytest.mark.parametrize(("who", "page", "own", "other"), [("mia", 5401, 5301, 5302), ("leo", 5402, 5302, 5301)])
def test_a_blocked_name_leads_to_the_childs_page_and_nobody_asks_a_sisters_resolver(
    who: str, page: int, own: int, other: int
) -> None:
    mine = roads()[who]
    assert mine["tcp 127.84.0.1 80"] == f"here:{page}"
    assert mine["tcp 127.84.0.1 443"] == mine["udp 127.84.0.1 443"] == "refused"
    for kind in ("udp", "tcp"):
        for address in ("127.0.0.1", "::1"):
            assert mine[f"{kind} {address} {own}"] == f"here:{own}"
            assert mine[f"{kind} {address} {other}"] == "refused"


@real
@pytest.mark.slow
def test_the_parents_account_is_untouched() -> None:
    for road, answer in roads()["ana"].items():
        _, address, port = road.split()
        if address == "127.84.0.1":
            assert answer == "refused", road  # nobody listens there, and nobody sends it elsewhere
        else:
            assert answer.endswith(f":{port}"), road


@real
def test_a_change_is_noticed_and_put_right_and_other_tables_are_left_alone() -> None:
    found = netlab.run("keeping")
    assert found.pop("quiet") == [False, False]
    assert found.pop("others' change") == [True, None, 0]
    assert found.pop("every minute") is True
    assert found.pop("others' table") == [True, False, False]
    assert len(found) == 6
    assert all(what == [True, ["changed"], False] for what in found.values()), found


@real
def test_a_question_on_the_way_before_the_rules_were_is_the_childs_own_resolvers_after_them() -> None:
    assert netlab.run("stale") == {
        "before": {"udp": "away:53", "tcp": "away:53"},
        "after": {"udp": "here:5301", "tcp": "refused"},  # TCP's began at another server, and begins again
    }


@real
def test_who_asked_before_from_the_same_port_does_not_decide_whom_a_question_goes_to() -> None:
    for road, answers in netlab.run("same_port").items():
        parents = "stub:53" if road.endswith("127.0.0.53") else "away:53"
        assert answers == [parents, "here:5301", "here:5302", "here:5301", parents], road


@real
def test_what_nft_refuses_changes_nothing_and_is_said() -> None:
    found = netlab.run("wrong")
    assert found["same"] is True
    assert "nft says" in str(found["said"])
    assert str(found["why"]).startswith("The firewall cannot be set")


# ---- the text --------------------------------------------------------------------------------------------------------


def test_nobody_to_filter_is_no_table() -> None:
    assert nft.script([], DOH) == nft.removal()
    assert nft.script([nft.Way(uids=(), dns_port=1, page_port=2)], DOH) == nft.removal()


def test_where_nobody_answers_questions_are_refused_and_not_let_through() -> None:
    text = nft.script([nft.Way(uids=((1001, 1001),), dns_port=0, page_port=0)], DOH)
    assert "redirect" not in text
    assert "tcp dport { 53, 853 } reject" in text


def test_the_list_of_resolvers_addresses_is_of_addresses() -> None:
    networks = [ip_network(one) for one in resources.doh_addresses()]
    assert len(networks) > 100
    assert all(net.is_global and net.num_addresses <= (2**12 if net.version == 4 else 2**96) for net in networks)


spans = st.tuples(st.integers(0, 2**20), st.integers(0, 70_000)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(spans, min_size=1, max_size=8))
def test_accounts_are_joined_without_a_gap_or_an_overlap(ranges: list[tuple[int, int]]) -> None:
    joined = nft._joined(ranges)
    assert all(one[1] + 1 < two[0] for one, two in pairwise(joined))
    for first, last in ranges:
        assert any(low <= first and last <= high for low, high in joined)
    assert {edge for span in joined for edge in span} <= {edge for span in ranges for edge in span}


def test_the_text_is_the_same_for_the_same_ways() -> None:
    assert nft.script(WAYS, DOH) == nft.script(WAYS, tuple(reversed(DOH)))
