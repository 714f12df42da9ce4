"""systemd-resolved and nss-resolve beside Fairtime, as Ubuntu and Fedora have them: a name service that asks in its own
account's name, where the firewall cannot tell a child.  Real ones of Debian, on the container's Internet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.away import DNS4, WEB4
from tests.system.box import Box
from tests.system.internet import internet
from tests.system.test_sites import FAMILY, OPEN, SHUT, SINK

SOCKET = "/run/systemd/resolve/io.systemd.Resolve"
ORDER = "files resolve [!UNAVAIL=return] dns"
"""What libnss-resolve puts into nsswitch.conf."""
SETTING = f"[Resolve]\nDNS={DNS4}\nDNSStubListener=no\nLLMNR=no\nMulticastDNS=no\nCache=no\n"
BUS = (
    "busctl call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager ResolveHostname "
    f"isit 0 {SHUT} 2 0"
)


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    with internet(box):
        box.fairtime.policy(FAMILY)
        box.until("nft list table inet fairtime", within=20)
        box.write("/etc/systemd/resolved.conf.d/lab.conf", SETTING)
        order(box, ORDER)
        box.run("systemctl unmask --quiet systemd-resolved && systemctl start systemd-resolved").check()
        try:
            closed(box)
            yield box
        finally:
            order(box, "files dns")
            box.run(
                "systemctl stop systemd-resolved; systemctl mask --quiet systemd-resolved; rm -r /etc/systemd/resolved.conf.d"
            )


def order(box: Box, words: str) -> None:
    box.run(
        f"sed -i 's/^hosts:.*/hosts: {words}/' /etc/nsswitch.conf && grep -qxF 'hosts: {words}' /etc/nsswitch.conf"
    ).check()


def closed(box: Box) -> None:
    """The service looks every two seconds."""
    box.until(f"getfacl -c {SOCKET} | grep -q '^user:mia:---'", within=10)


def asked(box: Box, user: str, name: str) -> str:
    """The address that the C library tells a program."""
    return " ".join(sorted({line.split()[0] for line in box.run(f"getent ahostsv4 {name}", user).out.splitlines()}))


def test_the_c_library_of_a_child_goes_on_to_the_childs_own_names(pc: Box) -> None:
    assert asked(pc, "ana", SHUT) == WEB4
    for user in ("mia", "leo"):
        assert asked(pc, user, SHUT) == SINK
    assert asked(pc, "mia", OPEN) == WEB4
    assert "REACHED" in pc.run(f"curl -s --max-time 5 http://{SHUT}/", "ana").out
    assert "REACHED" not in pc.run(f"curl -s --max-time 5 http://{SHUT}/", "mia").out


def test_without_another_road_a_child_is_told_nothing(pc: Box) -> None:
    """This shows that the parent's answer came by way of systemd-resolved, and that the child's has not."""
    order(pc, "resolve")
    try:
        assert asked(pc, "ana", SHUT) == WEB4
        assert asked(pc, "mia", SHUT) == asked(pc, "mia", OPEN) == ""
    finally:
        order(pc, ORDER)


def test_the_bus_is_no_road_either(pc: Box) -> None:
    assert pc.run(BUS, "ana").check()
    for line in (BUS, f"resolvectl query {SHUT}"):
        done = pc.run(line, "mia")
        assert not done.ok
        assert "denied" in done.err.lower(), done.err


def test_a_resolver_that_starts_again_is_closed_again(pc: Box) -> None:
    pc.run("systemctl restart systemd-resolved").check()
    closed(pc)
    assert asked(pc, "mia", SHUT) == SINK
    assert asked(pc, "ana", SHUT) == WEB4


def test_the_doctor_finds_nothing_open(pc: Box) -> None:
    found = pc.run("fairtime doctor --json").check().out
    assert "resolver-socket-open" not in found
    assert "resolver-bus-open" not in found
