"""How frames travel between the service and its faces: the small interface behind which the operating system is.

Everything that is not Windows has Unix sockets (``ipc.unix``).  Windows has a named pipe, of ``platforms.windows``.  Which it is,
``ipc.chosen`` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from agent.ipc.peer import Peer, Uid

if TYPE_CHECKING:  # a caller does without an event loop
    import asyncio
    from collections.abc import Awaitable, Callable

Heard: TypeAlias = "Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]"
"""Serves one caller, in a task of its own."""


class Ear(Protocol):
    """The service's end."""

    async def open(self, heard: Heard) -> None:
        """Listen.  ``StoreError`` when somebody else does, or the place cannot be used."""

    async def peer_of(self, writer: asyncio.StreamWriter) -> Peer:
        """Who calls, as the system says; ``HostError`` where it does not."""

    def deafen(self) -> None:
        """Hear no new callers."""

    async def close(self) -> None:
        """Give the place up, after ``deafen`` and when every caller is gone."""


class Channel(Protocol):
    """A caller's end, its service checked.  One thread uses it at a time; only ``shut`` may come from another."""

    def patience(self, seconds: float | None) -> None:
        """How long ``send`` and ``receive`` wait from now on; ``None``: for ever."""

    def send(self, data: bytes) -> None:
        """All of it.  ``TimeoutError``, or ``OSError`` when the other side is gone."""

    def receive(self, most: int) -> bytes:
        """The next bytes, ``most`` of them or fewer; empty at the end.  ``TimeoutError``, ``OSError``."""

    def unread(self) -> bool:
        """Something can be read, or the other side has hung up."""

    def shut(self) -> None:
        """End it: who waits on it sees the end."""

    def close(self) -> None:
        """Let go of it; may be called twice."""


class Transport(Protocol):
    """One way of talking."""

    usual: str
    """Where the one service of a PC listens."""

    own: Uid
    """This process's own account."""

    def ear(self, address: Path, mode: int) -> Ear:
        """An ear that is not open yet; ``mode`` is the socket's, where sockets have modes."""

    def call(self, address: str) -> Channel:
        """Reach the service.  ``ConnectionFailed`` when it does not answer, or when somebody else does in its place."""
