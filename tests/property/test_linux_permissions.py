"""What an account cannot change, against what the kernel lets a process of that account do."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.platforms.linux.accounts import Person
from agent.platforms.linux.mounts import Mounts
from agent.platforms.linux.permissions import follow, protected

CHILD, EXTRA, STRANGER = 61_241, 61_242, 61_243
PERSON = Person("child", CHILD, frozenset({CHILD, EXTRA}))
BASE = Path("/var/lib/fairtime-access-test")

owners = st.sampled_from([0, 0, 0, CHILD, STRANGER])
groups = st.sampled_from([0, 0, CHILD, EXTRA, STRANGER])
modes = st.sampled_from([0o755, 0o755, 0o775, 0o757, 0o777, 0o1777, 0o1775, 0o700, 0o555, 0o2775])
grants = st.sampled_from([(0x02, CHILD), (0x02, STRANGER), (0x08, EXTRA), (0x08, STRANGER)])
lists = st.none() | st.tuples(grants, st.sampled_from([5, 7]), st.sampled_from([5, 7]))
nodes = st.tuples(owners, groups, modes, lists)
PLAIN = (0, 0, 0o755, None)


@pytest.fixture
def base() -> Iterator[Path]:
    BASE.mkdir(mode=0o755)
    try:
        yield BASE
    finally:
        shutil.rmtree(BASE)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts, which needs root")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(nodes, nodes, nodes, nodes), owners)
@example((PLAIN, PLAIN, PLAIN, (0, 0, 0o1777, None)), CHILD)  # a link of the child's own in a sticky folder
def test_nothing_protected_can_be_changed(base: Path, tree: tuple[object, ...], link_owner: int) -> None:
    """``base/a/b/program``, and ``base/a/link/program`` by a link to b: whatever a real process manages was foreseen."""
    top, inner, program, other = base / "a", base / "a/b", base / "a/b/program", base / "c"
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(other, ignore_errors=True)
    inner.mkdir(parents=True)
    other.mkdir()
    program.touch()
    link = other / "link"
    link.symlink_to("../a/b")
    os.chown(link, link_owner, 0, follow_symlinks=False)
    for path, node in zip((top, inner, program, other), tree, strict=True):
        furnish(path, node)
    safe = protected(str(program), PERSON)
    way = follow(f"{link}/program", PERSON, Mounts())
    assert way is not None and way.path == str(program)
    by_folder = as_child(lambda: changes(top, inner, program))
    assert not (safe and by_folder)
    assert not (way.steady and (by_folder or as_child(lambda: changes(other, link))))


def furnish(path: Path, node: object) -> None:
    owner, group, mode, extra = node
    os.chown(path, owner, group)
    os.chmod(path, mode)
    if extra is not None:
        (tag, who), granted, mask = extra
        entries = [(0x01, mode >> 6 & 7, -1), (tag, granted, who), (0x04, mode >> 3 & 7, -1), (0x10, mask, -1),
                   (0x20, mode & 7, -1)]  # fmt: skip
        entries.sort(key=lambda entry: entry[0])
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, w & 0xFFFFFFFF) for t, p, w in entries)
        try:
            os.setxattr(path, "system.posix_acl_access", value)
        except OSError:
            return  # a file system without access lists: the example is one without


def changes(*paths: Path) -> bool:
    """Whether this process can write one of these, replace it in its folder, or give itself the right to."""
    for path in paths:
        for attempt in (_write, _replace, _open_up):
            try:
                attempt(path)
            except OSError:
                continue
            return True
    return False


def _write(path: Path) -> None:
    if path.is_dir():
        (path / "new").touch()
        try:
            os.rename(path / "program", path / "moved")
        finally:
            os.unlink(path / "new")
    else:
        os.close(os.open(path, os.O_WRONLY))


def _replace(path: Path) -> None:
    os.rename(path, path.with_name("moved"))


def _open_up(path: Path) -> None:
    if path.is_symlink():
        raise OSError("a link has no mode of its own")
    os.chmod(path, 0o777)


def as_child(attempt: object) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            os.setgroups([EXTRA])
            os.setgid(CHILD)
            os.setuid(CHILD)
            code = 1 if attempt() else 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1)
    return code == 1
