"""One child's answers without a network: the short way agrees with the long one, and what comes often is answered from memory."""

from __future__ import annotations

import sys

import dns.message
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.core.sites import NO_NAMES
from agent.filter import answers, forward, wire
from agent.filter.loop import Loop
from agent.filter.safesearch import SafeSearch
from agent.filter.uses import MOST
from agent.model.site import SitePlan
from tests.resolving import plan


class Pretended:
    """In the place of other servers: every name has one address, at once."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(self, query: wire.Query, _asker: object, done: forward.Done) -> bool:
        self.asked += 1
        message = dns.message.make_response(
            dns.message.from_wire(wire.write_query(b"\0\1", 256, query.wire, edns=False, dnssec=False))
        )
        message.answer.append(dns.rrset.from_text(message.question[0].name, 3600, "IN", "A", "192.0.2.1"))
        data = message.to_wire()
        done(forward.Reply(data, wire.read_answer(data, query.wire)))
        return True


def child(plans: SitePlan) -> tuple[answers.Answers, Pretended]:
    loop, others = Loop(), Pretended()
    made = answers.Answers(loop, others, SafeSearch({}, {}), "mia")  # type: ignore[arg-type]  # it forwards alike
    loop.close()  # nobody waits for anything here
    made.adopt(plans, NO_NAMES)
    return made, others


def question(name: bytes, number: int = 7) -> bytes:
    """For an address, with the name as it is on the wire."""
    return number.to_bytes(2, "big") + b"\1\0\0\1" + bytes(6) + name + b"\0\1\0\1"


def host(text: str) -> bytes:
    return question(wire.write_name(text))


SHUT, _ = child(plan(block=("bad.example", "ple.bad", "-" + "a" * 44 + ".example"), otherwise="allow"))
NONE, _ = child(plan())
LABEL = st.one_of(
    st.binary(min_size=1, max_size=63),
    st.text("abcXYZ-_09.*\x03\x2d", min_size=1, max_size=63).map(str.encode),
    st.sampled_from([b"bad", b"BAD", b"example", b"exa\x03ple", b"bad.example", b"-" + b"a" * 44, b"arpa", b"lan"]),
)


@given(st.lists(LABEL, max_size=5), st.sampled_from([SHUT, NONE]))
@example([b"ads", b"bad", b"example"], SHUT)
@example([b"exa\x03ple", b"bad"], SHUT)
@example([b"bad\x07example"], SHUT)
@example([b"-" + b"a" * 44, b"example"], SHUT)
@example([b"a" * 44 + b"\x07example"], NONE)
def test_the_short_way_leads_where_the_long_one_does(labels: list[bytes], one: answers.Answers) -> None:
    data = question(b"".join(bytes((len(label),)) + label for label in labels) + b"\0")
    assert one.quick(data) in (None, one.answer(data, len, datagram=True))


@pytest.mark.parametrize("name", ["bad.example", "WWW.Bad.example", "a-1_2.bad.example", "a" * 44 + ".bad.example"])
def test_a_plain_question_for_what_is_shut_goes_the_short_way(name: str) -> None:
    assert SHUT.quick(host(name)) == SHUT.answer(host(name), len, datagram=True)


@pytest.mark.parametrize(
    "name",
    ["open.example", "example", "printer.lan", "mask.icloud.com", "1.0.0.127.in-addr.arpa", "a" * 45 + ".bad.example"],
)
def test_everything_else_goes_the_long_way(name: str) -> None:
    assert SHUT.quick(host(name)) is None


def test_what_is_asked_often_is_answered_from_memory_whatever_a_flood_asks_for() -> None:
    one, others = child(plan(block=("bad.example",), otherwise="allow"))
    for number in range(2 * MOST):
        assert one.quick(host(f"n{number}.bad.example"))
    for _ in range(2):
        one.answer(host("open.example"), len, datagram=True)
    assert host("open.example")[2:] in one.hot
    for number in range(2 * answers.HOT):
        one.quick(host(f"m{number}.bad.example"))
        one.answer(host(f"m{number}.free.example"), len, datagram=True)
    assert host("open.example")[2:] in one.hot, "driven out by names that were asked for once"
    assert others.asked == 1 + 2 * answers.HOT


def test_no_more_is_remembered_than_may_be() -> None:
    one, _ = child(plan(otherwise="allow"))
    for number in range(3 * answers.HOT):
        for _ in range(3):
            one.answer(host(f"n{number}.example"), len, datagram=True)
        assert len(one.hot) <= answers.HOT
