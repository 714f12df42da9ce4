"""Frames on the wire: a 4-byte big-endian length, then that many bytes of JSON (``protocol.MAX_FRAME`` at most)."""

from __future__ import annotations

import asyncio
import struct

import msgspec

from agent.errors import ProtocolError
from agent.ipc.protocol import MAX_FRAME, TIMEOUT, Call, Message

HEADER = struct.Struct(">I")
_encoder = msgspec.json.Encoder()
_calls = msgspec.json.Decoder(Call)
_messages = msgspec.json.Decoder(Message)


def pack(message: Call | Message) -> bytes:
    """A message as a frame.  ``ProtocolError`` when it is longer than a frame may be."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError("The answer is too long for one frame", "Ask for less at once.")
    return HEADER.pack(len(body)) + body


def length(header: bytes) -> int:
    """The length that a header announces.  ``ProtocolError`` for none and for too much."""
    (size,) = HEADER.unpack(header)
    if not 0 < size <= MAX_FRAME:
        raise ProtocolError(f"A frame of {size} bytes is none", "Use the same version of Fairtime on both sides.")
    return int(size)


def call_of(body: bytes) -> Call:
    """The call in a frame; ``ProtocolError`` for anything else."""
    try:
        return _calls.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"This is no call: {error}", "Use the same version of Fairtime on both sides.") from error


def message_of(body: bytes) -> Message:
    """The reply, failure or event in a frame; ``ProtocolError`` for anything else."""
    try:
        message: Message = _messages.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"This is no answer: {error}", "Use the same version of Fairtime on both sides.") from error
    return message


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """The body of the next frame; ``None`` at the end.  A frame that has begun must be whole within ``TIMEOUT``.

    ``ProtocolError`` for a frame that is cut short, too long or too slow.
    """
    first = await reader.read(1)
    if not first:
        return None
    try:
        async with asyncio.timeout(TIMEOUT):
            header = first + await reader.readexactly(HEADER.size - 1)
            return await reader.readexactly(length(header))
    except asyncio.IncompleteReadError as error:
        raise ProtocolError("The connection ended within a frame") from error
    except TimeoutError as error:
        raise ProtocolError(f"A frame did not arrive within {TIMEOUT:.0f} s") from error
