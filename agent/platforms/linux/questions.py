"""Answers the exec gate's questions: which program is this, and may it start?

A program waits meanwhile.  Who it is, is told from its open descriptor; a file of the account's own is hashed first, a large
one in a thread.  Interpreters are let in when they are the machine's own: what they run is known only after the start, and
judged then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.gate.fanotify import ALLOW, DENY
from agent.gate.table import Row
from agent.gate.wire import ASK_AGAIN, FOR_GOOD, MOST_ROWS, SETTLED
from agent.model.program import Process, ProgramId
from agent.platforms.base import Start
from agent.platforms.inside import interpreters
from agent.platforms.linux import procfs, signals
from agent.platforms.linux.accounts import Owners, Person
from agent.platforms.linux.background import Background
from agent.platforms.linux.gatekeeper import Question
from agent.platforms.linux.identity import Identifier

log = logging.getLogger(__name__)

Decide = Callable[[Process], Start]
Reply = Callable[[Question, int, int], None]
"""Question, verdict, how long it holds (``wire``)."""


def rows(owners: Owners, otherwise: Callable[[str], Start]) -> list[Row]:
    """The gate's table of uid ranges: a class for each account, with what holds when nobody can be asked.

    Accounts come before their ranges of subordinate uids, of which the table holds a few thousand.
    """
    own: list[Row] = []
    subordinate: list[Row] = []
    for number, (name, person) in enumerate(sorted(owners.people.items())):
        verdict = ALLOW if otherwise(name) in (Start.SETTLED, Start.ALLOW) else DENY
        own.append((person.uid, person.uid, number, verdict))
        subordinate += [(first, last, number, verdict) for first, last in person.subuids]
    found = own + subordinate
    if len(found) > MOST_ROWS:
        log.error("/etc/subuid gives children %d ranges; the exec gate watches %d", len(found), MOST_ROWS)
    return found[:MOST_ROWS]


class Questions:
    """``asked`` is given to the gatekeeper; each question gets one ``reply``.  ``hash_of`` reads an open file in a thread."""

    def __init__(
        self,
        identifier: Identifier,
        decide: Decide,
        reply: Reply,
        hash_of: Callable[[int], Awaitable[str]],
    ) -> None:
        self.owners = Owners()
        self.told = False
        """The kernel tells of every start by itself, so that the gate need not."""
        self._identifier = identifier
        self._decide = decide
        self._reply = reply
        self._hash_of = hash_of
        self._hashing = Background("a program could not be hashed, so the exec gate answers for itself")

    async def close(self) -> None:
        """Give up on what is being hashed."""
        await self._hashing.close()

    def asked(self, question: Question) -> None:
        """Answer now, or once the file is hashed (the gate asks about a bounded number at a time)."""
        person = self.owners.by_uid(question.uid)
        if person is None:
            self._done(question, ALLOW)  # no child (any more)
            return
        program = self._identifier.opened(question.file, person, question.pid)
        if program is None:
            self._done(question, DENY)  # no regular file: the kernel would not run it either
        elif program.protected and interpreters.family(program.name):
            # Only whoever hears of its starts can judge what it runs.
            self._done(question, ALLOW, FOR_GOOD if self.told else SETTLED)
        elif program.protected or program.sha256:
            self._judge(question, person, program)
        else:
            self._hashing.begin(self._hashed(question, person, program))

    # ---- inside --------------------------------------------------------------------------------------------------

    async def _hashed(self, question: Question, person: Person, program: ProgramId) -> None:
        try:
            sha256 = await self._hash_of(question.file)
        except asyncio.CancelledError:
            os.close(question.file)
            raise
        self._judge(question, person, replace(program, sha256=sha256))

    def _judge(self, question: Question, person: Person, program: ProgramId) -> None:
        stat = procfs.stat(question.pid)
        if stat is None:
            self._done(question, DENY)  # killed while it waited
            return
        process = Process(
            pid=question.pid, started=stat.started, parent=stat.parent, account=person.name, program=program
        )
        start = self._decide(process)
        if start is Start.HOLD and not _hold(process, person):
            start = Start.DENY
        holds = ASK_AGAIN
        if start is Start.SETTLED:
            # The child can write other files, even while the kernel does not see it (a shared mapping).
            holds = FOR_GOOD if program.protected else SETTLED
        self._done(question, DENY if start is Start.DENY else ALLOW, holds)

    def _done(self, question: Question, verdict: int, holds: int = ASK_AGAIN) -> None:
        os.close(question.file)
        self._reply(question, verdict, holds)


def _hold(process: Process, person: Person) -> bool:
    """Stop a process that is inside of ``exec``, where only a kill reaches it: the stop waits there, and takes effect before
    the new program's first instruction.  False when it is gone."""
    with signals.handle(process.pid, process.started) as pidfd:
        uid = procfs.owner(process.pid)
        return pidfd is not None and uid is not None and person.owns(uid) and signals.send(pidfd, signal.SIGSTOP)
