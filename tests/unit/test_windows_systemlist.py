"""The list of all processes, from a buffer as Windows fills it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.windows.systemlist import Entry, entries, tree

ADDRESS = 0x7FF0_0000


def record(entry: Entry, at: int, ids: tuple[int, ...], *, last: bool = False) -> bytes:
    """SYSTEM_PROCESS_INFORMATION with its threads, and the name behind them."""
    name = entry.name.encode("utf-16-le")
    size = 256 + 80 * len(ids)
    whole = size + len(name) + -len(name) % 8
    head = struct.pack("<II", 0 if last else whole, len(ids)).ljust(32, b"\0")
    head += struct.pack("<qqq", entry.created, entry.spent // 3, entry.spent - entry.spent // 3)
    head += struct.pack("<HHxxxxQ", len(name), len(name), ADDRESS + at + size if name else 0).ljust(24, b"\0")
    head += struct.pack("<QQII", entry.pid, entry.parent, 0, entry.session)
    body = b"".join((bytes(48) + struct.pack("<Q", id_)).ljust(80, b"\0") for id_ in ids)
    return (head.ljust(256, b"\0") + body + name).ljust(whole, b"\0")


def listed(rows: list[tuple[Entry, tuple[int, ...]]]) -> bytes:
    data = b""
    for number, (entry, ids) in enumerate(rows):
        data += record(entry, len(data), ids, last=number == len(rows) - 1)
    return data


IDLE = Entry(0, 0, 0, 0, "")
SHELL = Entry(40, 1_000, 0, 1, "explorer.exe")
GAME = Entry(44, 2_000, 40, 1, "Spiel für zwei.exe", 31_250_001)
ENDED = Entry(48, 2_500, 40, 1, "gone.exe")


def test_each_process_is_read_with_its_name() -> None:
    data = listed([(IDLE, (1,)), (SHELL, (4, 8)), (GAME, (12,))])
    assert list(entries(data, ADDRESS)) == [IDLE, SHELL, GAME]


def test_a_process_without_threads_has_ended() -> None:
    assert list(entries(listed([(SHELL, (4,)), (ENDED, ()), (GAME, (12,))]), ADDRESS)) == [SHELL, GAME]


@given(st.binary(max_size=2_000))
def test_no_buffer_makes_it_fail_or_go_on_for_ever(data: bytes) -> None:
    assert len(list(entries(data, ADDRESS))) <= len(data) // 256 + 1


def test_a_tree_follows_parents_and_not_their_pids_alone() -> None:
    child = Entry(50, 3_000, 44, 1, "child.exe")
    older = Entry(60, 1_500, 44, 1, "its parent had that pid before")
    stranger = Entry(70, 3_000, 40, 1, "a sibling")
    assert tree([SHELL, GAME, child, older, stranger], {GAME.key}).keys() == {GAME.key, child.key}
    assert not tree([SHELL, GAME], {(44, 1)})


def test_a_loop_of_parents_ends() -> None:
    one, two = Entry(1, 5, 2, 0, "a"), Entry(2, 5, 1, 0, "b")
    assert tree([one, two], {one.key}).keys() == {one.key, two.key}
