"""Frames on the wire: a 4-byte big-endian head, then that many bytes of JSON (``protocol.MAX_FRAME`` at most).

The highest bit of the head says that the message goes on in the next frame.  Only the service says anything that long: a
state holds the names of the programs that a child runs, and a child can give them names that fill a frame.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from agent.errors import ProtocolError
from agent.ipc.answers import Message
from agent.ipc.protocol import MAX_FRAME, MAX_MESSAGE, TIMEOUT, Call

if TYPE_CHECKING:  # only the service reads calls; a command has no event loop, and half a one's start-up to lose
    import asyncio

HEADER = struct.Struct(">I")
CONTINUES = 0x8000_0000
_encoder = msgspec.json.Encoder()
_calls = msgspec.json.Decoder(Call)
_messages = msgspec.json.Decoder(Message)


def pack(message: Call | Message) -> bytes:
    """A message as one frame, or as several that continue each other.  ``ProtocolError`` for one longer than may be."""
    body = _encoder.encode(message)
    if len(body) > (MAX_FRAME if isinstance(message, Call) else MAX_MESSAGE):
        raise ProtocolError(f"A message of {len(body)} bytes is too long", "Ask for less at once.")
    out = bytearray()
    for start in range(0, len(body), MAX_FRAME):
        piece = body[start : start + MAX_FRAME]
        goes_on = start + MAX_FRAME < len(body)
        out += HEADER.pack(len(piece) | (CONTINUES if goes_on else 0)) + piece
    return bytes(out)


def length(header: bytes) -> tuple[int, bool]:
    """The length that a header announces, and whether the message goes on.  ``ProtocolError`` for none and for too much."""
    (value,) = HEADER.unpack(header)
    size = int(value) & ~CONTINUES
    if not 0 < size <= MAX_FRAME:
        raise ProtocolError(f"A frame of {size} bytes is none", "Use the same version of Fairtime on both sides.")
    return size, bool(value & CONTINUES)


def longer(begun: int, size: int) -> int:
    """The length of a message after its next frame.  ``ProtocolError`` when it gets longer than a message may be."""
    if begun + size > MAX_MESSAGE:
        raise ProtocolError("A message does not end", "Use the same version of Fairtime on both sides.")
    return begun + size


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
    """The body of the next call; ``None`` at the end.  A frame that has begun must be whole within ``TIMEOUT``.

    ``ProtocolError`` for a frame that is cut short, too long, too slow or not the last of its message.
    """
    import asyncio

    first = await reader.read(1)
    if not first:
        return None
    try:
        async with asyncio.timeout(TIMEOUT):
            header = first + await reader.readexactly(HEADER.size - 1)
            size, goes_on = length(header)
            if goes_on:
                raise ProtocolError("A call is one frame", "Use the same version of Fairtime on both sides.")
            return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise ProtocolError("The connection ended within a frame") from error
    except TimeoutError as error:
        raise ProtocolError(f"A frame did not arrive within {TIMEOUT:.0f} s") from error
