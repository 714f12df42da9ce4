"""Sites on a real PC, from the rule to the answer: asked, opened, used up, told in the week; a parent is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box, kill
from tests.system.sessions import Session

PORT = 5353
SINK = "127.84.0.1"
NAMES = {
    "sums.example": "192.0.2.11",
    "other.example": "192.0.2.12",
    "films.example": "192.0.2.13",
    "childline.org.uk": "192.0.2.14",
    "en.wikipedia.org": "192.0.2.15",
}
TOP = f'name_servers = ["127.0.0.1:{PORT}"]\n'
SITES = """
[children.limits.sites]
mode = "allow-list"
allow = ["sums.example"]
rules = [{ host = "films.example", budget = { all = "1m" } }, { group = "learning" }]
"""
AT_ONCE = 2.0
"""Seconds from a guardian's yes to the answer."""


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    addresses = [f"--address=/{name}/{address}" for name, address in NAMES.items()]
    command = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"]
    server = box.spawn(
        [*command, f"--port={PORT}", "--listen-address=127.0.0.1", "--bind-interfaces", *addresses], "root"
    )
    # A way out, so that questions to name servers elsewhere leave at all; nothing is at its other end.
    box.run(
        "ip link add lab0 type veth peer name lab1 && ip address add 198.51.100.2/24 dev lab0 && "
        "ip link set lab0 up && ip link set lab1 up && ip route add default dev lab0"
    ).check()
    family = (Path(__file__).with_name("family.toml")).read_text(encoding="utf-8")
    box.until(f"dig +short +tries=1 +time=1 sums.example @127.0.0.1 -p {PORT} | grep -q 192.0.2.11", within=10)
    box.fairtime.policy(TOP + family + SITES)
    try:
        yield box
    finally:
        kill(server)
        server.communicate()
        box.run("ip link delete lab0").check()
        box.fairtime.policy(family)


@pytest.fixture
def session(pc: Box) -> Iterator[Session]:
    with pc.session("leo", "x11") as found:
        yield found


def dig(session: Session, name: str, *more: str) -> str:
    """What a program of leo's is told, whatever server it asks."""
    return session.run(f"dig +short +tries=1 +time=2 {name} @192.0.2.53 {' '.join(more)}", timeout=20).out.strip()


def until(session: Session, name: str, address: str, within: float) -> float:
    begun = time.monotonic()
    while dig(session, name) != address:
        assert time.monotonic() - begun < session.box.within(within), f"{name} is {dig(session, name)!r}"
    return time.monotonic() - begun


def test_what_is_asked_for_is_opened_within_two_seconds(pc: Box, session: Session) -> None:
    until(session, "sums.example", NAMES["sums.example"], within=20)
    assert dig(session, "en.wikipedia.org") == NAMES["en.wikipedia.org"], "a group that comes with Fairtime"
    assert dig(session, "other.example") == dig(session, "other.example", "+tcp") == SINK
    page = session.run("curl -s http://other.example/", timeout=20).out
    assert "other.example is not open for you" in page
    assert session.run("fairtime request --site https://www.other.example/x --text school", timeout=20).ok
    (asked,) = [r for r in pc.fairtime.status("leo")["children"][0]["requests"] if r["kind"] == "site"]
    assert asked["subject"] == "other.example"
    pc.fairtime.guardian("request", "--grant", asked["id"], "--for", "today").check()
    took = until(session, "other.example", NAMES["other.example"], within=AT_ONCE)
    print(f"a yes was in force after {took:.2f} s")
    assert "yes to other.example" in pc.run("fairtime grants --child leo").out
    why = pc.run("fairtime why other.example --child leo").check().out
    assert "other.example: allow. ana allowed other.example until" in why
    (given,) = [g for g in pc.fairtime.status("leo")["children"][0]["grants"] if g["kind"] == "site"]
    pc.fairtime.guardian("release", given["id"]).check()
    until(session, "other.example", SINK, within=AT_ONCE)


def test_minutes_are_used_up_and_the_week_tells_names_only(pc: Box, session: Session) -> None:
    until(session, "films.example", NAMES["films.example"], within=20)
    assert dig(session, "www.childline.org.uk") == NAMES["childline.org.uk"]
    assert dig(session, "bad.other.example") == SINK
    # Whole minutes of the clock, each told when it is over.
    begun = time.monotonic()
    while dig(session, "films.example") != SINK:
        assert time.monotonic() - begun < pc.within(130)
        time.sleep(1)
    assert "films.example: 1 min, used up" in session.run("fairtime status", timeout=20).out
    assert "films.example: block. films.example is not open for you. Today's 1 min of films.example are used up." in (
        pc.run("fairtime why films.example --child leo").check().out
    )
    week = pc.run("fairtime summary --child leo").check().out
    assert "films.example" in week
    assert "other.example was asked for and is not open." in week
    for name in ("childline", "bad.other"):
        assert not pc.run(f"grep -qa {name} /var/lib/fairtime/ledger.db*").ok, f"{name} is in the ledger"


def test_a_parent_is_left_alone(pc: Box, session: Session) -> None:
    until(session, "other.example", SINK, within=20)
    with pc.session("ana", "tty") as ana:
        # Nothing answers at this address: a question that is not redirected gets no answer.
        assert ana.run("dig +short +tries=1 +time=1 other.example @192.0.2.53", timeout=20).out.strip() != SINK
