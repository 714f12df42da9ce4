"""From an answer to a program that stands still: the exec gate's stop, the holder's frozen cgroup, and what is nobody's."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Collection

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import SECOND, Millis
from agent.errors import HostError
from agent.model.program import Process
from agent.platforms.base import Start
from agent.platforms.linux import procfs, signals
from agent.platforms.linux.accounts import Owners
from agent.platforms.linux.holding import Holder
from agent.platforms.linux.logind import Logind

log = logging.getLogger(__name__)

_UNSEEN: Millis = 2 * SECOND
"""How long a stopped program may not be seen to have started."""
_STRANGE: Millis = 5 * SECOND
"""How long a held process may be nobody's: one in the middle of an ``exec`` is not seen for a moment."""


class Standing:
    """``owners`` is whose programs may be held."""

    def __init__(self, broke_out: Callable[[int, int], None]) -> None:
        self.holder = Holder(broke_out)
        self.owners = Owners()
        self._strange: dict[tuple[int, int], Millis] = {}
        self._decide: Callable[[Process], Start] | None = None
        self._stopped: dict[tuple[int, int], tuple[str, Millis | None]] = {}
        """What the gate stopped inside of ``exec``: the file that is about to run, and when that was first looked at."""

    @property
    def held(self) -> frozenset[tuple[int, int]]:
        """Keys of what stands still."""
        return self.holder.held

    def before(self, decide: Callable[[Process], Start]) -> Callable[[Process], Start]:
        """``decide`` for the gate, which stops what is to be held before its first instruction."""

        self._decide = decide

        def asked(process: Process) -> Start:
            answer = decide(process)
            if answer is Start.HOLD:
                self._stopped[process.key] = (process.program.path, None)
            return answer

        return asked

    def obey(self, process: Process, answer: Start) -> signal.Signals | None:
        """Hold a process that has started, if so; the signal that it must get otherwise."""
        path, _ = self._stopped.get(process.key, ("", None))
        if path and path != process.program.path and answer is not Start.DENY:
            return None  # still the image before, inside of the ``exec`` that was stopped
        self._stopped.pop(process.key, None)
        if answer is Start.DENY:
            return signal.SIGKILL
        if answer is Start.HOLD:
            person = self.owners.people.get(process.account)
            if person is not None:
                self.holder.hold(process.pid, process.started, person.uid)
            return None
        # It was to be held when the gate asked, and need not be any more.
        return signal.SIGCONT if path else None

    def hold(self, pid: int, started: int) -> None:
        """Hold a process of a watched account; ``HostError`` for another's."""
        uid = procfs.owner(pid)
        person = self.owners.by_uid(uid) if uid is not None else None
        if uid is None:
            return
        if person is None:
            raise HostError(f"Process {pid} does not belong to a watched account", "It is left alone.")
        self.holder.hold(pid, started, person.uid)

    def release(self, pid: int, started: int) -> None:
        """Let it go on, whether it is held already or only stopped for the gate."""
        if self._stopped.pop((pid, started), None) is not None and (pid, started) not in self.held:
            signals.send_to(pid, signal.SIGCONT, started)
        self.holder.release(pid, started)

    def look(self, now: Millis, processes: Collection[Process], logind: Logind | None) -> None:
        """What nobody knows any more (its account is not watched now) must neither stand still for ever nor run free."""
        seated = None
        if logind is not None and logind.present:
            uids = {login.uid for login in logind.logins.values() if login.is_person}
            seated = uids.__contains__
        self.holder.sweep(seated)
        self._look_at_stopped(now, processes)
        strange = self.held - {process.key for process in processes} if self.held else frozenset()
        self._strange = {key: self._strange.get(key, now) for key in strange}
        for key, since in self._strange.items():
            if now - since >= _STRANGE:
                log.warning("process %s is held, and nobody's any more; it is killed", key[0])
                self.holder.kill(*key)

    def _look_at_stopped(self, now: Millis, processes: Collection[Process]) -> None:
        """What was stopped for the gate and not seen under the name that was asked about must not stand still for ever."""
        for key, (path, since) in list(self._stopped.items()):
            stat = procfs.stat(key[0])
            if stat is None or stat.started != key[1] or key in self.held:
                del self._stopped[key]
            elif since is None:
                self._stopped[key] = (path, now)
            elif now - since >= _UNSEEN and self._decide is not None:
                del self._stopped[key]
                for process in processes:
                    if process.key == key:
                        self._decide_again(process, self._decide(process))

    def _decide_again(self, process: Process, answer: Start) -> None:
        number = self.obey(process, answer)
        if number is None and answer is not Start.HOLD:
            number = signal.SIGCONT
        if number is not None:
            signals.send_to(process.pid, number, process.started)
