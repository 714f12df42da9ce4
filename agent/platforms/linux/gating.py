"""The exec gate as the host uses it: who is asked about, what follows an answer, and what there is to say about it.

The gate answers first and tells afterwards.  A program that it let in is looked at again once its ``exec`` is through: only
then is its command line there, by which an interpreter is judged, and a program from memory shows itself (its loader raises
an event, it does not).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.gate.fanotify import ALLOW
from agent.gate.table import Row
from agent.platforms.base import Finding, Start, let_in
from agent.platforms.linux.accounts import Owners
from agent.platforms.linux.gatekeeper import Gatekeeper, Question
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.questions import Decide, Questions, rows

LOOKS = (0.004, 0.05)
"""Seconds after an answer at which the program is looked at: an ``exec`` takes about one millisecond, on a busy PC more."""
MOST_LOOKS = 2_000
"""Programs waiting to be looked at; beyond them everything is."""

_NAMED = 6
"""Places that are named in one finding."""
_NOT_ASKED_FOR = (
    "Programs are stopped right after their start, not before: Fairtime was started without its exec gate (--gate)."
)
_NOT_ROOT = "Programs are stopped right after their start, not before, because the service does not run as root."


class Gating:
    """``wanted`` are the folders to which the gate is limited, empty for the whole PC, ``None`` for no gate.

    ``look`` is given pids of programs that have started, ``rescan`` is called when some may have been missed.
    """

    def __init__(
        self,
        wanted: Sequence[str] | None,
        identifier: Identifier,
        *,
        hash_of: Callable[[int], Awaitable[str]],
        look: Callable[[Iterable[int]], None],
        rescan: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._keeper: Gatekeeper | None = None
        self._why = _NOT_ASKED_FOR if wanted is None else _NOT_ROOT
        if wanted is not None and os.geteuid() == 0:
            only = [os.path.realpath(folder) for folder in wanted]
            name = ":".join(only)[:90] or "main"
            self._keeper = Gatekeeper(self._asked, self._let_in, rescan, changed, name=name, only=only)
        self._identifier = identifier
        self._hash_of = hash_of
        self._look = look
        self._rescan = rescan
        self._questions: Questions | None = None
        self._otherwise: Callable[[str], Start] = let_in
        self._owners = Owners()
        self._rows: list[Row] = []
        self._told = False
        self._open = False
        self._started = False
        self._soon: list[set[int]] = [set() for _ in LOOKS]

    # ---- what there is to say ------------------------------------------------------------------------------------

    @property
    def keeper(self) -> Gatekeeper | None:
        return self._keeper

    @property
    def why(self) -> str:
        """Why no program is denied before it starts; empty when they are."""
        return self._why if self._keeper is None else self._keeper.why

    def degraded(self) -> tuple[str, ...]:
        """What should work and does not, in words for a guardian."""
        keeper = self._keeper
        if keeper is None or not self._started:
            return ()
        if not keeper.present:
            return (keeper.why,)
        if keeper.strained:
            return ("Some program starts came faster than the exec gate could ask about them.",)
        return ()

    def findings(self) -> tuple[Finding, ...]:
        """File systems where programs are judged after their start only."""
        if self._keeper is None or not self._keeper.left_out:
            return ()
        places = ", ".join(f"{place} ({kind})" for kind, _, place in map(_split, self._keeper.left_out[:_NAMED]))
        if len(self._keeper.left_out) > _NAMED:
            places += f" and {len(self._keeper.left_out) - _NAMED} more"
        return (
            Finding(
                "gate-left-out",
                "note",
                f"Programs on these are stopped right after their start, not before: {places}",
                "They are served by a program or over a network; when such a one stalls, waiting for it would stall the PC.",
            ),
        )

    # ---- life ----------------------------------------------------------------------------------------------------

    def open(self, owners: Owners) -> None:
        """The host is open; the gate begins as soon as there is somebody to ask."""
        self._open = True
        self.watch(owners)
        self._begin()

    def ask(self, decide: Decide, otherwise: Callable[[str], Start]) -> None:
        """Whom to ask."""
        self._otherwise = otherwise
        if self._keeper is not None:
            self._questions = Questions(self._identifier, decide, self._reply, self._hash_of)
            self._questions.owners = self._owners
            self._questions.told = self._told
        self._begin()

    def watch(self, owners: Owners) -> None:
        """Whose starts are asked about."""
        self._owners = owners
        if self._questions is not None:
            self._questions.owners = owners
        self.unsettle()

    def told(self, by_kernel: bool) -> None:
        """Whether the kernel tells of starts by itself now: the gate then need not."""
        if by_kernel == self._told:
            return
        self._told = by_kernel
        if self._questions is not None:
            self._questions.told = by_kernel
        if self._keeper is not None and self._started:
            self._keeper.classify(self._rows, tell=not by_kernel)

    def unsettle(self) -> None:
        """Answers may have changed."""
        if self._keeper is None or not self._started:
            return
        found = rows(self._owners, self._otherwise)
        if found != self._rows:
            self._rows = found
            self._keeper.classify(found, tell=not self._told)
        else:
            self._keeper.flush()

    async def in_place(self) -> None:
        """Until there is a gate; at once where none is asked for."""
        if self._keeper is not None:
            await self._keeper.there.wait()

    async def close(self) -> None:
        """End the gate."""
        self._open = False
        if self._questions is not None:
            await self._questions.close()
        if self._keeper is not None and self._started:
            self._started = False
            await self._keeper.close()

    def _begin(self) -> None:
        if self._keeper is not None and self._open and self._questions is not None and not self._started:
            self._started = True
            self._rows = rows(self._owners, self._otherwise)
            self._keeper.open(self._rows, tell=not self._told)

    # ---- starts --------------------------------------------------------------------------------------------------

    def _asked(self, question: Question) -> None:
        assert self._questions is not None, "the gate is started after there is somebody to ask"
        self._questions.asked(question)

    def _reply(self, question: Question, verdict: int, holds: int) -> None:
        assert self._keeper is not None, "there is a question, so there is a gate"
        self._keeper.answer(question, verdict, holds)
        if verdict == ALLOW and not self._told:
            self._let_in((question.pid,))

    def _let_in(self, pids: Iterable[int]) -> None:
        """Look at these soon: as they are told, ``exec`` is still at work."""
        loop = asyncio.get_running_loop()
        for number, (delay, soon) in enumerate(zip(LOOKS, self._soon, strict=True)):
            if not soon:
                loop.call_later(delay, self._look_now, number)
            soon.update(pids)

    def _look_now(self, number: int) -> None:
        pids, self._soon[number] = self._soon[number], set()
        if not self._open:
            return
        if len(pids) > MOST_LOOKS:
            self._rescan()
        else:
            self._look(pids)


def _split(text: str) -> tuple[str, str, str]:
    return text.partition(" ")
