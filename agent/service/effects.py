"""Carry out what was decided.  Every effect may come again; doing it twice does no harm.

What fails is not dropped: a lock that the desktop does not honour becomes a logout, and whatever cannot be done at all is
recorded as a degraded state and shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.clock import MINUTE, SECOND, Millis
from agent.errors import HostError
from agent.model.policy import Ending
from agent.model.record import EventKind
from agent.model.verdict import (
    AskFor,
    Clear,
    Effect,
    EndGrant,
    EndSession,
    Hold,
    Notify,
    Release,
    StopProgram,
    Thaw,
)
from agent.platforms.base import Host

log = logging.getLogger(__name__)

AGAIN_AFTER = 1 * SECOND
"""A session that is still open is ended again this long after the last try: a desktop needs a moment to lock."""
GIVE_UP_LOCKING = 4
"""So many locks in a row without effect, and the next is a logout."""
CLEAR_AGAIN = 2 * SECOND
"""What an account left running is asked to end, and killed soon after, before it is asked again."""
MOST_UNDONE = 5
"""So many locks within ``WITHIN`` that held and were undone, and the next is a logout: nobody unlocks that often by mistake."""
WITHIN = MINUTE

Record = Callable[[str, EventKind, str, str, str], None]
"""``(child, kind, subject, rule, text)`` into the ledger's events."""


@dataclass(slots=True)
class _Ending:
    at: Millis
    tries: int = 0
    """In a row, without effect."""
    held: bool = False
    """The last one had effect, for a while at least."""
    undone: list[Millis] = field(default_factory=list)


@dataclass(slots=True)
class Effects:
    """Applies effects to a host; ``push`` shows a notice to whoever listens."""

    host: Host
    push: Callable[[Notify], None]
    record: Record
    ask: Callable[[AskFor], None]
    """Make the request, and tell the child."""
    end_grant: Callable[[EndGrant], None]
    _endings: dict[str, _Ending] = field(default_factory=dict)
    _cleared: dict[str, Millis] = field(default_factory=dict)
    _stopped: dict[tuple[int, int], None] = field(default_factory=dict)

    @property
    def again(self) -> Millis | None:
        """Time since boot when a session that is still open is ended again; ``None`` when there is none."""
        return min((one.at + AGAIN_AFTER for one in self._endings.values() if not one.held), default=None)

    async def apply(self, effects: Iterable[Effect], boot: Millis) -> None:
        """Carry out one tick's effects; returns when the first step of each is done."""
        ending: set[str] = set()
        for effect in effects:
            match effect:
                case Notify():
                    self._notify(effect)
                case StopProgram():
                    await self._stop(effect)
                case EndSession():
                    ending.add(effect.session)
                    await self._end(effect, boot)
                case Clear():
                    await self._clear(effect, boot)
                case Hold():
                    await self._hold(effect)
                case Release():
                    await self._release(effect)
                case AskFor():
                    self.ask(effect)
                case EndGrant():
                    self.end_grant(effect)
                case Thaw():
                    await self._thaw(effect)
        for session in [s for s in self._endings if s not in ending]:
            self._endings[session].held = True
            if boot - self._endings[session].at > WITHIN:
                del self._endings[session]

    def _notify(self, notice: Notify) -> None:
        self.push(notice)
        if notice.kind in ("warn", "inform"):
            self.record(notice.child, "warned", notice.program, notice.rule, notice.text)

    async def _stop(self, effect: StopProgram) -> None:
        key = (effect.pid, effect.started)
        if key not in self._stopped:
            if len(self._stopped) > 4096:
                self._stopped.clear()
            self._stopped[key] = None
            kind: EventKind = "blocked" if effect.at_once else "ended"
            self.record(effect.child, kind, effect.program, effect.rule, effect.sentence)
        try:
            await self.host.stop(effect.pid, effect.started, at_once=effect.at_once)
        except HostError as error:
            log.warning("cannot stop %s: %s", effect.program, error)
            self.record(effect.child, "degraded", effect.program, effect.rule, f"Could not be stopped: {error.title}")

    async def _hold(self, effect: Hold) -> None:
        try:
            await self.host.hold(effect.pid, effect.started)
            return
        except HostError as error:
            log.warning("cannot hold %s: %s", effect.program, error)
            text = f"Could not be held, so it was stopped: {error.title}"
            self.record(effect.child, "degraded", effect.program, effect.rule, text)
        try:
            await self.host.stop(effect.pid, effect.started, at_once=True)
        except HostError as error:
            log.warning("cannot stop %s: %s", effect.program, error)

    async def _release(self, effect: Release) -> None:
        try:
            await self.host.release(effect.pid, effect.started)
        except HostError as error:
            log.warning("cannot let process %s go on: %s", effect.pid, error)
            self.record(effect.child, "degraded", "", "", f"A program could not go on: {error.title}")

    async def _end(self, effect: EndSession, boot: Millis) -> None:
        last = self._endings.get(effect.session)
        if last is None:
            last = self._endings[effect.session] = _Ending(boot)
        elif last.held:
            last.tries, last.held = 0, False
            last.undone = [*(at for at in last.undone if boot - at < WITHIN), boot]
        elif boot - last.at < AGAIN_AFTER:
            return
        tries = last.tries
        give_up = tries >= GIVE_UP_LOCKING or len(last.undone) >= MOST_UNDONE
        wanted: Ending = "logout" if effect.ending == "lock" and give_up else effect.ending
        last.at, last.tries = boot, tries + 1
        for ending in dict.fromkeys((wanted, "logout")):
            try:
                await self.host.end_session(effect.session, ending)
            except HostError as error:
                log.warning("cannot %s session %s: %s", ending, effect.session, error)
                self.record(effect.child, "degraded", effect.session, effect.rule, error.title)
                continue
            if tries == 0:
                self.record(effect.child, "ended", "session", effect.rule, f"Session ended ({ending}).")
            return

    async def _clear(self, effect: Clear, boot: Millis) -> None:
        last = self._cleared.get(effect.account)
        if last is not None and boot - last < CLEAR_AGAIN:
            return
        self._cleared[effect.account] = boot
        try:
            await self.host.clear(effect.account)
        except HostError as error:
            log.warning("cannot stop what %s left running: %s", effect.account, error)
            self.record(effect.child, "degraded", effect.account, effect.rule, error.title)
            return
        self.record(
            effect.child, "ended", "leftovers", effect.rule, "Programs that ran without a session were stopped."
        )

    async def _thaw(self, effect: Thaw) -> None:
        try:
            await self.host.thaw(effect.account)
        except HostError as error:
            log.warning("cannot thaw %s: %s", effect.account, error)
            self.record(effect.child, "degraded", effect.account, "", error.title)
