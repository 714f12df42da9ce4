"""A guardian's acts on the site lists: each is done by ``lists`` and entered in the audit with who and from where.

The largest lists take longer than a caller waits: then the work goes on, and ``fairtime lists show`` tells what came of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from agent.clock import Millis
from agent.errors import FairtimeError, HostError, ProtocolError
from agent.ipc.answers import Document, Done, Result
from agent.ipc.peer import own_uid
from agent.ipc.protocol import AcceptList, Body, GetLists, PutList, RemoveList, TrustPublisher
from agent.ipc.server import Connection
from agent.service.audit import Audit
from agent.service.lists import Lists

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds that an act may take before its caller is told to look again; less than a client waits for an answer."""


@dataclass(slots=True)
class ListActs:
    """Does what a guardian asks of ``lists``; ``wall`` is trusted time, ``changed`` is told when a state is new."""

    lists: Lists
    audit: Audit
    wall: Callable[[], Millis]
    changed: Callable[[], None]
    patience: float = PATIENCE
    _going: set[asyncio.Task[str]] = field(default_factory=set)

    async def act(self, connection: Connection, body: Body) -> Result:
        """Do it; the server has ruled that this caller may."""
        lists = self.lists
        match body:
            case GetLists():
                await lists.ensure()
                return Document(value=msgspec.Raw(msgspec.json.encode(lists.document())))
            case PutList(name=name, path=path):
                put = lists.put(name, path, _number(connection), self.wall(), body.format, body.publisher)
                return await self._patiently(connection, "put-list", f"{name} from {path or 'where it lay'}", put)
            case AcceptList(name=name):
                return await self._patiently(connection, "accept-list", name, lists.accept(name))
            case RemoveList(name=name):
                return await self._patiently(connection, "remove-list", name, lists.remove(name))
            case TrustPublisher(name=name, key=key):
                sentence = lists.trust(name, key)
                self._note(connection, "trust-publisher" if key else "distrust-publisher", f"{name} {key}".rstrip())
                return Done(sentence=sentence)
        raise ProtocolError("The service does not know this call", "Use the same version of Fairtime on both sides.")

    async def close(self) -> None:
        """Give up what still goes on; it is as if it had not begun."""
        for task in list(self._going):
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _patiently(self, connection: Connection, action: str, detail: str, deed: Awaitable[str]) -> Done:
        task = asyncio.ensure_future(self._audited(connection, action, detail, deed))
        self._going.add(task)
        task.add_done_callback(self._over)
        await asyncio.wait([task], timeout=self.patience)
        if task.done():
            return Done(sentence=task.result())
        return Done(sentence="This takes a while and goes on.  “fairtime lists show” tells what comes of it.")

    async def _audited(self, connection: Connection, action: str, detail: str, deed: Awaitable[str]) -> str:
        try:
            sentence = await deed
        except FairtimeError as error:
            self._note(connection, f"{action}-failed", f"{detail}: {error.title}")
            raise
        self._note(connection, action, f"{detail}: {sentence}")
        return sentence

    def _over(self, task: asyncio.Task[str]) -> None:
        self._going.discard(task)
        self.changed()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a change of the lists failed: %s", error)  # whoever asked was told, or reads it in “lists show”

    def _note(self, connection: Connection, action: str, detail: str) -> None:
        self.audit.append(connection.peer.account, connection.via, action, "", detail, at=self.wall())


def _number(connection: Connection) -> int:
    """The account with whose rights a list is read.  ``HostError`` where a job cannot take an account's rights."""
    if isinstance(connection.peer.uid, int):
        return connection.peer.uid
    if connection.peer.privileged:
        return own_uid()  # whoever may read everything is asked for no less than the service itself may
    raise HostError(
        "Here lists of sites are handed in by an administrator", "Start the terminal with “Run as administrator”."
    )
