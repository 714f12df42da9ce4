"""What runs and what starts, and that it does as it was answered: by the kernel's events, the gate's reports and the scan."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import Clock, Millis
from agent.errors import HostError
from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.linux import procfs, signals
from agent.platforms.linux.accounts import Owners
from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.processes import ROTATION, ProcessTable
from agent.platforms.linux.standing import Standing
from agent.platforms.linux.starts import StartEvents

log = logging.getLogger(__name__)


class Watching:
    """``awake`` is called when something started or was told that a tick should not wait for; ``end`` kills a refused
    program with all that it has started before it was seen; ``proved`` is told each time the kernel was asked whether it
    tells of starts."""

    def __init__(
        self,
        clock: Clock,
        identifier: Identifier,
        standing: Standing,
        *,
        awake: Callable[[], None],
        end: Callable[[Process], None],
        proved: Callable[[bool], None],
    ) -> None:
        self.starts = StartEvents(self.started, self._lost)
        self.why = "Fairtime has not begun to listen."
        """Why the kernel tells of no starts, while ``starts.open_now`` is False."""
        self.table = ProcessTable(identifier.running)
        self.decide: Callable[[Process], Start] | None = None
        self.told = False
        """The kernel tells of starts: it did so when it was last asked to prove it, at most ``ROTATION`` ago."""
        self._clock = clock
        self._standing = standing
        self._awake = awake
        self._end = end
        self._proved = proved
        self._owners = Owners()
        self._baseline = True
        """What runs was not started under this watch yet."""
        self._pulsed: Millis | None = None

    async def open(self) -> None:
        """Listen first and look second, which leaves no gap between the two."""
        try:
            await self.starts.open()
        except HostError as error:
            self.why = f"{error.title}. {error.advice}"
            log.warning("no start events: %s", error.title)
        self.scan()

    def close(self) -> None:
        self.starts.close()
        self.table.forget()
        self._baseline, self.told, self._pulsed = True, False, None

    def watch(self, owners: Owners) -> None:
        """Whose processes count from now on."""
        self._owners = owners
        self.table.watch(owners)
        self._baseline = True

    def started(self, pid: int, *, late: bool = False) -> None:
        """A new image or a new owner: the hot path.  Most starts on a PC are no child's and cost one system call.

        ``late``: it was not the kernel that told, and the program may have started others meanwhile.
        """
        uid = procfs.owner(pid)
        if uid is None:
            return
        person = self._owners.by_uid(uid)
        if person is None:
            self.table.drop(pid)
            return
        # Held before it is looked at, so that what is killed is what was judged.
        with signals.handle(pid) as pidfd:
            process = self.table.read(pid, person) if pidfd is not None else None
            if pidfd is not None and process is not None:
                if self.decide is not None:
                    self._obey(pidfd, process, self.decide(process), late=late)
                self._awake()

    def look_after(self, pids: Iterable[int]) -> None:
        """Programs that the exec gate has heard of, where the kernel tells of none itself."""
        for pid in pids:
            self.started(pid, late=True)

    def rescan(self) -> None:
        """Look at everything again and judge what was not known."""
        if not self._baseline:
            self._judge(self.table.scan(self._clock.now().boot, everything=True))
        self._awake()

    def renew(self) -> None:
        """Programs may be known better than before."""
        self._judge(self.table.renew())
        self._awake()

    def recheck(self, pid: int) -> None:
        """Something happened to this one: look at it with the next scan, which comes soon."""
        self.table.recheck({pid})
        self._awake()

    def scan(self, touched: Iterable[int] = ()) -> None:
        """Look, and judge what is new; ``touched``: pids to look at again."""
        self.table.recheck(set(touched))
        now = self._clock.now().boot
        silent = False
        if self._pulsed is None or now - self._pulsed >= ROTATION:
            self._pulsed = now
            told, before = self.starts.pulse(), self.told
            self.told, silent = told, before and not told
            self._proved(told)
            if silent:
                log.warning("start events stopped; looking at every process")
        images = self.table.scan(now, told=self.told, everything=silent)
        if self._baseline:
            # What ran before the watch began was not started under it: the tick's ladder deals with it.
            self._baseline = False
            return
        self._judge(images)

    def _lost(self) -> None:
        """The kernel dropped events."""
        log.warning("start events were lost; looking at every process")
        self.rescan()

    def _judge(self, images: Collection[Process]) -> None:
        if self.decide is None:
            return
        for process in images:
            answer = self.decide(process)
            if answer in (Start.SETTLED, Start.ALLOW):
                continue
            with signals.handle(process.pid, process.started) as pidfd:
                if pidfd is not None:
                    self._obey(pidfd, process, answer, late=True)

    def _obey(self, pidfd: int, process: Process, answer: Start, *, late: bool) -> None:
        if late and answer is Start.DENY:
            # It has run for a while: a script's ``sleep``, which nobody would refuse, must not be left behind.
            self._end(process)
        number = self._standing.obey(process, answer)
        if number is not None:
            signals.send(pidfd, number)
