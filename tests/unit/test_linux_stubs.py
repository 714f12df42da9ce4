"""Local services that ask for names in their own account's name: closed to children, and open again."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("sockets of Linux services", allow_module_level=True)

from agent.platforms.linux import acl
from agent.platforms.linux.stubs import BUS_RULE, SOCKETS, Stubs

MIA = 1002


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with serve(tmp_path):
        yield tmp_path


def serve(root: Path) -> socket.socket:
    """systemd-resolved's socket."""
    path = root / SOCKETS[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(path))
    path.chmod(0o666)
    return one


def test_the_socket_is_closed_to_children_and_opened_again(root: Path) -> None:
    stubs = Stubs(root)
    stubs.put([MIA])
    assert acl.read(root / SOCKETS[0]) == acl.denying(0o666, [MIA])
    assert not stubs.look(1)
    stubs.put([])
    assert acl.read(root / SOCKETS[0]) == b""


def test_a_service_that_starts_again_is_closed_again(root: Path) -> None:
    stubs = Stubs(root)
    stubs.put([MIA])
    with serve(root):
        assert stubs.look(1)
        stubs.mend(1)
        assert acl.read(root / SOCKETS[0]) == acl.denying(0o666, [MIA])
        assert not stubs.look(4_000)


def test_what_is_open_still_is_told(root: Path) -> None:
    stubs = Stubs(root)
    assert not list(stubs.findings())
    stubs.put([MIA])
    assert [one.id for one in stubs.findings()] == ["resolver-bus-open"]
    rule = root / BUS_RULE[0]
    rule.parent.mkdir(parents=True)
    rule.touch()
    assert not list(stubs.findings())
    (root / "etc/avahi").mkdir(parents=True)
    (root / "etc/avahi/avahi-daemon.conf").write_text("[wide-area]\nenable-wide-area = yes\n")
    (finding,) = stubs.findings()
    assert finding.id == "avahi-wide-area"
    assert finding.advice


def test_a_socket_that_cannot_be_closed_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(acl, "write", refuse)
    stubs = Stubs(root)
    stubs.put([MIA])
    assert "resolver-socket-open" in {one.id for one in stubs.findings()}
    assert stubs.troubles
