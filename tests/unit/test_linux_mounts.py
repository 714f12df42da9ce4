"""Which mount a file is on, and what looking at it costs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.linux.mounts import Mounts, Pace, _below, _parse

LINES = [
    ("36 35 98:0 / / rw - nfs4 server:/root rw", Pace.QUICK),  # whatever the system itself runs from
    ("36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/sda1 rw", Pace.QUICK),
    ("36 35 0:41 / /home rw shared:9 master:2 - nfs4 server:/home rw", Pace.SLOW),
    ("36 35 0:41 / /media/usb rw - fuseblk /dev/sdb1 rw,user_id=0,group_id=0,allow_other", Pace.SLOW),
    ("36 35 0:41 / /srv rw - fuse.sshfs papa@nas:/ rw,user_id=0,group_id=0", Pace.SLOW),
    ("36 35 0:41 / /tmp/.mount_GameX rw - fuse.Game.AppImage Game.AppImage rw,user_id=1001,group_id=1001", Pace.NEVER),
    ("36 35 0:41 / /home/mia/x rw - fuse x rw,group_id=1001", Pace.NEVER),
    ("36 35 0:41 / /home/mia/y rw - something-new x rw", Pace.SLOW),
]


@pytest.mark.parametrize(("line", "pace"), LINES)
def test_who_serves_a_mount_tells_what_it_costs(line: str, pace: Pace) -> None:
    mount = _parse(line.encode())
    assert mount is not None and mount.pace is pace


def test_odd_names_and_odd_lines() -> None:
    mount = _parse(rb"36 35 98:0 /a\040b /mnt/c\134d\011e rw - ext4 /dev/sda1 rw")
    assert mount is not None and (mount.root, mount.point) == ("/a b", "/mnt/c\\d\te")
    assert _parse(b"") is None and _parse(b"36 35 98:0 / /") is None


@given(
    st.lists(st.text("ab", min_size=1, max_size=2), max_size=4),
    st.lists(st.text("ab", min_size=1, max_size=2), max_size=3),
)
def test_below_is_by_whole_names(folder: list[str], rest: list[str]) -> None:
    top = "/" + "/".join(folder)
    path = top.rstrip("/") + "".join(f"/{name}" for name in rest) or "/"
    found = _below(path, top)
    assert found is not None and (top.rstrip("/") + found or "/") == path
    assert top == "/" or _below(top + "c", top) is None


def test_files_here_are_on_mounts_of_ours(tmp_path: Path) -> None:
    mounts = Mounts()
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_PATH)
    try:
        spot = mounts.spot(fd)
        assert spot is not None and spot.sure and spot.path == str(tmp_path / "file")
    finally:
        os.close(fd)
        mounts.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts something, which needs root")
def test_a_new_mount_is_seen_at_once(tmp_path: Path) -> None:
    assert _apart(lambda: _mount_and_look(tmp_path)) == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts something, which needs root")
def test_a_root_that_is_no_mount_point_is_ours(tmp_path: Path) -> None:
    """As after chroot(2) into an installed system's folder."""
    assert _apart(lambda: _move_in_and_look(tmp_path)) == 0


def _apart(look: Callable[[], int]) -> int:
    """What ``look`` returns in a process with a mount namespace of its own, so that nothing here changes."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _unshare()
            code = look()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _unshare() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
    assert libc.mount(b"none", b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE


def _mount_and_look(folder: Path) -> int:
    import ctypes

    mounts = Mounts()
    (folder / "under").touch()
    fd = os.open(folder / "under", os.O_PATH)
    before = mounts.spot(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", bytes(folder), b"tmpfs", 0, None) == 0
    after = mounts.spot(fd)
    (folder / "over").touch()
    over = mounts.spot(os.open(folder / "over", os.O_PATH))
    assert before is not None and before.sure
    assert after is not None and not after.sure, "it is mounted over: its path leads elsewhere now"
    assert over is not None and over.sure and over.path == str(folder / "over")
    return 0


def _move_in_and_look(folder: Path) -> int:
    import ctypes

    (folder / "proc").mkdir()
    (folder / "file").touch()
    assert ctypes.CDLL(None, use_errno=True).mount(b"none", bytes(folder / "proc"), b"proc", 0, None) == 0
    os.chroot(folder)
    os.chdir("/")
    spot = Mounts().spot(os.open("/file", os.O_PATH))
    assert spot is not None and spot.sure and (spot.path, spot.pace) == ("/file", Pace.QUICK)
    return 0
