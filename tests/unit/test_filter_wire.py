"""DNS as bytes, held against dnspython, which reads them with code of its own."""

from __future__ import annotations

import struct
from itertools import pairwise

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.filter import wire

LABEL = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=63)
HOST = st.lists(LABEL, min_size=1, max_size=6).map(".".join).filter(lambda host: len(host) <= 253)
KIND = st.sampled_from(["A", "AAAA", "HTTPS", "TXT", "NS", "SOA", "MX", "SRV", "CAA"])


def question(host: str = "www.example.org", kind: str = "A", **more: object) -> bytes:
    return dns.message.make_query(host, kind, **more).to_wire()  # type: ignore[arg-type]  # keywords of make_query, as they come


@given(HOST, KIND, st.booleans(), st.booleans(), st.integers(0, 65_535))
def test_a_question_is_read_as_it_was_written(host: str, kind: str, edns: bool, dnssec: bool, size: int) -> None:
    message = dns.message.make_query(host, kind)
    if edns:
        message.use_edns(0, payload=size)
        message.want_dnssec(dnssec)
    query = wire.read_query(message.to_wire())
    assert (query.host, query.ordinary) == (host.lower(), True)
    assert query.number == message.id.to_bytes(2, "big")
    assert query.type == message.question[0].rdtype
    assert query.edns == edns
    assert query.dnssec == (edns and dnssec)
    assert query.size == (max(512, min(size, 4096)) if edns else 512)
    assert query.wire == wire.write_name(host) + struct.pack(">HH", query.type, 1)


@given(HOST, KIND, st.booleans(), st.booleans())
def test_our_own_question_is_one(host: str, kind: str, edns: bool, dnssec: bool) -> None:
    asked = wire.read_query(question(host, kind, use_edns=0 if edns else None, want_dnssec=edns and dnssec))
    ours = dns.message.from_wire(
        wire.write_query(b"\x12\x34", asked.flags, asked.wire, edns=asked.edns, dnssec=asked.dnssec)
    )
    assert ours.id == 0x1234
    assert ours.question[0].name == dns.name.from_text(host)
    assert ours.edns == (0 if edns else -1)
    assert bool(ours.ednsflags & dns.flags.DO) == (edns and dnssec)
    assert ours.flags == dns.flags.RD


def test_options_of_the_asker_end_here() -> None:
    cookie = dns.edns.GenericOption(10, b"12345678")
    subnet = dns.edns.ECSOption("198.51.100.0", 24)
    query = wire.read_query(question(use_edns=0, options=[cookie, subnet]))
    ours = wire.write_query(b"\0\0", query.flags, query.wire, edns=query.edns, dnssec=query.dnssec)
    assert dns.message.from_wire(ours).options == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (question()[:12], wire.FORMERR),  # says one question, has none
        (question()[:-1], wire.FORMERR),
        (question() + b"\0", wire.FORMERR),
        (question()[:2] + b"\x29\0" + question()[4:], wire.NOTIMP),  # an update
        (question()[:4] + b"\0\2" + question()[6:], wire.FORMERR),
        (question()[:12] + b"\xc0\x0c\0\1\0\1", wire.FORMERR),  # a name that is itself
        (question()[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", wire.FORMERR),
        (question()[:12] + b"\x3f" + b"a" * 63, wire.FORMERR),
        (question()[:12] + (b"\x01a" * 128) + b"\0\0\1\0\1", wire.FORMERR),  # 257 bytes of name
        (question(use_edns=1), wire.BADVERS),
        (question(use_edns=0)[:-1], wire.FORMERR),
        (question(use_edns=0) + b"\0", wire.FORMERR),
        (question()[:10] + b"\0\1" + question()[12:] + b"\0\0\1\0\1\0\0\0\0\0\0", wire.FORMERR),  # no OPT
        (question()[:10] + b"\0\2" + question()[12:], wire.FORMERR),
        (question()[:6] + b"\0\1" + question()[8:], wire.FORMERR),
        (question() + bytes(5000), wire.FORMERR),
    ],
)
def test_what_is_no_question_gets_an_error(data: bytes, code: int) -> None:
    with pytest.raises(wire.Unanswerable) as caught:
        wire.read_query(data)
    assert caught.value.code == code
    answer = dns.message.from_wire(wire.failure(data, code))
    assert answer.id == int.from_bytes(data[:2], "big")
    assert answer.rcode() == code
    assert answer.flags & dns.flags.QR


@pytest.mark.parametrize("data", [b"", b"\0" * 11, question()[:2] + b"\x81\x00" + question()[4:]])
def test_what_nobody_waits_for_gets_none(data: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_query(data)


@pytest.mark.parametrize("label", [b"exa mple", b"ex.ample", b"caf\xc3\xa9", b"a\0b", b"a/b", b"*"])
def test_what_could_be_taken_for_another_name_is_not_ordinary(label: bytes) -> None:
    name = bytes((len(label),)) + label + b"\x03org\0"
    query = wire.read_query(question()[:12] + name + b"\0\1\0\1")
    assert not query.ordinary
    assert query.host == ""


@given(st.binary(max_size=600))
def test_any_bytes_are_a_question_or_an_error(data: bytes) -> None:
    try:
        wire.read_query(data)
    except (wire.Malformed, wire.Unanswerable):
        pass


# ---- answers ---------------------------------------------------------------------------------------------------------


def reply_to(asked: bytes, *records: tuple[str, int, str, str]) -> bytes:
    message = dns.message.make_response(dns.message.from_wire(asked))
    for name, ttl, kind, data in records:
        message.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", kind, data))
    return message.to_wire()


def test_the_records_of_an_answer_are_found() -> None:
    asked = question("www.example.org", "A", use_edns=0)
    answer = reply_to(
        asked, ("www.example.org", 300, "CNAME", "a.example.org."), ("a.example.org", 60, "A", "192.0.2.7")
    )
    records = wire.read_answer(answer, wire.read_query(asked).wire)
    assert [(record.section, record.type) for record in records] == [(0, wire.CNAME), (0, wire.A), (2, wire.OPT)]
    assert [wire.ttl_of(answer, record) for record in records[:2]] == [300, 60]
    at = records[1].data_at
    assert answer[at : at + records[1].length] == bytes((192, 0, 2, 7))
    places = tuple((record.ttl_at, wire.ttl_of(answer, record)) for record in records[:2])
    older = dns.message.from_wire(wire.with_ttls(answer, places, 50, 60))
    assert [rrset.ttl for rrset in older.answer] == [60, 10]


def test_an_answer_to_another_question_is_none() -> None:
    query = wire.read_query(question("www.example.org", "A"))
    for other in (question("www.example.com", "A"), question("www.example.org", "AAAA")):
        with pytest.raises(wire.Malformed):
            wire.read_answer(reply_to(other), query.wire)
    with pytest.raises(wire.Malformed):
        wire.read_answer(question("www.example.org", "A"), query.wire)  # our own words sent back
    wire.read_answer(reply_to(question("WWW.exaMPLE.org", "A")), query.wire)


def test_a_type_is_not_taken_for_another_by_its_case() -> None:
    """65 (HTTPS) is an A, 97 is an a."""
    asked = question("example.org", "TYPE65")
    with pytest.raises(wire.Malformed):
        wire.read_answer(reply_to(question("example.org", "TYPE97")), wire.read_query(asked).wire)
    assert wire.read_query(asked).key != wire.read_query(question("example.org", "TYPE97")).key


@pytest.mark.parametrize("name", [b"\xc0\x1d", b"\xc0\xff", b"\x40aaaa", b"\x80\0", b"\x03ab"])
def test_names_that_lead_nowhere_or_in_circles_are_refused(name: bytes) -> None:
    asked = question("example.org", "A")
    header = reply_to(asked)[:6] + b"\0\1\0\0\0\0"
    assert len(header + asked[12:]) == 0x1D
    with pytest.raises(wire.Malformed):
        wire.read_answer(header + asked[12:] + name + b"\0\1\0\1\0\0\0\1\0\4\1\2\3\4", wire.read_query(asked).wire)


@given(st.data())
def test_any_change_to_an_answer_is_read_or_refused(data: st.DataObject) -> None:
    asked = question("www.example.org", "A", use_edns=0)
    answer = bytearray(
        reply_to(asked, ("www.example.org", 300, "CNAME", "a.example.org."), ("a.example.org", 60, "A", "192.0.2.7"))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(answer[: data.draw(st.integers(0, len(answer)))])
    try:
        records = wire.read_answer(changed, wire.read_query(asked).wire)
    except wire.Malformed:
        return
    assert all(record.data_at + record.length <= len(changed) for record in records)


NAME = st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example.org"]))


@given(st.lists(NAME.filter(lambda name: len(name) < 250), min_size=1, max_size=8, unique_by=str.lower), st.data())
def test_where_an_answer_leads_is_read_as_it_was_written(names: list[str], data: st.DataObject) -> None:
    """dnspython points at parts that were there before, as servers do."""
    records = [("www.example.org", 60, "CNAME", f"{names[0]}.")]
    records += [(one, 60, "CNAME", f"{other}.") for one, other in pairwise(names)]
    records.append((names[-1], 60, "HTTPS", "1 . alpn=h2"))
    other = data.draw(st.sampled_from([*names, "svc.example"]))
    records.append((names[-1], 60, "HTTPS", f"2 {other}. ipv4hint=192.0.2.1"))
    asked = question("www.example.org", "HTTPS")
    answer = reply_to(asked, *records)
    found = wire.leads(answer, wire.read_answer(answer, wire.read_query(asked).wire))
    assert found == tuple(dict.fromkeys(name.lower() for name in (*names, other)))


def led(*parts: bytes) -> bytes:
    """An answer with a CNAME record of these bytes; its data begins at 41."""
    asked = question("example.org")
    data = b"".join(parts)
    head = reply_to(asked)[:6] + b"\0\1\0\0\0\0" + asked[12:]
    return head + b"\xc0\x0c\0\5\0\1\0\0\0\1" + struct.pack(">H", len(data)) + data


def leads(answer: bytes) -> tuple[str, ...]:
    return wire.leads(answer, wire.read_answer(answer, wire.read_query(question("example.org")).wire))


@pytest.mark.parametrize(
    ("parts", "host"),
    [
        ((b"\3WWW\xc0\x0c",), "www.example.org"),
        ((b"\xc0\x14",), "org"),
        ((b"\0",), None),
        # a name with something strange below a listed one is below it all the same
        ((b"\1*\xc0\x0c",), "example.org"),
        ((b"\3a b\7example\3ORG\0",), "example.org"),
        ((b"\1x\xc0\x0c",), "x.example.org"),
        # a dot in a label is no end of it
        ((b"\x0bexample.org\4evil\0",), "evil"),
        ((b"\3bad\x0bexample.org\0",), None),
    ],
)
def test_the_host_that_a_name_stands_for(parts: tuple[bytes, ...], host: str | None) -> None:
    assert leads(led(*parts)) == ((host,) if host else ())


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x29",  # itself
        b"\1a\xc0\x29",  # in a circle
        b"\xc0\x2b\0\0",  # what comes after it
        b"\xff\xff",
        b"\x40" + b"a" * 64 + b"\0",
        b"\x80\0",
        b"\3org",  # beyond its record
        b"\3or",
        b"\xc0",
        b"\1a" * 127 + b"\1b\0",  # 257 bytes
        b"\1a" * 124 + b"\xc0\x0c",  # 255 and more, together with what it points at
        b"",
    ],
)
def test_a_name_that_cannot_be_read_is_not_taken_for_another(name: bytes) -> None:
    with pytest.raises(wire.Malformed):
        leads(led(name))


def test_a_way_through_more_names_than_anybody_follows_is_refused() -> None:
    asked = question("n0.example.org")
    for count in (wire.MOST_LEADS, wire.MOST_LEADS + 1):
        answer = reply_to(asked, *((f"n{i}.example.org", 60, "CNAME", f"n{i + 1}.example.org.") for i in range(count)))
        records = wire.read_answer(answer, wire.read_query(asked).wire)
        if count > wire.MOST_LEADS:
            with pytest.raises(wire.Malformed):
                wire.leads(answer, records)
        else:
            assert len(wire.leads(answer, records)) == count


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_any_bytes_are_a_host_or_none(data: bytes, at: int, end: int) -> None:
    try:
        host = wire.read_host(data, at, end)
    except wire.Malformed:
        return
    assert len(host) <= 253
    assert not host.encode().translate(None, wire.ORDINARY)


@given(HOST, KIND, st.booleans(), st.text(max_size=300))
def test_our_own_answers_are_whole(host: str, kind: str, edns: bool, text: str) -> None:
    asked = question(host, kind, use_edns=0 if edns else None)
    query = wire.read_query(asked)
    extra = wire.explained(17, text)
    data = wire.reply(query, wire.NOERROR, (wire.record(wire.A, 2, b"\x7f\0\0\1"),), wire.no_data(2), extra=extra)
    answer = dns.message.from_wire(data)
    assert dns.message.from_wire(asked).is_response(answer)
    assert answer.answer[0].name == dns.name.from_text(host)
    assert answer.authority[0].rdtype == wire.SOA
    said = [option for option in answer.options if isinstance(option, dns.edns.EDEOption)]
    assert [option.code for option in said] == ([17] if edns else [])
    if said and said[0].text:
        assert text.startswith(said[0].text)


def test_what_does_not_fit_is_cut_and_says_so() -> None:
    asked = question("example.org", "TXT")
    long = reply_to(asked, *(("example.org", 60, "TXT", f'"{number} {"x" * 200}"') for number in range(5)))
    query = wire.read_query(asked)
    assert len(long) > 512
    cut = dns.message.from_wire(wire.cut(query, long))
    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    large = wire.read_query(question("example.org", "TXT", use_edns=0, payload=4096))
    assert wire.cut(large, long) == long


def test_an_answer_for_another_asker_has_that_ones_number_and_spelling() -> None:
    first, second = wire.read_query(question("example.org")), wire.read_query(question("eXample.ORG"))
    assert first.key == second.key
    answer = wire.to_asker(second, reply_to(question("example.org"), ("example.org", 60, "A", "192.0.2.1")))
    message = dns.message.from_wire(answer)
    assert message.id == int.from_bytes(second.number, "big")
    assert message.question[0].name.to_text() == "eXample.ORG."
    assert message.answer[0].name.to_text() == "eXample.ORG."


@pytest.mark.parametrize("host", ["a" * 64, ".".join(["a" * 63] * 4), "a..b"])
def test_a_name_that_is_too_long_is_not_written(host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.write_name(host)
