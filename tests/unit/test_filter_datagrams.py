"""Datagrams by the dozen, on real sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.filter import ports
from agent.filter.datagrams import Datagrams

MOST, LONGEST = 4, 100
ADDRESSES = [ports.FOUR, ports.SIX] if ports.has_six() else [ports.FOUR]


def bound(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(10)
    return made


@pytest.fixture(params=ADDRESSES)
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Who answers, and who asks."""
    with bound(request.param) as ours, bound(request.param) as theirs:
        yield ours, theirs


def test_each_gets_its_own_answer(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    room = Datagrams(MOST, LONGEST)
    with bound(theirs.getsockname()[0]) as other:
        for number in range(MOST):
            (theirs, other)[number % 2].sendto(b"%d" % number * (number + 1), ours.getsockname())
        assert room.receive(ours) == [b"0", b"11", b"222", b"3333"]
        assert [room.asker(one) for one in range(MOST)] == [theirs.getsockname(), other.getsockname()] * 2
        room.send([3, 0, 2], [b"to 3", b"to 0", b"to 2"])
        assert [theirs.recv(100) for _ in range(2)] == [b"to 0", b"to 2"]
        assert other.recv(100) == b"to 3"


def test_nothing_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    room = Datagrams(MOST, LONGEST)
    assert room.receive(ends[0]) == []
    room.send([], [])


def test_what_has_no_room_comes_the_next_time(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    room = Datagrams(MOST, LONGEST)
    for number in range(MOST + 2):
        theirs.sendto(b"%d" % number, ours.getsockname())
    assert room.receive(ours) == [b"0", b"1", b"2", b"3"]
    assert room.receive(ours) == [b"4", b"5"]


def test_one_that_is_too_long_shows_it(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    room = Datagrams(MOST, LONGEST)
    for size in (0, LONGEST, LONGEST + 1, 5 * LONGEST):
        theirs.sendto(b"x" * size, ours.getsockname())
    assert [len(data) for data in room.receive(ours)] == [0, LONGEST, LONGEST + 1, LONGEST + 1]


@pytest.mark.parametrize("answers", [[bytes([65 + at]) * 30_000 for at in range(5)], [b"%d" % at for at in range(13)]])
def test_answers_that_have_no_room_together_go_one_part_after_the_other(
    ends: tuple[socket.socket, socket.socket], answers: list[bytes]
) -> None:
    ours, theirs = ends
    room = Datagrams(MOST, LONGEST)
    theirs.sendto(b"?", ours.getsockname())
    assert room.receive(ours) == [b"?"]
    room.send([0] * len(answers), answers)
    assert [theirs.recv(65_536) for _ in answers] == answers


def test_an_answer_that_cannot_go_keeps_none_of_the_others(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    room = Datagrams(MOST, LONGEST)
    theirs.sendto(b"?", ours.getsockname())
    assert room.receive(ours) == [b"?"]
    room.send([0, 0, 0], [b"first", b"x" * 65_530, b"last"])  # more than a datagram can have (udp(7), EMSGSIZE)
    assert [theirs.recv(100) for _ in range(2)] == [b"first", b"last"]


def test_a_family_after_the_other() -> None:
    room = Datagrams(MOST, LONGEST)
    for address in ADDRESSES * 2:
        with bound(address) as ours, bound(address) as theirs:
            theirs.sendto(b"?", ours.getsockname())
            assert room.receive(ours) == [b"?"]
            assert room.asker(0) == theirs.getsockname()
            room.send([0], [b"!"])
            assert theirs.recv(10) == b"!"
