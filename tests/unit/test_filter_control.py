"""Service and resolver understand each other, whatever pieces the kernel makes of what they say."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.errors import ProtocolError
from agent.filter import line as lines
from agent.filter.control import Ask, Lists, Ping, Pong, Serve, Served, Serving, Trouble, Troubles, Used
from agent.filter.line import Line
from agent.model.site import GroupRule, HostRule, SiteLane, SitePlan, SiteUse


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    ours, theirs = socket.socketpair()
    service, resolver = lines.for_service(ours), lines.for_resolver(theirs)
    yield service, resolver
    service.close()
    resolver.close()


def lane(child: str, hosts: int = 1) -> SiteLane:
    plan = SitePlan(
        child=child,
        always=("childline.org.uk",),
        hosts=tuple(
            HostRule(host=f"h{i}.example.org", action="allow", rule=f"site:{i}", reason="“so”") for i in range(hosts)
        ),
        groups=(GroupRule(group="adult", action="block", rule="group:adult"),),
        watched=("video",),
    )
    return SiteLane(plan=plan, accounts=("mia", "#1001"), dns_port=5301, page_port=0)


def test_each_message_arrives_as_it_was(ends: tuple[Line, Line]) -> None:
    service, resolver = ends
    down = [Serve(lanes=(lane("mia"), lane("tom")), upstreams=("192.0.2.1",)), Lists(), Ping(number=3)]
    up = [
        Serving(lanes=(Served(child="mia", dns_port=1, page_port=2),), ipv6=False),
        Troubles(now=(Trouble(kind="upstream", about="192.0.2.1", text="silent"),)),
        Used(minute=7, sites=(SiteUse(child="mia", host="example.org", action="allow", asked=3, minutes=1),)),
        Ask(number=1, child="mia", host="example.org"),
        Pong(number=3),
    ]
    for message in down:
        service.send(message)
    for message in up:
        resolver.send(message)
    assert [message for message, _ in resolver.receive()] == down
    assert [message for message, _ in service.receive()] == up


def test_what_does_not_fit_at_once_waits_and_arrives_whole(ends: tuple[Line, Line]) -> None:
    service, resolver = ends
    message = Serve(lanes=(lane("mia", 20_000),), upstreams=())
    service.send(message)
    service.send(Ping(number=9))
    assert service.waiting
    heard = []
    for _ in range(1000):
        heard += [message for message, _ in resolver.receive()]
        service.flush()
        if len(heard) == 2:
            break
    assert heard == [message, Ping(number=9)]
    assert not service.waiting


def test_an_open_file_goes_with_the_lists(ends: tuple[Line, Line], tmp_path: Path) -> None:
    service, resolver = ends
    path = tmp_path / "book"
    path.write_text("names")
    for _ in range(2):
        with path.open("rb") as file:
            service.send(Lists(name="book"), file.fileno())
    heard = [*resolver.receive(), *resolver.receive()]
    assert [message for message, _ in heard] == [Lists(name="book")] * 2
    for _, file in heard:
        assert os.pread(file, 100, 0) == b"names"
        os.close(file)


def test_a_side_that_reads_nothing_is_given_up(ends: tuple[Line, Line]) -> None:
    service, _ = ends
    message = Serve(lanes=(lane("mia", 20_000),), upstreams=())
    with pytest.raises(ProtocolError, match="does not read"):
        for _ in range(100):
            service.send(message)


@pytest.mark.parametrize(
    "junk",
    [
        struct.pack(">I", 2**31),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 0),
        struct.pack(">I", 1) + b"\x01",
    ],
)
def test_what_makes_no_sense_is_an_error(junk: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        line = lines.for_resolver(theirs)
        ours.sendall(junk)
        with pytest.raises(ProtocolError):
            list(line.receive())
        line.close()


def test_the_end_is_told() -> None:
    ours, theirs = socket.socketpair()
    line = lines.for_resolver(theirs)
    ours.close()
    with pytest.raises(EOFError):
        list(line.receive())
    with pytest.raises(ProtocolError, match="gone"):
        line.send(Pong(number=1))
    line.close()
