"""The exec gate on a whole PC: the unit starts it, it denies a child's programs before they run, and nothing hangs."""

from __future__ import annotations

import json

import pytest

from tests.system.box import Box

GATE = "pgrep --exact fairtime-gate"
PLAY = "cp /usr/bin/touch ~/game && rm -f ~/proof && ~/game ~/proof"
NO_PROOF = "test ! -e /home/mia/proof"


def gate(box: Box) -> int:
    """The one gate's pid."""
    (found,) = box.run(GATE).check().out.split()
    return int(found)


def in_place(box: Box, *, other_than: int = 0, within: float = 20) -> int:
    """Wait until exactly one gate runs, and the service says that it is there."""
    there = """fairtime doctor --json | grep -q '"capability":"exec-gate","present":true'"""
    box.until(f"set -- $({GATE}); test $# = 1 && test $1 != {other_than} && {there}", within=within, every=0.3)
    return gate(box)


@pytest.fixture(autouse=True)
def clean(box: Box) -> None:
    in_place(box)
    box.run("rm -f /home/mia/game /home/mia/proof")


def test_the_unit_starts_it_and_the_doctor_says_so(box: Box) -> None:
    report = json.loads(box.run("fairtime doctor --json").check().out)
    (found,) = (one for one in report["abilities"] if one["capability"] == "exec-gate")
    assert found["present"], found
    assert int(box.run(f"awk '/VmRSS/ {{print $2}}' /proc/{gate(box)}/status").out) < 16_000  # KiB


def test_when_systemd_has_started_the_service_the_gate_is_there(box: Box) -> None:
    """Login screens come after the service (Before= in its unit): no child's session begins without a gate."""
    box.run("cp /usr/bin/touch ~/game", user="mia").check()
    for _ in range(3):
        box.fairtime.control("restart")
        assert box.run("systemctl show --property=StatusText --value fairtime").out.strip() == "watching"
        report = json.loads(box.run("fairtime doctor --json").check().out)
        assert [one["present"] for one in report["abilities"] if one["capability"] == "exec-gate"] == [True]
        done = box.run("~/game ~/proof", user="mia")
        assert "not permitted" in done.err.lower(), done.err
    box.run(NO_PROOF).check()


def test_a_denied_program_never_runs_and_a_guardian_is_left_alone(box: Box) -> None:
    with box.session("mia", "tty") as session:
        done = session.run(PLAY)
        assert not done.ok
        assert "not permitted" in done.err.lower(), done.err
    box.run(NO_PROOF).check()
    box.run(PLAY, user="ana").check()
    assert box.run("ls /bin/ls", user="mia").ok
    # A script of the machine, and what the child asks Fairtime with.
    box.run("fairtime status", user="mia").check()


@pytest.mark.parametrize(
    "how",
    [
        "ln ~/game ~/linked; ~/linked ~/proof",
        "mv ~/game ~/chess; ~/chess ~/proof",
        "cp ~/game /tmp/game; /tmp/game ~/proof",
        "cp ~/game /dev/shm/game; /dev/shm/game ~/proof",
        "printf '#!/bin/sh\\ntouch ~/proof\\n' > ~/script; chmod +x ~/script; ~/script",
        "unshare --user --map-root-user --mount ~/game ~/proof",
        "unshare --user --map-root-user --mount sh -c 'mount --bind ~/game /usr/bin/ls; ls ~/proof'",
        "setsid ~/game ~/proof",
    ],
)
def test_no_other_name_or_place_helps(box: Box, how: str) -> None:
    box.run("cp /usr/bin/touch ~/game", user="mia").check()
    try:
        box.run(how, user="mia", timeout=20)
        box.run(NO_PROOF).check()
    finally:
        box.run("rm -f /tmp/game /dev/shm/game /home/mia/chess /home/mia/linked /home/mia/script")


@pytest.mark.parametrize(
    "how",
    [
        # Not in a file system that is marked: seen by what it loads, and judged then.
        "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs t /mnt; cp /usr/bin/sleep /mnt/game; /mnt/game 30'",
        # The words of an interpreter are there only after its start.
        "echo 'sleep 30' > ~/game; sh ~/game",
        "cp /usr/bin/sleep ~/game; /lib64/ld-linux-x86-64.so.2 ~/game 30",
    ],
)
def test_what_is_not_asked_about_is_stopped_right_after(box: Box, how: str) -> None:
    begun = float(box.read("/proc/uptime").split()[0])
    done = box.run(how, user="mia", timeout=25)
    assert float(box.read("/proc/uptime").split()[0]) - begun < box.within(15), "it slept on"
    assert not done.ok


def test_a_stick_is_watched_as_soon_as_it_is_mounted(box: Box) -> None:
    box.run("mkdir -p /media/stick && mount -t tmpfs -o mode=1777 stick /media/stick").check()
    try:
        box.run("sleep 1; cp /usr/bin/touch /media/stick/game; /media/stick/game ~/proof", user="mia")
        box.run(NO_PROOF).check()
    finally:
        box.run("umount --lazy /media/stick").check()


def test_a_gate_that_stands_still_is_replaced(box: Box) -> None:
    old = gate(box)
    box.run(f"kill -STOP {old}").check()
    begun = float(box.read("/proc/uptime").split()[0])
    box.run("cp /usr/bin/true /root/new-program; /root/new-program; rm /root/new-program", timeout=20).check()
    assert float(box.read("/proc/uptime").split()[0]) - begun < box.within(8)
    assert in_place(box, other_than=old) != old
    box.run(PLAY, user="mia")
    box.run(NO_PROOF).check()


def test_a_killed_service_opens_nothing(box: Box) -> None:
    old, service = gate(box), box.fairtime.pid
    box.run(f"kill -KILL {service}").check()
    for _ in range(5):
        assert not box.run(PLAY, user="mia", timeout=20).ok
        box.run(NO_PROOF).check()
    box.fairtime.wait()
    assert in_place(box, other_than=old) != old
    box.run(PLAY, user="mia")
    box.run(NO_PROOF).check()


def test_a_stopped_service_leaves_no_gate(box: Box) -> None:
    box.fairtime.control("stop")
    try:
        box.until(f"! {GATE}", within=5)
        assert box.run(PLAY, user="mia", timeout=10).ok
    finally:
        box.fairtime.control("start")
        box.fairtime.wait()
    in_place(box)
