"""The gate's invariants: it allows nothing that was not settled, whatever is said to it, and it stays small."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the exec gate is for Linux", allow_module_level=True)

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.gate import mounts, wire
from agent.gate.fanotify import ALLOW, DENY, BadEvent, events
from agent.gate.table import REMEMBERED, Table
from tests.unit.pretended_kernel import Kernel

KINDS = [wire.read_classes, wire.read_answer, wire.read_ping, wire.read_question, wire.read_told, wire.read_pong,
         wire.read_marks, wire.read_failed, wire.kind]  # fmt: skip
UIDS = st.integers(0, 2**32 - 1)


@given(st.binary(max_size=200), st.sampled_from(range(24)))
@settings(max_examples=500)
def test_any_bytes_are_read_or_refused(data: bytes, kind: int) -> None:
    for read in KINDS:
        for given_ in (data, bytes([kind]) + data):
            try:
                read(given_)
            except wire.Malformed:
                continue


@given(st.binary(max_size=200))
def test_any_event_is_read_or_refused(data: bytes) -> None:
    try:
        found = events(data)
    except BadEvent:
        return
    assert len(found) <= len(data) // 24


@given(st.binary(max_size=400))
def test_any_mount_table_is_read(data: bytes) -> None:
    mounts.plan(mounts.parse(data), mounts.on_devices(data))


@given(st.lists(st.tuples(UIDS, UIDS, st.integers(0, 9), st.sampled_from([ALLOW, DENY])), max_size=30))
def test_classes_come_back(rows: list[tuple[int, int, int, int]]) -> None:
    ordered = [(min(a, b), max(a, b), number, verdict) for a, b, number, verdict in rows]
    assert wire.read_classes(wire.classes(ordered, tell=False)) == (ordered, False)


@given(st.lists(st.tuples(UIDS, st.integers(0, 1000)), max_size=12), UIDS)
def test_a_class_is_that_of_a_range_that_holds_the_uid(found: list[tuple[int, int]], uid: int) -> None:
    # Ranges of subuid(5) do not overlap; made so here.
    rows, last = [], -1
    for first, length in sorted(found):
        if first > last:
            last = min(first + length, 2**32 - 1)
            rows.append((first, last, len(rows), DENY))
    table = Table()
    table.classify(rows)
    expected = next((number for first, end, number, _ in rows if first <= uid <= end), None)
    assert table.class_of(uid) == expected


@given(st.lists(st.integers(0, 4 * REMEMBERED), max_size=300), st.integers(1, 40))
def test_the_table_is_bounded(inodes: list[int], step: int) -> None:
    table = Table()
    for inode in inodes:
        for n in range(step):
            table.settle((0, inode + n, 0, 0))
    assert len(table) <= 2 * REMEMBERED


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 2)),
        st.tuples(st.just("answer"), st.sampled_from([ALLOW, DENY]), st.integers(0, 2)),
        st.tuples(st.just("flush")),
        st.tuples(st.just("change"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.floats(0, 3)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_nothing_is_allowed_that_was_not_settled_since(steps: list[tuple[object, ...]]) -> None:
    """Whatever happens in whatever order: an ``exec`` is let in only by an answer to its own question, or because this very
    content was settled after the last flush."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(n) for n in range(3)]
        for file in files:
            file.write_bytes(b"x")
        kernel = Kernel(files[0])
        settled: set[tuple[int, int]] = set()
        content = [0, 0, 0]
        asked: list[tuple[int, int, tuple[int, int]]] = []
        try:
            for step in steps:
                if step[0] == "start":
                    n = int(str(step[1]))
                    kernel.file = files[n]
                    fd = kernel.starts()
                    answers = kernel.answers()
                    questions = [data for data in kernel.hears() if wire.kind(data) == wire.QUESTION]
                    if (n, content[n]) in settled:
                        assert answers == [(fd, ALLOW)]
                    else:
                        assert answers == []
                        asked.append((wire.read_question(questions[0])[0], fd, (n, content[n])))
                elif step[0] == "answer" and asked:
                    number, fd, what = asked.pop(0)
                    verdict, keep = int(str(step[1])), int(str(step[2]))
                    kernel.says(wire.answer(number, verdict, keep))
                    answers = kernel.answers()
                    if answers:
                        assert answers == [(fd, verdict)]
                        if keep and verdict == ALLOW:
                            settled.add(what)
                elif step[0] == "flush":
                    kernel.says(wire.FLUSH_NOW)
                    settled.clear()
                elif step[0] == "change":
                    n = int(str(step[1]))
                    content[n] += 1
                    files[n].unlink()
                    files[n].write_bytes(b"%d" % content[n])
                elif step[0] == "wait":
                    kernel.now += float(str(step[1]))
                    kernel.gate.give_up_waiting()
                    given_up = dict(kernel.answers())
                    assert set(given_up.values()) <= {DENY}
                    asked = [one for one in asked if one[1] not in given_up]
                # (the contents of these small files are told apart by inode and change time, as the gate does)
                assert len(kernel.gate.ignored) <= len(settled)
        finally:
            kernel.close()
