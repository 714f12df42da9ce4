"""The resolver's unit on a whole PC: systemd starts it when root connects, with an account of its own and no rights."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.system.box import Box

SOCKET = "fairtime-resolver.socket"
# Run inside with Fairtime's own Python: connects as the service does, says what holds, and prints where names are answered.
SERVE = """
import json, select, socket, sys
from agent.filter import line
from agent.filter.control import Lists, Ping, Pong, Serve, Serving
from agent.model.site import SiteLane, SitePlan
end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
end.connect("/run/fairtime-resolver.sock")
up = line.for_service(end)
up.send(Lists())
up.send(Serve(lanes=(SiteLane(plan=SitePlan(child="mia"), accounts=("mia",), dns_port=0, page_port=0),), upstreams=()))
up.send(Ping(number=1))
served = None
while select.select([up], [], [], 30)[0]:
    for message, _ in up.receive():
        if isinstance(message, Serving):
            served = message
        if isinstance(message, Pong):
            print(json.dumps([served.lanes[0].dns_port, served.lanes[0].page_port]), flush=True)
            sys.stdin.read()
            sys.exit()
"""
PYTHON = "/usr/lib/fairtime/bin/python"
PID = "pgrep --exact fairtime-names | tail -n 1"


@pytest.fixture
def at(box: Box) -> Iterator[tuple[int, int]]:
    """A resolver that this test has started, as the service would, and its ports."""
    box.write("/opt/serve.py", SERVE)
    service = box.spawn([PYTHON, "/opt/serve.py"])
    assert service.stdout is not None and service.stdin is not None
    line = service.stdout.readline()
    dns, page = json.loads(line)
    yield dns, page
    service.communicate(timeout=20)


def test_names_and_pages_are_answered(box: Box, at: tuple[int, int]) -> None:
    for words in ("@127.0.0.1", "@::1", "+tcp @127.0.0.1"):
        assert box.run(f"dig +short +tries=1 {words} -p {at[0]} shut.example", user="mia").check().out == "127.84.0.1\n"
    shown = box.run(f"curl -s -H 'Host: shut.example' http://127.0.0.1:{at[1]}/", user="mia").check().out
    assert "shut.example is not open for you" in shown


def test_it_has_an_account_of_its_own_and_no_rights(box: Box, at: tuple[int, int]) -> None:
    status = dict(
        line.split(":\t", 1) for line in box.run(f"cat /proc/$({PID})/status").check().out.splitlines() if ":\t" in line
    )
    uids = {int(uid) for uid in status["Uid"].split()}
    assert len(uids) == 1
    assert 61_184 <= uids.pop() <= 65_519, "not one of DynamicUser="
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["VmRSS"].split()[0]) < 32 * 1024
    for path in ("/var/lib/fairtime", "/run/fairtime", "/home/mia"):
        assert not box.run(
            f"nsenter -t $({PID}) -m setpriv --reuid $(stat -c %u /proc/$({PID})) --clear-groups ls {path}"
        ).ok


def test_only_root_has_one_started(box: Box) -> None:
    """connect(2) needs the right to write to the socket."""
    assert box.run("stat -c '%U %a %F' /run/fairtime-resolver.sock").check().out == "root 600 socket\n"
    for user in ("mia", "ana"):
        assert not box.run("test -w /run/fairtime-resolver.sock", user=user).ok


def test_it_ends_with_the_line(box: Box, at: tuple[int, int]) -> None:
    pid = int(box.run(PID).check().out)
    box.run("pkill --full '^[^ ]*python /opt/serve.py'").check()
    box.until(f"test ! -e /proc/{pid}", within=10)
    box.run(f"systemctl is-active --quiet {SOCKET}").check()
