"""What goes onto the wire comes off it, however the bytes arrive; what is not ours is refused."""

from __future__ import annotations

import asyncio
import socket
import threading
from itertools import pairwise
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ProtocolError
from agent.ipc import client, frames, unix
from agent.ipc.answers import Document, Reply, Text
from agent.ipc.protocol import MAX_FRAME, MAX_MESSAGE, Ask, Body, Call, SetPin, tag_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
calls = st.builds(
    Call,
    id=st.integers(0, 2**53),
    body=st.one_of(
        st.builds(Ask, kind=st.just("comment"), text=texts), st.builds(SetPin, pin=st.text("0123456789", min_size=1))
    ),
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(at)]


async def read_all(pieces: list[bytes]) -> list[bytes]:
    reader = asyncio.StreamReader()
    found = []

    async def feed() -> None:
        for piece in pieces:
            if piece:
                reader.feed_data(piece)
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    while (body := await frames.read(reader)) is not None:
        found.append(body)
    await feeding
    return found


@given(st.lists(calls, max_size=5), st.lists(st.integers(0, 5000), max_size=30))
def test_calls_come_off_the_wire_as_they_went_on_it_in_any_split(sent: list[Call], cuts: list[int]) -> None:
    stream = b"".join(frames.pack(call) for call in sent)
    assert [frames.call_of(body) for body in asyncio.run(read_all(split(stream, cuts)))] == sent


@given(st.binary(max_size=400))
def test_junk_is_refused_or_incomplete_and_never_a_call(junk: bytes) -> None:
    try:
        bodies = asyncio.run(read_all([junk]))
    except ProtocolError:
        return
    for body in bodies:
        with pytest.raises(ProtocolError):
            frames.call_of(body)


@pytest.mark.parametrize("size", [1, MAX_FRAME - 100, MAX_FRAME, MAX_FRAME + 1, 3 * MAX_FRAME, MAX_MESSAGE - 100])
def test_an_answer_longer_than_a_frame_arrives_whole(size: int) -> None:
    reply = Reply(id=3, result=Text(text="x" * size))
    data = frames.pack(reply)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        sender = threading.Thread(target=theirs.sendall, args=(data,))
        sender.start()
        assert client._receive(unix.UnixChannel(ours)) == reply
        sender.join()
    at = 0
    while at < len(data):
        length, goes_on = frames.length(data[at : at + 4])
        assert length <= MAX_FRAME
        at += 4 + length
        assert goes_on is (at < len(data))


def test_an_answer_has_an_end() -> None:
    with pytest.raises(ProtocolError):
        frames.pack(Reply(id=1, result=Document(value=msgspec.Raw(b'"' + b"x" * MAX_MESSAGE + b'"'))))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        endless = (frames.HEADER.pack(MAX_FRAME | frames.CONTINUES) + b"x" * MAX_FRAME) * (MAX_MESSAGE // MAX_FRAME + 1)

        def pour() -> None:
            try:
                theirs.sendall(endless)
            except OSError:
                return  # the reader has had enough

        sender = threading.Thread(target=pour)
        sender.start()
        with pytest.raises(ProtocolError, match="does not end"):
            client._receive(unix.UnixChannel(ours))
        ours.close()
        sender.join()


def test_a_call_is_one_frame() -> None:
    body = msgspec.json.encode(Call(id=1, body=SetPin(pin="4711")))
    continued = frames.HEADER.pack(len(body) | frames.CONTINUES) + body
    with pytest.raises(ProtocolError, match="one frame"):
        asyncio.run(read_all([continued]))


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, frames.CONTINUES - 1])
def test_a_length_that_is_none_is_refused(size: int) -> None:
    for flag in (0, frames.CONTINUES):
        with pytest.raises(ProtocolError):
            frames.length(frames.HEADER.pack(size | flag))


def test_every_call_has_a_tag_of_its_own() -> None:
    kinds = get_args(Body)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)
    assert tag_of(SetPin(pin="4711")) == "set-pin"
