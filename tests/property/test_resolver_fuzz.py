"""Broken packets by the million, from both sides: none breaks the resolver, and none opens what is shut.

``make fuzz`` runs the million; ``make test`` a few thousand of the same.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable

import dns.exception
import dns.message
import dns.rrset
import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.core.sites import NO_NAMES
from agent.filter import answers, forward, wire
from agent.filter.loop import Loop
from agent.filter.safesearch import SafeSearch
from tests.resolving import plan

FEW = 5_000
OPEN = "open.example"
FREE = (OPEN, "google.com", "router.lan", ".arpa")
EVIL = b"\xcb\x00\x71\x42"
"""What every answer of the other side holds; nobody who asks for a name that is shut may ever see it."""

_NAMES = [
    "www.open.example",
    "shut.example",
    "www.google.com",
    "localhost",
    "router.lan",
    "4.3.2.1.in-addr.arpa",
    "a" * 63 + ".example",
]
_TYPES = ["A", "AAAA", "HTTPS", "TXT", "ANY", "PTR", "SOA", "AXFR"]


class Pretended:
    """In the place of other servers: keeps what is asked until the fuzzer answers."""

    def __init__(self) -> None:
        self.out: list[tuple[wire.Query, forward.Done]] = []

    def ask(self, query: wire.Query, _asker: object, done: forward.Done) -> bool:
        self.out.append((query, done))
        return len(self.out) < 100


def broken(dice: random.Random, data: bytes) -> bytes:
    """Bytes that were a packet: changed, cut, joined with others."""
    out = bytearray(data)
    for _ in range(dice.choice((0, 1, 1, 2, 4, 8))):
        match dice.randrange(6):
            case 0:
                out[dice.randrange(len(out))] = dice.randrange(256)
            case 1:
                out[dice.randrange(len(out))] = dice.choice((0, 1, 0x3F, 0x40, 0xC0, 0xC1, 0xFF))
            case 2:
                del out[dice.randrange(len(out)) + 1 :]
            case 3:
                out += dice.randbytes(dice.randrange(1, 40))
            case 4:
                at = dice.randrange(len(out))
                out[at:at] = out[dice.randrange(len(out)) :][:20]
            case _:
                at = dice.randrange(min(12, len(out)))
                out[at] ^= 1 << dice.randrange(8)
    return bytes(out)


def questions(dice: random.Random) -> list[bytes]:
    made = []
    for name in _NAMES:
        for kind in _TYPES:
            message = dns.message.make_query(name, kind, id=dice.randrange(65_536))
            if dice.random() < 0.5:
                message.use_edns(0, payload=dice.choice((0, 512, 1232, 65_535)), ednsflags=dice.choice((0, 0x8000)))
            made.append(message.to_wire())
    return made


def other_side(query: wire.Query) -> bytes:
    """An answer to our question, with the address of ``EVIL`` in every section."""
    message = dns.message.make_response(
        dns.message.from_wire(wire.write_query(b"\0\1", 256, query.wire, edns=True, dnssec=False))
    )
    owner = message.question[0].name
    for section in (message.answer, message.authority, message.additional):
        section.append(dns.rrset.from_text(owner, 300, "IN", "A", "203.0.113.66"))
    message.answer.append(dns.rrset.from_text(owner, 300, "IN", "CNAME", "other.example."))
    message.answer.append(dns.rrset.from_text(owner, 300, "IN", "HTTPS", "1 . ipv4hint=203.0.113.66"))
    message.answer.append(dns.rrset.from_text("other.example.", 300, "IN", "CNAME", "a.other.example."))
    message.authority.append(dns.rrset.from_text(owner, 300, "IN", "SOA", "ns.example. h.example. 1 2 3 4 5"))
    return message.to_wire()


def fuzz(rounds: int, seed: int) -> tuple[int, int]:
    """``(questions, answers of others)`` that were tried.  Fails by assertion."""
    dice = random.Random(seed)
    loop, others = Loop(), Pretended()
    safe = SafeSearch({"www.google.com": "safe.example"}, {})
    strict = answers.Answers(loop, others, safe, "mia")  # type: ignore[arg-type]  # Pretended forwards as the real one does
    strict.adopt(plan(allow=(OPEN, "google.com", "router.lan")), NO_NAMES)
    loose = answers.Answers(loop, others, safe, "tom")  # type: ignore[arg-type]  # Pretended forwards as the real one does
    loose.adopt(plan(block=("other.example",), otherwise="allow"), NO_NAMES)
    asked, known, heard, said = questions(dice), {}, 0, 0
    said_later: list[bytes] = []
    later: Callable[[bytes], object]
    for number in range(rounds):
        # Nearly all is open for the second; it has to judge where every answer leads.
        child, later = (strict, said_later.append) if dice.random() < 0.7 else (loose, len)
        if dice.random() < 0.7:  # a name that nobody has asked for yet
            question = wire.write_question(f"n{number}.{OPEN}", dice.choice((1, 28, 65)))
            whole = wire.write_query(dice.randbytes(2), wire.RD, question, edns=dice.random() < 0.5, dnssec=False)
            data = whole if dice.random() < 0.5 else broken(dice, whole)
        else:
            data = broken(dice, dice.choice(asked))
        quick = child.quick(data)
        reply = child.answer(data, later, datagram=dice.random() < 0.9)
        assert quick in (None, reply), "the short way leads elsewhere than the long one"
        said += 1
        if reply is not None:
            assert reply[:2] == data[:2] and reply[2] & 0x80
            # What others answered is passed on as it is, inside of its records.
            assert number % 20 or child is loose or host_of(reply).endswith(FREE) or check(reply)
        while others.out and (len(others.out) > 3 or dice.random() < 0.7):
            query, done = others.out.pop(dice.randrange(len(others.out)))
            whole = known.get(query.wire) or known.setdefault(query.wire, other_side(query))
            for _ in range(3):
                answer = broken(dice, whole)
                heard += 1
                try:
                    records = wire.read_answer(answer, query.wire)
                except wire.Malformed:
                    continue
                done(forward.Reply(answer, records))
                break
            else:
                done(None)
        for late in said_later:
            host = host_of(late)
            assert EVIL not in late or host.endswith(FREE), host
        said_later.clear()
        if len(known) > 500:
            known.clear()
    loop.close()
    return said, heard


def host_of(answer: bytes) -> str:
    labels: list[str] = []
    at = 12
    while len(answer) > 12 and (length := answer[at]):
        labels.append(answer[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += length + 1
    return ".".join(labels)


def check(reply: bytes) -> bool:
    """Whether dnspython understands it."""
    try:
        dns.message.from_wire(reply)
    except dns.exception.DNSException as error:
        raise AssertionError(f"{reply.hex()}: {error!r}") from error
    return True


@pytest.mark.timeout(3600)
def test_broken_packets(capsys: pytest.CaptureFixture[str]) -> None:
    wanted, seed = int(os.environ.get("FUZZ", FEW)), random.randrange(1 << 32)
    said = heard = 0
    while said + heard < wanted:
        more = fuzz(min(100_000, wanted), seed := seed + 1)
        said, heard = said + more[0], heard + more[1]
    assert heard > wanted // 10
    if "FUZZ" in os.environ:
        with capsys.disabled():
            print(f"\n{said} questions and {heard} answers of others: all read or refused, nothing opened")
