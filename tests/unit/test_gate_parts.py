"""The parts of the exec gate that need no kernel: records, table, wire, mounts, and the decider on a pretended group."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the exec gate is for Linux", allow_module_level=True)

from agent.gate import decider, fanotify, mounts, wire
from agent.gate.table import REMEMBERED, Table
from agent.platforms.base import Start
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.gatekeeper import command
from agent.platforms.linux.questions import rows
from tests.unit.pretended_kernel import Kernel, event

ALLOW, DENY = fanotify.ALLOW, fanotify.DENY

# ---- records ---------------------------------------------------------------------------------------------------------


def test_events_of_one_read() -> None:
    longer = event(7, 70, length=32) + b"12345678"  # a kernel may append what was not asked for
    assert fanotify.events(event(5, 50) + longer + event(-1, 0, fanotify.Q_OVERFLOW)) == [
        (fanotify.OPEN_EXEC_PERM, 5, 50),
        (fanotify.OPEN_EXEC_PERM, 7, 70),
        (fanotify.Q_OVERFLOW, -1, 0),
    ]
    assert fanotify.events(b"") == []


@pytest.mark.parametrize(
    "data", [event(5, 50)[:23], event(5, 50, version=2), event(5, 50, length=8), event(5, 50, length=400)]
)
def test_what_is_not_understood_is_not_answered(data: bytes) -> None:
    with pytest.raises(fanotify.BadEvent):
        fanotify.events(event(4, 40) + data)


def test_an_answer() -> None:
    assert fanotify.answer(5, DENY) == struct.pack("=iI", 5, 2)


# ---- table -----------------------------------------------------------------------------------------------------------


def test_an_account_is_found_by_its_uid_and_by_its_ranges() -> None:
    table = Table()
    table.classify(
        [(1001, 1001, 0, DENY), (1002, 1002, 1, ALLOW), (100_000, 165_535, 0, DENY), (900_000, 900_009, 1, 1)]
    )
    expected = {0: None, 1000: None, 1001: 0, 1002: 1, 99_999: None, 100_000: 0, 165_535: 0, 165_536: None, 900_009: 1}
    assert {uid: table.class_of(uid) for uid in expected} == expected
    assert table.defaults == {0: DENY, 1: ALLOW}


def test_the_table_is_that_of_the_accounts() -> None:
    people = [
        Person("mia", 1001, frozenset({1001}), ((100_000, 165_535),)),
        Person("leo", 1002, frozenset({1002}), ((165_536, 231_071), (900_000, 900_000))),
    ]
    owners = Owners.of(people)
    table = Table()
    table.classify(rows(owners, {"mia": Start.DENY, "leo": Start.ALLOW}.__getitem__))
    for uid in (0, 1000, 1001, 1002, 100_000, 165_535, 165_536, 231_071, 231_072, 900_000, 900_001):
        person, klass = owners.by_uid(uid), table.class_of(uid)
        assert (person is None) == (klass is None)
        if person is not None and klass is not None:
            assert table.defaults[klass] == (DENY if person.name == "mia" else ALLOW)


def test_more_ranges_than_the_table_holds_leave_the_accounts_in() -> None:
    many = tuple((n * 10, n * 10 + 5) for n in range(1_000, 8_000))
    found = rows(
        Owners.of([Person("mia", 1001, frozenset(), many), Person("zoe", 1009, frozenset())]), lambda _: Start.HOLD
    )
    assert len(found) == wire.MOST_ROWS
    assert {first for first, last, _, _ in found if first == last} == {1001, 1009}
    assert {verdict for *_, verdict in found} == {DENY}, "to hold cannot be promised by default"
    wire.classes(found)


def test_what_is_settled_is_remembered_and_bounded() -> None:
    table = Table()
    keys = [(1, n, 0, 0) for n in range(3 * REMEMBERED)]
    for key in keys:
        table.settle(key)
        assert table.settled(key)
    assert len(table) <= 2 * REMEMBERED
    assert not table.settled(keys[0])
    assert not table.settled((1, keys[-1][1], 0, 1)), "another account's"
    table.flush()
    assert not table.settled(keys[-1])
    table.settle(keys[0])
    table.classify([])
    assert not table.settled(keys[0])


# ---- mounts ----------------------------------------------------------------------------------------------------------

TABLE = b"""\
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 /home /home ro,relatime shared:1 - ext4 /dev/sda2 rw
25 22 0:40 /@data /data rw - btrfs /dev/sdb1 rw,subvolid=256,subvol=/@data
26 22 0:41 /var/lib/box /srv rw - btrfs /dev/sdc1 rw,subvolid=5,subvol=/
27 22 8:33 / /media/mia/USB\\040STICK rw - vfat /dev/sdc1 rw
28 22 0:50 / /mnt/nas rw - nfs4 nas:/films rw
29 22 0:51 / /media/old rw - fuseblk /dev/sdd1 rw,user_id=0,group_id=0
30 22 0:52 / /tmp/.mount_X rw,nosuid - fuse.X.AppImage X.AppImage ro,user_id=1001
31 22 0:53 / /run rw master:9 propagate_from:2 - tmpfs tmpfs rw
32 22 0:54 / /odd rw - newfs none rw
nonsense
33 22 0:55 /
"""
DEVICES = mounts.on_devices(b"nodev\tproc\nnodev\ttmpfs\n\text4\n\tvfat\n\tfuseblk\n\tbtrfs\n")


def test_what_is_marked_and_what_is_left_out() -> None:
    todo, left_out = mounts.plan(mounts.parse(TABLE), DEVICES)
    assert {(how, tuple(mount.point for mount in found)) for how, found in todo} == {
        (mounts.WHOLE, ("/", "/home")),
        (mounts.WHOLE, ("/data",)),
        (mounts.MOUNT, ("/srv",)),  # a folder of somebody else's file system
        (mounts.WHOLE, ("/media/mia/USB STICK",)),
        (mounts.WHOLE, ("/run",)),
    }
    assert {(mount.kind, mount.point) for mount in left_out} == {
        ("nfs4", "/mnt/nas"),
        ("fuseblk", "/media/old"),
        ("fuse.X.AppImage", "/tmp/.mount_X"),
        ("newfs", "/odd"),
    }


def test_a_container_on_a_folder_of_a_disk_leaves_the_disk_alone() -> None:
    table = b"90 1 8:2 /var/lib/machines/box / rw - ext4 /dev/sda2 rw\n91 90 8:2 /srv/x /x rw - ext4 /dev/sda2 rw\n"
    todo, _ = mounts.plan(mounts.parse(table), DEVICES)
    assert [how for how, _ in todo] == [mounts.MOUNT, mounts.MOUNT]


def test_limited_to_some_places() -> None:
    todo, left_out = mounts.plan(mounts.parse(TABLE), DEVICES, ["/run", "/mnt"])
    assert [found[0].point for _, found in todo] == ["/run"]
    assert [mount.point for mount in left_out] == ["/mnt/nas"]
    assert mounts.plan(mounts.parse(TABLE), DEVICES, ["/ru"]) == ([], [])


def test_this_machine_has_mounts() -> None:
    found = mounts.parse(Path("/proc/self/mountinfo").read_bytes())
    assert any(mount.kind == "proc" and mount.point == "/proc" for mount in found)


# ---- the decider -----------------------------------------------------------------------------------------------------


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    file = tmp_path / "program"
    file.write_bytes(b"x")
    found = Kernel(file)
    yield found
    found.close()


def test_others_are_let_in_at_once(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"x")
    kernel = Kernel(file, uid=os.geteuid() + 1)
    try:
        fd = kernel.starts()
        assert kernel.answers() == [(fd, ALLOW)]
        assert kernel.hears() == []
        fd = kernel.starts(pid=0)
        assert kernel.answers() == [(fd, ALLOW)], "of another pid namespace"
    finally:
        kernel.close()


def test_who_cannot_be_seen_is_not_let_in(kernel: Kernel) -> None:
    fd = kernel.starts(pid=2**22 + 1)
    assert kernel.answers() == [(fd, DENY)]


def test_a_settled_answer_is_asked_for_once(kernel: Kernel) -> None:
    fd = kernel.starts()
    assert kernel.answers() == []
    (asked,) = kernel.hears()
    number, pid, uid, klass = wire.read_question(asked)
    assert (pid, uid, klass) == (os.getpid(), os.geteuid(), 3)
    assert kernel.says(wire.answer(number, ALLOW, wire.SETTLED))
    assert kernel.answers() == [(fd, ALLOW)]
    with pytest.raises(OSError):
        os.fstat(fd)  # nothing stays open
    fd = kernel.starts()
    assert kernel.answers() == [(fd, ALLOW)]
    assert kernel.hears() == []
    kernel.gate.tell()
    assert wire.read_told(kernel.hears()[0]) == ([(os.getpid(), ALLOW)], False)
    kernel.says(wire.FLUSH_NOW)
    kernel.starts()
    assert kernel.answers() == []
    assert wire.kind(kernel.hears()[0]) == wire.QUESTION


@pytest.mark.parametrize(
    ("verdict", "holds"), [(DENY, wire.ASK_AGAIN), (DENY, wire.SETTLED), (DENY, wire.FOR_GOOD), (ALLOW, wire.ASK_AGAIN)]
)
def test_only_a_settled_permission_is_remembered(kernel: Kernel, verdict: int, holds: int) -> None:
    for _ in range(3):
        kernel.starts()
        (asked,) = kernel.hears()
        kernel.says(wire.answer(wire.read_question(asked)[0], verdict, holds))
        assert [found for _, found in kernel.answers()] == [verdict]
    assert not kernel.gate.ignored


def test_the_kernel_may_ignore_what_holds_for_good_for_every_child(kernel: Kernel) -> None:
    own = os.geteuid()
    kernel.says(wire.classes([(own, own, 0, DENY), (own + 1, own + 1, 1, DENY)]))
    kernel.starts()
    kernel.says(wire.answer(wire.read_question(kernel.hears()[0])[0], ALLOW, wire.FOR_GOOD))
    assert not kernel.gate.ignored, "the other child may not be allowed it"
    kernel.says(wire.classes([(own, own, 0, DENY)], tell=False))
    kernel.starts()
    kernel.says(wire.answer(wire.read_question(kernel.hears()[0])[0], ALLOW, wire.FOR_GOOD))
    assert len(kernel.gate.ignored) == 1
    kernel.starts()
    kernel.gate.tell()
    assert kernel.hears() == [], "nobody wants to be told"
    kernel.says(wire.FLUSH_NOW)
    assert not kernel.gate.ignored


def test_a_changed_file_is_asked_about_again(kernel: Kernel) -> None:
    kernel.starts()
    kernel.says(wire.answer(wire.read_question(kernel.hears()[0])[0], ALLOW, wire.SETTLED))
    kernel.answers()
    kernel.file.chmod(0o711)  # changes its ctime, as writing does
    os.utime(kernel.file)
    kernel.starts()
    assert kernel.answers() == []
    assert wire.kind(kernel.hears()[0]) == wire.QUESTION


def test_nobody_waits_for_ever(kernel: Kernel) -> None:
    first = kernel.starts()
    kernel.now += 1
    second = kernel.starts()
    kernel.gate.give_up_waiting()
    assert kernel.answers() == []
    kernel.now += decider.PATIENCE - 0.5
    kernel.gate.give_up_waiting()
    assert kernel.answers() == [(first, DENY)]
    numbers = [wire.read_question(data)[0] for data in kernel.hears()]
    kernel.says(wire.answer(numbers[0], ALLOW, wire.SETTLED))  # too late
    assert kernel.answers() == []
    kernel.says(wire.answer(numbers[1], ALLOW, wire.ASK_AGAIN))
    assert kernel.answers() == [(second, ALLOW)]
    assert kernel.gate.guessed == 1


def test_a_flood_gets_the_default(kernel: Kernel) -> None:
    for _ in range(decider.OUTSTANDING):
        kernel.starts()
    assert kernel.answers() == []
    fd = kernel.starts()
    assert kernel.answers() == [(fd, DENY)]
    numbers = [wire.read_question(data)[0] for data in kernel.hears()]
    kernel.says(wire.answer(numbers[0], DENY, wire.ASK_AGAIN))
    kernel.answers()
    kernel.starts()
    assert kernel.answers() == [], "there is room again"
    kernel._kept[1].shutdown(socket.SHUT_RDWR)
    kernel.gate.hear()
    assert len(kernel.answers()) == decider.OUTSTANDING


def test_without_its_service_the_table_holds_for_a_while(kernel: Kernel, tmp_path: Path) -> None:
    kernel.starts()
    kernel.says(wire.answer(wire.read_question(kernel.hears()[0])[0], ALLOW, wire.SETTLED))
    kernel.answers()
    known = kernel.file
    kernel.file = tmp_path / "other"
    kernel.file.write_bytes(b"y")
    waiting = kernel.starts()
    kernel.service.close()
    assert not kernel.gate.hear()
    assert kernel.answers() == [(waiting, DENY)], "who waited gets the default at once"
    assert kernel.gate.alone
    fd = kernel.starts()
    assert kernel.answers() == [(fd, DENY)]
    kernel.file = known
    fd = kernel.starts()
    assert kernel.answers() == [(fd, ALLOW)]
    kernel.gate.tell()
    kernel.gate.give_up_waiting()
    assert not kernel.gate._ended
    kernel.now += decider.ALONE
    kernel.gate.give_up_waiting()
    assert kernel.gate._ended


def test_the_ring_is_bounded_and_says_what_it_lost(kernel: Kernel) -> None:
    for number in range(wire.MOST_TOLD + 5):
        kernel.gate._started(number, ALLOW)
    kernel.gate.tell()
    starts, lost = wire.read_told(kernel.hears()[0])
    assert len(starts) == wire.MOST_TOLD
    assert lost
    kernel.gate._started(1, ALLOW)
    kernel.gate.tell()
    assert wire.read_told(kernel.hears()[0]) == ([(1, ALLOW)], False)
    kernel.gate.tell()
    assert kernel.hears() == []


def test_a_ping_brings_what_went_wrong(kernel: Kernel) -> None:
    kernel.group.send(event(-1, 0, fanotify.Q_OVERFLOW))
    kernel.gate.read_events()
    kernel.says(wire.ping(77))
    assert wire.read_pong(kernel.hears()[0]) == (77, 1, 0, 0)
    kernel.gate.tell()
    assert wire.read_told(kernel.hears()[0]) == ([], True)


def test_a_message_that_makes_no_sense_changes_nothing(kernel: Kernel) -> None:
    kernel.starts()
    kernel.hears()
    for junk in (
        b"\xff",
        bytes([wire.ANSWER]) + b"\x01",
        wire.answer(1, 7, wire.SETTLED),
        wire.answer(1, ALLOW, 3),
        bytes([wire.CLASSES]) + b"xyz",
    ):
        assert kernel.says(junk)
    assert kernel.answers() == []
    assert kernel.table.class_of(os.geteuid()) == 3
    assert kernel.says(wire.STOP_NOW)
    assert kernel.gate._ended


def test_a_bundle_has_a_gate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(7, ["main", "/usb"])[-4:] == [str(Path(wire.__file__).parents[2]), "7", "main", "/usb"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/fairtime/fairtime")
    assert command(7, ["main"]) == ["/opt/fairtime/fairtime-gate", "7", "main"]


def test_the_gate_is_of_no_use_to_anybody_else() -> None:
    started = [sys.executable, "-m", "agent.gate"]
    assert subprocess.run(started, cwd=Path(wire.__file__).parents[2], check=False).returncode == 2
