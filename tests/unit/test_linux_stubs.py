"""Local services that ask for names in their own account's name: closed to children, and open again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("sockets of Linux services", allow_module_level=True)

from dbus_fast import BusType
from dbus_fast.aio import MessageBus

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


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming other accounts needs root")
def test_the_kernel_refuses_a_child_and_nobody_else() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(serve(Path(folder))) as one:
        one.listen(4)
        Path(folder).chmod(0o755)
        Stubs(Path(folder)).put([MIA])
        assert [connects(uid, Path(folder) / SOCKETS[0]) for uid in (MIA, 1003)] == [False, True]


def connects(uid: int, path: Path) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
            os._exit(0)
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(2)
    return {0: True, 1: False}[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


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


# ---- the bus ---------------------------------------------------------------------------------------------------------

RULE = Path(__file__).resolve().parents[2] / "installer/linux/dbus/fairtime.conf"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
<include>{folder}/rule.conf</include></busconfig>
"""


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dbus-daemon") or not shutil.which("setpriv"),
    reason="a bus with several accounts on it needs root, dbus and util-linux",
)
async def test_the_rule_for_the_bus_keeps_the_group_from_the_resolver_and_from_nothing_else() -> None:
    """The accounts ``games`` and ``daemon`` of Debian stand for a child, whose group the rule names, and for somebody else."""
    told = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "rule.conf").write_text(RULE.read_text().replace("fairtime-children", "games"))
        (folder / "bus.conf").write_text(BUS.format(folder=folder))
        bus = await asyncio.create_subprocess_exec(
            "dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--print-address",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert bus.stdout is not None
            address = (await bus.stdout.readline()).decode().strip()
            for whom in ("org.freedesktop.resolve1", "org.freedesktop.login1"):
                service = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
                await service.request_name(whom)
                for who in ("games", "daemon"):
                    told[who, whom] = await asyncio.to_thread(_call, address, who, whom)
                service.disconnect()
        finally:
            bus.kill()
            await bus.wait()
    assert "AccessDenied" in told.pop(("games", "org.freedesktop.resolve1"))
    assert set(told.values()) == {""}


def _call(address: str, who: str, whom: str) -> str:
    """What the bus says to a call of an account."""
    words = ["dbus-send", f"--bus={address}", "--print-reply", f"--dest={whom}", "/", "org.freedesktop.DBus.Peer.Ping"]
    done = subprocess.run(
        ["setpriv", f"--reuid={who}", f"--regid={who}", "--init-groups", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr
