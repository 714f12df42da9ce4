"""Who calls, as the kernel says, with real processes of other accounts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConnectionFailed, HostError
from agent.ipc.client import Client
from agent.ipc.peer import Peer, account_of, own_uid, peer_of
from agent.ipc.protocol import Prove

BECOME = """
import os, socket, sys
one = socket.socket(socket.AF_UNIX)
place, uid = sys.argv[1], int(sys.argv[2])

def become():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(uid)
"""
CALLER = """
become()
one.connect(place)
one.recv(1)
"""
PRETENDER = """
one.bind(place)
become()
one.listen()
print("listening", flush=True)
sys.stdin.read()
"""


def python(code: str, place: str, uid: int) -> subprocess.Popen[str]:
    """A process that starts as root and becomes somebody else (the interpreter itself may lie in root's home)."""
    command = [sys.executable, "-I", "-c", BECOME + code, place, str(uid)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="fairtime-peer-") as folder:
        Path(folder).chmod(0o755)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"{folder}/s")
            Path(f"{folder}/s").chmod(0o666)
            made.listen()
            made.settimeout(10)
            yield made


def test_both_sides_of_a_pair_are_this_process() -> None:
    one, other = socket.socketpair()
    with one, other:
        itself = Peer(own_uid(), os.getpid(), account_of(own_uid()), privileged=os.geteuid() == 0)
        assert peer_of(one) == peer_of(other) == itself


def test_what_is_no_unix_socket_has_no_peer() -> None:
    with socket.socket(socket.AF_INET) as one:
        try:
            found = peer_of(one)
        except HostError as error:
            assert error.advice  # macOS
        else:
            assert found.uid == 2**32 - 1, "Linux answers with nobody's uid"
            assert found.account.startswith("#")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start processes of other accounts")
@pytest.mark.parametrize("uid", [12345, 65534, 2**31 + 7, 2**32 - 3])
def test_a_caller_is_who_it_is(listener: socket.socket, uid: int) -> None:
    """Also the great numbers of containers, which are negative when they are read as signed."""
    with python(CALLER, listener.getsockname(), uid) as caller:
        connection, _ = listener.accept()
        with connection:
            found = peer_of(connection)
            connection.sendall(b"x")
        assert (found.uid, found.pid, found.privileged) == (uid, caller.pid, False)
        assert found.account == ("nobody" if uid == 65534 else f"#{uid}")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another account")
def test_a_pretender_gets_no_pin(listener: socket.socket) -> None:
    """Whoever listens in the service's place but is neither root nor oneself hears nothing at all."""
    place = f"{listener.getsockname()}2"
    with python(PRETENDER, place, 12345) as pretender:
        assert pretender.stdout is not None
        assert pretender.stdin is not None
        assert pretender.stdout.readline() == "listening\n"
        with pytest.raises(ConnectionFailed, match="Somebody else"):
            Client(place).call(Prove(pin="4711"))
        pretender.stdin.close()
