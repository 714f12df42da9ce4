"""What runs and what starts, and that it does as it was answered: by the jobs' messages and the scan."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Collection

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.watching is for Windows")

from agent.errors import HostError
from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.windows.accounts import Owners
from agent.platforms.windows.processes import ProcessTable
from agent.platforms.windows.starts import StartEvents

log = logging.getLogger(__name__)

_AGAIN = (0.002, 0.005, 0.02, 0.1, 0.3)
"""Seconds after which a process is looked at again that had no image yet; after the last one it is left to the scan."""


class Watching:
    """``awake`` is called when something started that a tick should not wait for; ``end`` kills a refused program with all
    that it has started before it was seen; ``hold`` lets one stand still."""

    def __init__(
        self,
        table: ProcessTable,
        *,
        awake: Callable[[], None],
        end: Callable[[Process], None],
        hold: Callable[[Process], None],
    ) -> None:
        self.table = table
        self.starts = StartEvents(self._started, awake)
        self.decide: Callable[[Process], Start] | None = None
        self._awake = awake
        self._end = end
        self._hold = hold
        self._baseline = True
        """What runs was not started under this watch yet."""

    def open(self) -> None:
        """Listen, then look."""
        try:
            self.starts.open(asyncio.get_running_loop())
        except HostError as error:
            self.starts.why = f"{error.title}. {error.advice}"
            log.warning("no start events: %s", error.title)
        self.scan()

    def close(self) -> None:
        self.starts.close()
        self.table.forget()
        self._baseline = True

    def watch(self, owners: Owners) -> None:
        """Whose processes count from now on."""
        self.table.watch(owners)
        self._baseline = True

    def scan(self) -> None:
        """Look, follow what is new, and judge it."""
        new = self.table.scan()
        self._follow(new)
        if self._baseline:
            # What ran before the watch began was not started under it: the tick's ladder deals with it.
            self._baseline = False
            return
        self._judge(new)

    def renew(self, path: str) -> None:
        """The programs of this file may be known better than before."""
        changed = self.table.renew(path)
        if changed:
            self._judge(changed)
            self._awake()

    def _started(self, pid: int, tries: int = 0) -> None:
        """The hot path: Windows tells of a new process in one of our jobs."""
        if self._baseline or not self.starts.open_now:
            return
        process, again = self.table.look(pid)
        if again and tries < len(_AGAIN):
            asyncio.get_running_loop().call_later(_AGAIN[tries], self._started, pid, tries + 1)
        if process is not None:
            self._follow([process])
            self._judge([process])
            self._awake()

    def _follow(self, processes: Collection[Process]) -> None:
        for process in processes:
            try:
                self.starts.follow(process.account, process.pid, process.started)
            except HostError as error:
                log.warning("%s", error)
                return

    def _judge(self, processes: Collection[Process]) -> None:
        if self.decide is None:
            return
        for process in processes:
            answer = self.decide(process)
            if answer is Start.DENY:
                self._end(process)
            elif answer is Start.HOLD:
                self._hold(process)
