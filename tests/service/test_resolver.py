"""The resolver as a process, beside name servers that are good, slow, cut, wrong or lying."""

from __future__ import annotations

import itertools
import os
import select
import socket
import subprocess
import sys
from typing import TypeVar

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.filter import line, page, process, safesearch
from agent.filter.control import Answered, Ask, Lists, Ping, Pong, Serve, Serving, Used
from agent.model.site import SINK, GroupRule, HostRule, Said, SitePlan
from agent.resources import folder
from tests.dns_servers import Behaviour, Sender, good, server, zone
from tests.resolving import addresses, framed, lane, plan, resolver

Message = dns.message.Message
M = TypeVar("M")
ALLOWED = {"example.org": "192.0.2.1", "www.example.org": "192.0.2.2"}


def explanation(message: Message) -> tuple[int, str | None]:
    option = next(option for option in message.options if isinstance(option, dns.edns.EDEOption))
    return option.code, option.text


# ---- what is blocked, what is allowed --------------------------------------------------------------------------------


def test_an_allowed_name_is_answered_and_nothing_else_is() -> None:
    with (
        server(zone(ALLOWED)) as good_one,
        resolver(lane(plan(allow=("example.org",))), upstreams=(good_one.address,)) as r,
    ):
        for at in ("127.0.0.1", "::1"):
            for tcp in (False, True):
                assert addresses(r.ask("www.example.org", tcp=tcp, at=at)) == ["192.0.2.2"]
                blocked = r.ask("www.example.com", tcp=tcp, at=at)
                assert addresses(blocked) == [SINK]
                assert blocked.answer[0].ttl <= 2
                assert explanation(blocked) == (17, "www.example.com is not on your list yet. You can ask for it.")
        asked = [message.question[0].name.to_text() for message, _, _ in good_one.seen]
        assert set(asked) == {"www.example.org."}, "a blocked name left this PC"


@pytest.mark.parametrize("kind", ["AAAA", "HTTPS", "SVCB", "TXT", "MX", "ANY", "CNAME"])
def test_a_blocked_name_has_nothing_but_our_address(kind: str) -> None:
    with resolver(lane(plan(block=("bad.example",), otherwise="allow"))) as r:
        answer = r.ask("www.bad.example", kind)
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
        assert answer.authority[0].ttl <= 2


def test_two_children_have_two_sets_of_rules() -> None:
    lanes = lane(plan("mia", allow=("example.org",))), lane(plan("tom", block=("example.org",), otherwise="allow"))
    with server(zone(ALLOWED)) as good_one, resolver(*lanes, upstreams=(good_one.address,)) as r:
        assert addresses(r.ask("example.org", child="mia")) == ["192.0.2.1"]
        assert addresses(r.ask("example.org", child="tom")) == [SINK]


def test_a_new_plan_holds_at_once() -> None:
    with server(zone(ALLOWED)) as good_one, resolver(lane(plan()), upstreams=(good_one.address,)) as r:
        assert addresses(r.ask("example.org")) == [SINK]
        at = r.served["mia"]
        r.serve(lane(plan(allow=("example.org",)), at.dns_port, at.page_port), upstreams=(good_one.address,))
        assert r.served["mia"] == at
        assert addresses(r.ask("example.org")) == ["192.0.2.1"]
        r.serve(lane(plan(), at.dns_port, at.page_port), upstreams=(good_one.address,))
        assert addresses(r.ask("example.org")) == [SINK], "an answer outlived the permission"


def test_a_permission_that_ends_while_the_answer_is_under_way_is_not_honoured() -> None:
    waiting: list[tuple[Message, Sender]] = []
    with (
        server(lambda message, send, _: waiting.append((message, send))) as slow,
        resolver(lane(plan(allow=("example.org",))), upstreams=(slow.address,)) as r,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        asker.settimeout(20)
        question = dns.message.make_query("example.org", "A")
        asker.sendto(question.to_wire(), ("127.0.0.1", r.served["mia"].dns_port))
        assert slow.came.wait(20)
        r.serve(lane(plan(), r.served["mia"].dns_port, r.served["mia"].page_port), upstreams=(slow.address,))
        message, send = waiting[0]
        send(good(message, ("example.org", 300, "A", "192.0.2.1")))
        assert addresses(dns.message.from_wire(asker.recv(4096))) == [SINK]


def test_nothing_resolves_before_the_lists_came() -> None:
    wanted = plan(otherwise="allow", groups=(GroupRule(group="adult", action="block", rule="group:adult"),))
    with server(zone(ALLOWED)) as good_one, resolver(lane(wanted), upstreams=(good_one.address,), lists=False) as r:
        answer = r.ask("example.org")
        assert answer.rcode() == dns.rcode.SERVFAIL
        assert explanation(answer)[0] == 14
        r.lists(None)
        assert r.trouble("group").now[0].about == "adult"
        assert addresses(r.ask("example.org")) == ["192.0.2.1"]


def test_a_child_who_is_no_longer_served_gets_no_answer() -> None:
    with resolver(lane(plan("mia")), lane(plan("tom"))) as r:
        port = r.served["mia"].dns_port
        r.serve(lane(plan("tom"), r.served["tom"].dns_port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect(("127.0.0.1", port))
            asker.settimeout(20)
            asker.send(dns.message.make_query("example.org", "A").to_wire())
            with pytest.raises(ConnectionRefusedError):
                asker.recv(512)


# ---- special names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com", "printer.local"])
def test_canaries_are_not_there(name: str) -> None:
    with resolver(lane(plan(otherwise="allow"))) as r:
        assert r.ask(name).rcode() == dns.rcode.NXDOMAIN


def test_there_is_no_encrypted_twin() -> None:
    with resolver(lane(plan(otherwise="allow"))) as r:
        answer = r.ask("_dns.resolver.arpa", "SVCB")
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


def test_this_pc_is_itself() -> None:
    with resolver(lane(plan())) as r:
        assert addresses(r.ask("localhost")) == ["127.0.0.1"]
        assert addresses(r.ask("localhost", "AAAA")) == ["::1"]


def test_safe_search_leads_to_the_other_server_and_nowhere_else() -> None:
    table = {
        "forcesafesearch.google.com": "192.0.2.120",
        "restrict.youtube.com": "192.0.2.121",
        "www.google.de": "192.0.2.66",
    }
    with (
        server(zone(table)) as good_one,
        resolver(lane(plan(otherwise="allow", youtube="strict")), upstreams=(good_one.address,)) as r,
    ):
        for name, target, address in (
            ("www.google.de", "forcesafesearch.google.com.", "192.0.2.120"),
            ("www.google.co.uk", "forcesafesearch.google.com.", "192.0.2.120"),
            ("m.youtube.com", "restrict.youtube.com.", "192.0.2.121"),
        ):
            answer = r.ask(name)
            assert answer.answer[0].name.to_text() == f"{name}."
            assert answer.answer[0][0].to_text() == target
            assert answer.answer[1].name.to_text() == target
            assert addresses(answer) == [address]
            for kind in ("HTTPS", "SVCB", "TXT"):
                assert r.ask(name, kind).answer == []
        at = r.served["mia"]
        r.serve(
            lane(plan(otherwise="allow", safe_search=False, youtube="off"), at.dns_port),
            upstreams=(good_one.address,),
        )
        assert addresses(r.ask("www.google.de")) == ["192.0.2.66"]


def test_without_an_address_for_safe_search_there_is_none_for_the_unsafe_one() -> None:
    with (
        server(zone({"www.bing.com": "192.0.2.66"})) as other,
        resolver(lane(plan(otherwise="allow")), upstreams=(other.address,)) as r,
    ):
        answer = r.ask("www.bing.com")
        assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])


@pytest.mark.parametrize("address", ["192.168.1.1", "10.0.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "0.0.0.0"])
def test_a_public_name_does_not_lead_into_the_home(address: str) -> None:
    names = {"example.org": address, "router.lan": address, "nas.example.net": address}
    plans = plan(allow=("nas.example.net",), otherwise="allow")
    with server(zone(names)) as liar, resolver(lane(plans), upstreams=(liar.address,)) as r:
        for _ in range(2):
            answer = r.ask("example.org")
            assert answer.answer == []
            assert explanation(answer)[0] == 17
        assert addresses(r.ask("router.lan")) == [address], "the home's own names may"
        assert addresses(r.ask("nas.example.net")) == [address], "a guardian has named it"


LEADING = {
    "friend.example": ["cdn.carrier.example", "www.bad.example"],
    "puzzles.example": ["carrier.example"],
    "friend.allowed.example": ["bad.example"],
    "film.example": ["timed.example"],
}


def leading(message: Message, send: Sender, _stream: bool) -> None:
    """Every name of ``LEADING`` leads to the next ones, and the last has an address."""
    asked = message.question[0]
    name = asked.name.to_text().rstrip(".")
    way = [name, *LEADING[name]]
    records = [(one, 300, "CNAME", f"{other}.") for one, other in itertools.pairwise(way)]
    if asked.rdtype == dns.rdatatype.A:
        records.append((way[-1], 300, "A", "192.0.2.1"))
    send(good(message, *records))


def test_a_name_that_leads_to_a_closed_site_is_closed_too() -> None:
    plans = plan(allow=("friend.allowed.example",), block=("bad.example",), reason="Ask us.", otherwise="allow")
    with server(leading) as one, resolver(lane(plans), upstreams=(one.address,)) as r:
        for _ in range(2):  # as it came, and as it was kept
            for tcp in (False, True):
                answer = r.ask("friend.example", tcp=tcp)
                assert addresses(answer) == [SINK]
                assert answer.answer[0].ttl <= 2
                why = "friend.example leads to bad.example, which is not open for you. Ask us. You can ask for it."
                assert explanation(answer) == (17, why)
            for kind in ("AAAA", "HTTPS", "CNAME"):
                assert r.ask("friend.example", kind).answer == []
        kinds = [message.question[0].rdtype for message, _, _ in one.seen]
        assert kinds.count(dns.rdatatype.A) == 1, "it was asked again"
        assert addresses(r.ask("puzzles.example")) == ["192.0.2.1"]
        assert addresses(r.ask("friend.allowed.example")) == ["192.0.2.1"], "a guardian has named it"
        page = r.http(get("friend.example"))
        assert b"friend.example is not open for you" in page
        assert b"It leads to bad.example.\nAsk us." in page
        opened = r.http(get("puzzles.example"))
        assert b"is open for you" in opened
        assert b"\r\nRefresh: 1\r\n" in opened, "the browser comes again by itself"
        assert b"Refresh:" not in page


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/level/1?of=3&to=%20", "/level/1?of=3&to=%20"),
        ("//bad.example/", "//bad.example/"),
        ("http://bad.example/", "/"),
        ("/\x7f", "/"),
        ("/ü", "/"),
    ],
)
def test_a_chromium_that_comes_for_what_is_open_by_now_is_sent_to_the_same_page_over_https_once(
    target: str, path: str
) -> None:
    with resolver(lane(plan(allow=("example.org",)))) as r:
        head = f"GET {target} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: X (Linux) Chrome/142.0\r\nConnection: close\r\n\r\n"
        there = f"\r\nRefresh: 0; url=https://example.org{path}\r\n".encode()
        assert there in r.http(head.encode("latin-1")), "it asks for another address there"
        assert b"\r\nRefresh: 3\r\n" in r.http(head.encode("latin-1")), "nobody was there: it comes again by itself"


def test_where_a_kept_answer_leads_is_judged_by_the_rules_of_now() -> None:
    with server(leading) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        at = r.served["mia"]
        assert addresses(r.ask("friend.example")) == ["192.0.2.1"]
        for plans, found in (
            (plan(block=("carrier.example",), otherwise="allow"), SINK),
            (plan(block=("carrier.example",), allow=("friend.example",), otherwise="allow"), "192.0.2.1"),
            (plan(block=("other.example",), otherwise="allow"), "192.0.2.1"),
        ):
            r.serve(lane(plans, at.dns_port, at.page_port), upstreams=(one.address,))
            assert addresses(r.ask("friend.example")) == [found]
        assert len(one.seen) == 1


def test_in_an_allow_list_a_name_may_lie_at_any_carrier() -> None:
    with (
        server(leading) as one,
        resolver(lane(plan(allow=("puzzles.example",))), upstreams=(one.address,)) as r,
    ):
        assert addresses(r.ask("puzzles.example")) == ["192.0.2.1"]
        assert addresses(r.ask("friend.example")) == [SINK]


@pytest.mark.parametrize("chain", [33, 100])
def test_a_way_that_nobody_can_follow_is_not_open(chain: int) -> None:
    def far(message: Message, send: Sender, _stream: bool) -> None:
        way = [
            ("start.example" if i == 0 else f"n{i}.example", 60, "CNAME", f"n{i + 1}.example.") for i in range(chain)
        ]
        send(good(message, *way, (f"n{chain}.example", 60, "A", "192.0.2.1")))

    with server(far) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        answer = r.ask("start.example")
        assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])


# ---- other servers ---------------------------------------------------------------------------------------------------


def test_numbers_and_ports_are_not_to_be_guessed() -> None:
    table = {f"n{i}.example.org": "192.0.2.1" for i in range(200)}
    with server(zone(table)) as good_one, resolver(lane(plan(otherwise="allow")), upstreams=(good_one.address,)) as r:
        for name in table:
            r.ask(name)
        assert len({message.id for message, _, _ in good_one.seen}) > 190
        assert len({port for _, port, _ in good_one.seen}) > 100


def test_what_comes_for_another_question_or_number_is_not_believed() -> None:
    def lie(message: Message, send: Sender, _stream: bool) -> None:
        evil = ("example.org", 300, "A", "203.0.113.66")
        for change in (1, 2, 3):
            forged = dns.message.from_wire(good(message, evil))
            forged.id = message.id ^ change
            send(forged.to_wire())
        other = dns.message.make_query("example.com", "A", use_edns=0)
        other.id = message.id
        send(good(other, ("example.com", 300, "A", "203.0.113.66")))
        send(message.to_wire())
        send(b"\0" * 12)
        send(os.urandom(40))
        send(good(message, evil)[:-2])
        send(good(message, ("example.org", 300, "A", "192.0.2.1")))

    with server(lie) as liar, resolver(lane(plan(otherwise="allow")), upstreams=(liar.address,)) as r:
        assert addresses(r.ask("example.org")) == ["192.0.2.1"]


def test_a_cut_answer_is_asked_for_over_tcp() -> None:
    def cut(message: Message, send: Sender, stream: bool) -> None:
        reply = dns.message.make_response(message)
        if stream:
            reply.answer.append(
                dns.rrset.from_text("example.org.", 60, "IN", "TXT", *[f'"{n} {"x" * 200}"' for n in range(12)])
            )
        else:
            reply.flags |= dns.flags.TC
        send(reply.to_wire(max_size=65_535))

    with server(cut) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        assert r.ask("example.org", "TXT").flags & dns.flags.TC
        answer = r.ask("example.org", "TXT", tcp=True)
        assert len(answer.answer[0]) == 12
        assert [stream for _, _, stream in one.seen] == [False, True], "the whole answer was not kept"


def test_one_that_cuts_everything_is_not_asked_for_ever() -> None:
    def cut(message: Message, send: Sender, _stream: bool) -> None:
        reply = dns.message.make_response(message)
        reply.flags |= dns.flags.TC
        send(reply.to_wire())

    with server(cut) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        answer = r.ask("example.org")
        assert answer.answer == []
        assert len(one.seen) <= 6


def test_a_circle_of_names_ends_with_the_asker() -> None:
    def circle(message: Message, send: Sender, _stream: bool) -> None:
        send(
            good(
                message,
                ("a.example.org", 60, "CNAME", "b.example.org."),
                ("b.example.org", 60, "CNAME", "a.example.org."),
            )
        )

    with server(circle) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        assert len(r.ask("a.example.org").answer) == 2
        assert len(one.seen) == 1


def test_when_one_does_not_answer_the_next_is_asked_and_it_is_told() -> None:
    with (
        server(lambda *_: None) as silent,
        server(zone({f"n{i}.example.org": "192.0.2.1" for i in range(4)})) as good_one,
        resolver(lane(plan(otherwise="allow")), upstreams=(silent.address, good_one.address)) as r,
    ):
        for i in range(2):
            assert addresses(r.ask(f"n{i}.example.org")) == ["192.0.2.1"]
        assert [one.about for one in r.trouble("upstream").now] == [silent.address]
        before = len(silent.seen)
        assert addresses(r.ask("n2.example.org")) == ["192.0.2.1"]
        assert len(silent.seen) == before, "it was asked again although it is silent"


def test_one_that_comes_back_is_used_again() -> None:
    back = False

    def behave(message: Message, send: Sender, stream: bool) -> None:
        if back:
            zone({f"n{i}.example.org": "192.0.2.1" for i in range(99)})(message, send, stream)

    with server(behave) as one, resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
        answer = r.ask("n0.example.org")
        assert answer.rcode() == dns.rcode.SERVFAIL
        assert explanation(answer)[0] == 22
        r.trouble("no-upstream")
        back = True
        assert addresses(r.ask("n1.example.org")) == ["192.0.2.1"]
        r.trouble("no-upstream", there=False)


def test_nobody_at_the_port_and_nobody_at_all() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{taken.getsockname()[1]}"
    with (
        server(zone(ALLOWED)) as good_one,
        resolver(lane(plan(otherwise="allow")), upstreams=(closed, good_one.address)) as r,
    ):
        assert addresses(r.ask("example.org")) == ["192.0.2.1"]
    with resolver(lane(plan(otherwise="allow"))) as r:
        assert r.ask("example.org").rcode() == dns.rcode.SERVFAIL
        r.trouble("no-upstream")


def test_one_that_cannot_passes_the_question_on() -> None:
    def cannot(message: Message, send: Sender, _stream: bool) -> None:
        send(good(message, code=dns.rcode.SERVFAIL))

    with server(cannot) as one, server(zone(ALLOWED)) as good_one:
        with resolver(lane(plan(otherwise="allow")), upstreams=(one.address, good_one.address)) as r:
            assert addresses(r.ask("example.org")) == ["192.0.2.1"]
        with resolver(lane(plan(otherwise="allow")), upstreams=(one.address,)) as r:
            assert r.ask("example.org").rcode() == dns.rcode.SERVFAIL


def test_answers_are_kept_for_a_while_and_live_no_longer_than_they_may() -> None:
    with (
        server(zone(ALLOWED, ttl=86_400)) as good_one,
        server(zone(ALLOWED, ttl=0)) as fresh,
        resolver(lane(plan(otherwise="allow")), upstreams=(good_one.address,)) as r,
    ):
        for _ in range(3):
            answer = r.ask("example.org")
            assert addresses(answer) == ["192.0.2.1"]
            assert answer.answer[0].ttl <= 60
        assert r.ask("nothing.example.org").rcode() == dns.rcode.NXDOMAIN
        assert len(good_one.seen) == 2
        at = r.served["mia"].dns_port
        r.serve(lane(plan(otherwise="allow"), at), upstreams=(fresh.address,))
        for _ in range(2):
            assert addresses(r.ask("www.example.org")) == ["192.0.2.2"]
        assert len(fresh.seen) == 2


def test_many_who_ask_the_same_are_one_question() -> None:
    waiting: list[tuple[Message, Sender]] = []
    with (
        server(lambda message, send, _: waiting.append((message, send))) as slow,
        resolver(lane(plan(otherwise="allow")), upstreams=(slow.address,)) as r,
    ):
        askers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        try:
            for number, asker in enumerate(askers):
                asker.settimeout(20)
                question = dns.message.make_query("example.org" if number % 2 else "eXample.org", "A", id=number)
                asker.sendto(question.to_wire(), ("127.0.0.1", r.served["mia"].dns_port))
            assert slow.came.wait(20)
            r.line.send(Ping(number=1))
            r.wait(Pong)
            message, send = waiting[0]
            send(good(message, ("example.org", 300, "A", "192.0.2.1")))
            for number, asker in enumerate(askers):
                answer = dns.message.from_wire(asker.recv(4096))
                assert (answer.id, addresses(answer)) == (number, ["192.0.2.1"])
            assert len(slow.seen) == 1
        finally:
            for asker in askers:
                asker.close()


def test_one_childs_flood_is_that_childs_own_matter() -> None:
    """Of a thousand names that nobody answers, and ten thousand that are blocked: another child's question gets through."""

    def only_one(message: Message, send: Sender, stream: bool) -> None:
        if message.question[0].name.to_text() == "example.org.":
            zone(ALLOWED)(message, send, stream)

    lanes = lane(plan("mia", otherwise="allow", block=("bad.example",))), lane(plan("tom", allow=("example.org",)))
    with server(only_one) as one, resolver(*lanes, upstreams=(one.address,)) as r:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.connect(("127.0.0.1", r.served["mia"].dns_port))
            for i in range(1_000):
                flood.send(dns.message.make_query(f"n{i}.example.net", "A").to_wire())
            question = dns.message.make_query("bad.example", "A").to_wire()
            for _ in range(10_000):
                flood.send(question)
            assert addresses(r.ask("example.org", child="tom")) == ["192.0.2.1"]
        asked = {message.question[0].name.to_text() for message, _, _ in one.seen}
        assert len(asked) <= 258, "more questions were out than one child may have"


def test_broken_packets_do_no_harm() -> None:
    with server(zone(ALLOWED)) as good_one, resolver(lane(plan(otherwise="allow")), upstreams=(good_one.address,)) as r:
        port = r.served["mia"].dns_port
        whole = dns.message.make_query("example.org", "A", use_edns=0).to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            for size in range(len(whole) + 1):
                asker.sendto(whole[:size], ("127.0.0.1", port))
            for _ in range(500):
                asker.sendto(os.urandom(60), ("127.0.0.1", port))
            asker.sendto(bytes(60_000), ("127.0.0.1", port))
        for junk in (b"\0", b"\0\0", b"\xff\xff" + bytes(200), framed(bytes(12)), framed(whole)[:-3]):
            with socket.create_connection(("127.0.0.1", port), 20) as end:
                end.sendall(junk)
        assert addresses(r.ask("example.org")) == ["192.0.2.1"]


def test_more_connections_than_may_be_close_the_oldest() -> None:
    with resolver(lane(plan())) as r:
        ends = [socket.create_connection(("127.0.0.1", r.served["mia"].dns_port), 20) for _ in range(40)]
        try:
            assert ends[0].recv(1) == b""
            ends[-1].sendall(framed(dns.message.make_query("bad.example", "A").to_wire()))
            assert addresses(dns.message.from_wire(ends[-1].recv(4096)[2:])) == [SINK]
        finally:
            for end in ends:
                end.close()


# ---- the process -----------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_not_fought_for() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, resolver(lane(plan("tom"))) as r:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        r.serve(lane(plan(), taken))
        assert r.served["mia"].dns_port not in (0, taken)
        assert [one.about for one in r.trouble("port").now if one.kind == "port"] == [str(taken)]
        assert addresses(r.ask("bad.example")) == [SINK]


@pytest.mark.skipif(os.geteuid() != 0, reason="a network without IPv6 is made by root")
def test_without_ipv6_it_goes_on_and_says_so() -> None:
    script = (
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lo up; "
        'exec "$0" -c "from tests.service import test_resolver; test_resolver.without_six()"'
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def without_six() -> None:
    """Run by the test before, in a network without IPv6."""
    with resolver(lane(plan())) as r:
        r.trouble("no-ipv6")
        assert addresses(r.ask("bad.example")) == [SINK]


@pytest.mark.skipif(os.geteuid() != 0, reason="only who has rights can give them up")
def test_it_has_no_rights() -> None:
    with resolver(lane(plan())) as r:
        with open(f"/proc/{r.process.pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert set(status["Uid"].split()) == {"65534"}
        assert set(status["Gid"].split()) == {"65534"}
        assert status["Groups"].strip() == ""
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def test_it_ends_when_the_service_hangs_up_or_makes_no_sense() -> None:
    with resolver(lane(plan())):
        pass  # ``resolver`` looks at its end
    with resolver(lane(plan())) as r:
        r.line._end.sendall(b"\xff\xff\xff\xff")
        assert r.process.wait(20) == 0


def used(plans: SitePlan, behave: Behaviour, names: tuple[str, ...]) -> Used:
    """What is told after these were asked for.  In this process, so that nobody has to wait for the end of a minute."""
    ours, theirs = socket.socketpair()
    service = line.for_service(ours)
    inside = process.Resolver(
        line.for_resolver(theirs), safesearch.SafeSearch({}, {}), page.Languages(folder("assets") / "words")
    )
    inside.loop.watch(theirs.fileno(), inside._hear)

    def hear(kind: type[M]) -> M:
        for _ in range(500):
            inside.loop.turn(0.05)
            for message, _ in service.receive():
                if isinstance(message, kind):
                    return message
                assert not isinstance(message, Used)
        raise AssertionError(kind)

    with server(behave) as good_one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        service.send(Lists())
        service.send(Serve(lanes=(lane(plans),), upstreams=(good_one.address,)))
        asker.connect(("127.0.0.1", hear(Serving).lanes[0].dns_port))
        asker.setblocking(False)
        for name in names:
            asker.send(dns.message.make_query(name, "A").to_wire())
            while not select.select([asker], [], [], 0)[0]:
                inside.loop.turn(0.05)
            asker.recv(4096)
        inside._minute_over()
        found = hear(Used)
        inside._minute_over()
        service.send(Ping(number=1))
        hear(Pong)  # and no use before it: there is nothing new to tell
    for one in inside._lanes.values():
        one.close()
    inside.loop.close()
    theirs.close()
    service.close()
    return found


def test_use_is_told_by_site_and_help_is_not() -> None:
    plans = plan(allow=("example.org",), always=("childline.org.uk",), watched=("site:example.org",))
    table = ALLOWED | {"childline.org.uk": "192.0.2.9", "a.b.example.org": "192.0.2.3"}
    asked = ("a.b.example.org", "www.example.org", "www.example.org", "childline.org.uk", "x.blocked.example.com",
             "x.blocked.example.com", "missing.example.org", "printer.local", "router")  # fmt: skip
    told = used(plans, zone(table), asked)
    assert {(one.child, one.host, one.action, one.asked, one.minutes) for one in told.sites} == {
        ("mia", "example.org", "allow", 3, 1),
        ("mia", "example.com", "block", 2, 1),
    }
    assert [(one.child, one.rule, one.minutes) for one in told.watched] == [("mia", "site:example.org", 1)]


def test_a_name_that_leads_to_a_rules_site_uses_its_minutes_and_is_told_as_closed_when_that_is() -> None:
    plans = plan(allow=("timed.example",), block=("bad.example",), watched=("site:timed.example",), otherwise="allow")
    told = used(plans, leading, ("film.example", "friend.example", "puzzles.example", "puzzles.example"))
    assert {(one.host, one.action, one.asked) for one in told.sites} == {
        ("film.example", "allow", 1),
        ("friend.example", "block", 1),
        ("puzzles.example", "allow", 2),
    }
    assert [one.rule for one in told.watched] == ["site:timed.example"]


# ---- the page --------------------------------------------------------------------------------------------------------


def get(host: str, path: str = "/", *fields: str, method: str = "GET", body: str = "") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: text/html", *fields, *length, "", body]
    return "\r\n".join(lines).encode()


def token(page: bytes) -> str:
    return page.partition(b'name="token" value="')[2].partition(b'"')[0].decode()


def test_the_page_says_why_and_passes_a_wish_on() -> None:
    plans = plan(block=("bad.example",), reason="Not before your birthday.", otherwise="allow")
    with resolver(lane(plans)) as r:
        shown = r.http(get("www.bad.example", "/some/where?secret=1"))
        assert shown.startswith(b"HTTP/1.1 403 ")
        assert b"www.bad.example is not open for you" in shown
        assert b"Not before your birthday." in shown
        assert b"116 111" in shown
        assert b"secret" not in shown
        head = shown.partition(b"\r\n\r\n")[0].decode()
        assert "default-src 'none'" in head
        assert "frame-ancestors 'none'" in head
        for outcome, words in (("asked", b"You have asked."), ("already", b"asked for this already")):
            with socket.create_connection(("127.0.0.1", r.served["mia"].page_port), 20) as end:
                shown = r.http(get("www.bad.example"))
                end.sendall(get("www.bad.example", "/", method="POST", body=f"token={token(shown)}"))
                ask = r.wait(Ask)
                assert (ask.child, ask.host) == ("mia", "www.bad.example")
                r.line.send(Answered(number=ask.number, outcome=outcome))  # type: ignore[arg-type]  # a word of the parametrised test
                answer = b""
                while part := end.recv(65_536):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert words in answer


def test_a_reason_of_the_rules_comes_in_the_browsers_language() -> None:
    said = Said(
        "{title} has its own hours, and this is outside them. It opens at {time}.",
        (("title", "games"), ("time", "16:00")),
    )
    rule = HostRule(host="bad.example", action="block", rule="r", reason="games has its own hours …", said=said)
    with resolver(lane(SitePlan(child="mia", hosts=(rule,), otherwise="allow"))) as r:
        shown = r.http(get("bad.example", "/", "Accept-Language: zh-CN,zh;q=0.9"))
        assert "games 有自己的开放时间，现在不在其中。16:00 开放。".encode() in shown


@pytest.mark.parametrize(
    ("host", "fields"),
    [
        ("other.example", ()),
        ("www.bad.example", ("Origin: http://evil.example",)),
        ("www.bad.example", ("Origin: null",)),
        ("www.bad.example", ("Sec-Fetch-Site: cross-site",)),
    ],
)
def test_another_page_cannot_ask(host: str, fields: tuple[str, ...]) -> None:
    with resolver(lane(plan())) as r:
        good_token = token(r.http(get("www.bad.example")))
        for body in (f"token={good_token}", "token=", "", "token=" + "0" * 32):
            if fields or host == "other.example" or body != f"token={good_token}":
                answer = r.http(get(host, "/", *fields, method="POST", body=body))
                assert b"ask once more" in answer
        r.line.send(Ping(number=1))
        r.wait(Pong)
        assert not [message for message in r.heard if isinstance(message, Ask)]


def test_wishes_are_few() -> None:
    with resolver(lane(plan())) as r:
        said = []
        for i in range(10):
            shown = r.http(get(f"n{i}.example"))
            with socket.create_connection(("127.0.0.1", r.served["mia"].page_port), 20) as end:
                end.sendall(get(f"n{i}.example", "/", method="POST", body=f"token={token(shown)}"))
                r.line.send(Ping(number=i))
                r.wait(Pong, lambda pong, i=i: pong.number == i)  # type: ignore[misc]  # mypy infers no lambda with a default
                for ask in [message for message in r.heard if isinstance(message, Ask)]:
                    r.heard.remove(ask)
                    r.line.send(Answered(number=ask.number, outcome="asked"))
                answer = b""
                while part := end.recv(65_536):
                    answer += part
                said.append(b"You have asked for a lot" in answer)
        assert said == [False] * 6 + [True] * 4


def test_one_page_loaded_is_one_wish() -> None:
    with resolver(lane(plan())) as r:
        shown = r.http(get("bad.example"))
        with socket.create_connection(("127.0.0.1", r.served["mia"].page_port), 20) as end:
            end.sendall(get("bad.example", "/", method="POST", body=f"token={token(shown)}"))
            r.line.send(Answered(number=r.wait(Ask).number, outcome="asked"))
            while end.recv(65_536):
                pass
        assert b"ask once more" in r.http(get("bad.example", "/", method="POST", body=f"token={token(shown)}"))


def test_what_a_browser_keeps_ready_for_a_shut_page_ends_with_new_rules() -> None:
    with resolver(lane(plan())) as r:
        at = r.served["mia"]
        begun, ready = (socket.create_connection(("127.0.0.1", at.page_port), 20) for _ in range(2))
        with begun, ready:
            request = get("bad.example")
            begun.sendall(request[:9])
            r.http(get("bad.example"))  # the resolver has both
            r.serve(lane(plan(allow=("bad.example",)), at.dns_port, at.page_port))
            assert ready.recv(1) == b"", "the next page would come here once more"
            begun.sendall(request[9:])
            assert b"bad.example is open for you" in begun.recv(65_536)


def test_what_is_open_says_so_and_help_has_no_button() -> None:
    with resolver(lane(plan(allow=("example.org",), always=("childline.org.uk",)))) as r:
        for host in ("example.org", "childline.org.uk"):
            shown = r.http(get(host))
            assert f"{host} is open for you".encode() in shown
            assert b"<button" not in shown
        nowhere = r.http(b"GET / HTTP/1.1\r\nHost: %%\r\n\r\n")
        assert b"This page is not open for you" in nowhere
        assert b"<button" not in nowhere


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: a.example\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 99999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\nAccept: image/avif,image/*\r\n\r\n", 403),
    ],
)
def test_requests_that_are_none_get_an_error(request_: bytes, code: int) -> None:
    with resolver(lane(plan())) as r:
        assert r.http(request_).startswith(f"HTTP/1.1 {code} ".encode())


def test_no_words_of_others_become_part_of_the_page() -> None:
    plans = plan(block=("bad.example",), reason="<script>alert('&')</script>")
    with resolver(lane(plans)) as r:
        shown = r.http(get("bad.example"))
        assert b"<script" not in shown
        assert b"&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;" in shown


def test_the_page_is_in_the_browsers_language_though_nothing_may_be_read_any_more() -> None:
    with resolver(lane(plan())) as r:
        answer = r.http(
            b"GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept-Language: ar,en;q=0.5\r\nConnection: close\r\n\r\n"
        )
        assert b'dir="rtl"' in answer


@pytest.mark.parametrize("host", ["bücher.example", "b%C3%BCcher.example", "%", "é"])
def test_letters_beyond_ascii_in_a_head_end_nothing(host: str) -> None:
    with resolver(lane(plan())) as r:
        head = f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
        assert b"not open" in r.http(head.encode("utf-8"))
        assert addresses(r.ask("game.example")) == [SINK]


def test_the_pages_own_address_has_a_field_for_a_site_that_a_browser_closed_by_itself() -> None:
    own = f"Host: {SINK}\r\nConnection: close\r\n"
    with resolver(lane(plan(allow=("example.org",)))) as r:
        empty = r.http(f"GET / HTTP/1.1\r\n{own}\r\n".encode())
        assert b'name="site"' in empty and SINK.encode() not in empty.partition(b"\r\n\r\n")[2]
        for written in ("game.example", "https%3A%2F%2Fgame.example%2Flevel+one"):
            assert b"game.example is not open for you" in r.http(f"GET /?site={written} HTTP/1.1\r\n{own}\r\n".encode())
        shown = r.http(f"GET /?site=example.org HTTP/1.1\r\n{own}\r\n".encode())
        assert b"example.org is open for you" in shown
        assert b"Refresh:" not in shown, "here it would come again for ever"
        for nonsense in ("", "%ff%00", "b%C3%BCcher.example", "%2525", SINK, "192.0.2.1", "<script>"):
            shown = r.http(f"GET /?site={nonsense} HTTP/1.1\r\n{own}\r\n".encode()).partition(b"\r\n\r\n")[2]
            assert b'name="token"' not in shown and b"<script" not in shown
        shown = r.http(f"GET /?site=game.example HTTP/1.1\r\n{own}\r\n".encode())
        body = f"token={token(shown)}&site=game.example"
        sent = f"POST / HTTP/1.1\r\n{own}Origin: http://{SINK}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        with socket.create_connection(("127.0.0.1", r.served["mia"].page_port), 20) as end:
            end.sendall(sent)
            ask = r.wait(Ask)
            assert (ask.child, ask.host) == ("mia", "game.example")
            r.line.send(Answered(number=ask.number, outcome="asked"))
            said = b""
            while part := end.recv(65_536):
                said += part
        assert b"You have asked" in said
