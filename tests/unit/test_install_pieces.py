"""A signed policy that is longer than a frame comes in pieces; what never ends is let go."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import ProtocolError
from agent.ipc import frames
from agent.ipc.protocol import PIECE, Call, Install
from agent.service.acts import MOST_PIECES, Acts
from agent.trust.envelope import MAX_ENVELOPE

anything: Any = None


def acts(installed: list[bytes]) -> Acts:
    async def install(data: bytes, wall: int) -> Any:
        installed.append(data)
        return SimpleNamespace(policy=None, sha256="0" * 64)

    async def done(found: Any) -> None:
        """In force."""

    store: Any = SimpleNamespace(install=install)
    audit: Any = SimpleNamespace(append=lambda *line, at: None)
    return Acts(anything, anything, audit, anything, store, anything, lambda: 0, done, anything)


def caller() -> Any:
    return SimpleNamespace(peer=SimpleNamespace(account="root"), via="cli", pieces=[])


def send(to: Acts, connection: Any, data: bytes) -> None:
    text = base64.b64encode(data).decode()
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces, 1):
        call = Install(policy=piece, more=number < len(pieces))
        frames.pack(Call(id=number, body=call))  # each fits a frame
        asyncio.run(to.act(connection, call))


def test_the_longest_policy_arrives_whole() -> None:
    installed: list[bytes] = []
    data = bytes(range(256)) * (MAX_ENVELOPE // 256)
    connection = caller()
    send(acts(installed), connection, data)
    send(acts(installed), connection, b"short")
    assert installed == [data, b"short"]


def test_a_policy_without_an_end_is_let_go() -> None:
    installed: list[bytes] = []
    to, connection = acts(installed), caller()
    with pytest.raises(ProtocolError):
        for _ in range(MOST_PIECES + 1):
            asyncio.run(to.act(connection, Install(policy="A" * PIECE, more=True)))
    assert connection.pieces == []
    assert installed == []


def test_pieces_that_do_not_fit_together_are_refused_and_forgotten() -> None:
    installed: list[bytes] = []
    to, connection = acts(installed), caller()
    asyncio.run(to.act(connection, Install(policy="AAA", more=True)))
    with pytest.raises(ProtocolError):
        asyncio.run(to.act(connection, Install(policy="AA")))
    assert connection.pieces == []
