"""The lab itself: what the other system tests take for granted."""

from __future__ import annotations

import pytest

from tests.system.box import Box


def test_the_pc_is_apart_from_the_host(box: Box) -> None:
    inside = box.run("stat -c %d /; readlink /proc/self/ns/pid").check().out
    outside = box.root.stat().st_dev
    assert int(inside.split()[0]) == outside  # the disk of this PC ...
    assert outside != box.root.parent.stat().st_dev  # ... which is a file system of its own


def test_the_service_runs_with_a_signed_policy(box: Box) -> None:
    status = box.fairtime.status("mia")
    assert status
    assert box.fairtime.pid > 0


@pytest.mark.parametrize("kind", ["x11", "wayland", "tty", "ssh", "su"])
def test_a_login_is_a_session_of_its_kind(box: Box, kind: str) -> None:
    with box.session("mia", kind) as session:
        assert session.alive
        assert session.show("Type") == (kind if kind in ("x11", "wayland") else "tty")
        done = session.run("id -un; cat /proc/self/cgroup").check()
        assert done.out.split()[0] == "mia"
        assert f"session-{session.id}.scope" in done.out
        # Seen by the service too, and gone with its end.
    assert not session.alive
