"""The loop that answers the kernel: events in, verdicts out.

Somebody's ``exec`` waits while this runs, perhaps that of the logger or of the service itself.  So there is no logging, no
look-up of names, no import and no opening of files here, and nothing waits but ``epoll``.  What a file is, only the service
knows; its answer is waited for ``PATIENCE`` seconds, and then the class's default holds.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from _collections_abc import Callable  # collections.abc, without the half megabyte around it
from time import monotonic

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.gate is for Linux")

import _socket

from agent.gate import fanotify, wire
from agent.gate.table import Key, Table

PATIENCE = 2.0
"""Seconds that an ``exec`` waits for the service at most."""
ALONE = 10.0
"""Seconds that the gate goes on answering after the service died: long enough to bridge its restart."""
STALLED = 3
"""Seconds that one turn of the loop may take before the kernel ends this process (and allows what waits)."""
OUTSTANDING = 96
"""Questions of one class that may wait; a flood beyond them gets the default at once."""
OUTSTANDING_IN_ALL = 384
"""Each holds a file open, and every new event needs a free descriptor too."""

_MSG_NOSIGNAL_DONTWAIT = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT


class Decider:
    """Answers the events of ``group``, asks and tells through ``service``.  ``run`` returns when the gate shall end."""

    def __init__(
        self,
        group: int,
        service: _socket.socket,
        table: Table,
        *,
        tell: bool = True,
        switch: Callable[[int], None] = fanotify.alarm,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._group = group
        self._service = service
        self._table = table
        self._switch = switch
        self._clock = clock
        self._number = 0
        self._asked: dict[int, tuple[int, Key, float]] = {}
        """Number of the question → descriptor of the event, key, when to stop waiting; the oldest first."""
        self._waiting: dict[int, int] = {}
        self._tell = tell
        self._told: list[tuple[int, int]] = []
        self._told_lost = False
        self._until: float | None = None
        self._ended = False
        self.overflows = 0
        self.guessed = 0
        self.lost = 0

    @property
    def alone(self) -> bool:
        """The service is gone."""
        return self._until is not None

    # ---- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer until the service says stop, or ``ALONE`` seconds after it is gone."""
        poll = select.epoll()
        poll.register(self._group, select.EPOLLIN)
        poll.register(self._service.fileno(), select.EPOLLIN)
        while not self._ended:
            self._switch(0)
            ready = poll.poll(self._rest())
            # A dead man's switch in the kernel's hands: a turn that does not end, ends the process.
            self._switch(STALLED)
            for fd, _ in ready:
                if fd == self._group:
                    self.read_events()
                elif not self.hear():
                    poll.unregister(fd)
            self.give_up_waiting()
            self.tell()
        self._switch(0)

    def _rest(self) -> float | None:
        """Seconds until something is due without an event."""
        due = self._until
        if self._asked:
            first = next(iter(self._asked.values()))[2]
            due = first if due is None else min(due, first)
        return None if due is None else max(0.0, due - self._clock()) + 0.001

    # ---- events --------------------------------------------------------------------------------------------------

    def read_events(self) -> None:
        """Answer what has come, one buffer of it."""
        try:
            data = os.read(self._group, fanotify.READ)
        except OSError as error:
            # EAGAIN: the process that asked was killed meanwhile.  ENFILE and the like: the kernel has refused that one
            # event itself (copy_event_to_user) and goes on with the next.
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            self.guessed += 1
            return
        for mask, fd, pid in fanotify.events(data):
            if fd >= 0:
                self._decide(fd, pid)
            if mask & fanotify.Q_OVERFLOW:
                self.overflows += 1
                self._told_lost = True

    def _decide(self, fd: int, pid: int) -> None:
        if pid == 0:
            # Of no process that can be named here: it lives outside of this container.
            self._answer(fd, fanotify.ALLOW)
            return
        try:
            # The owner of the folder is the effective uid, also of programs that may not be dumped (procfs.owner).
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            # Killed while it waited; if it were not, it must not slip through.
            self._answer(fd, fanotify.DENY)
            return
        klass = self._table.class_of(uid)
        if klass is None:
            self._answer(fd, fanotify.ALLOW)
            return
        found = os.fstat(fd)
        key = (found.st_dev, found.st_ino, found.st_ctime_ns, klass)
        if self._table.settled(key):
            self._answer(fd, fanotify.ALLOW)
            self._started(pid, fanotify.ALLOW)
        elif not self._ask(fd, pid, uid, key):
            self._guess(fd, klass)
            self._started(pid, self._table.defaults[klass])

    def _answer(self, fd: int, verdict: int) -> None:
        self._reply(fd, verdict)
        os.close(fd)

    def _reply(self, fd: int, verdict: int) -> None:
        try:
            os.write(self._group, fanotify.answer(fd, verdict))
        except FileNotFoundError:
            pass  # the process that asked was killed while it waited

    def _guess(self, fd: int, klass: int) -> None:
        self.guessed += 1
        self._answer(fd, self._table.defaults.get(klass, fanotify.DENY))

    # ---- questions -----------------------------------------------------------------------------------------------

    def _ask(self, fd: int, pid: int, uid: int, key: Key) -> bool:
        klass = key[3]
        waiting = self._waiting.get(klass, 0)
        if self.alone or waiting >= OUTSTANDING or len(self._asked) >= OUTSTANDING_IN_ALL:
            return False
        self._number = (self._number + 1) & 0xFFFFFFFF
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
        try:
            self._service.sendmsg([wire.question(self._number, pid, uid, klass)], rights, _MSG_NOSIGNAL_DONTWAIT)
        except OSError:
            return False  # its queue is full, or it has just died
        self._asked[self._number] = (fd, key, self._clock() + PATIENCE)
        self._waiting[klass] = waiting + 1
        return True

    def _close_question(self, number: int) -> tuple[int, Key] | None:
        found = self._asked.pop(number, None)
        if found is None:
            return None
        fd, key, _ = found
        self._waiting[key[3]] -= 1
        return fd, key

    def give_up_waiting(self) -> None:
        """Answer the default for what was not answered in time, and end when the service stays away."""
        now = self._clock()
        for number, (_, _, until) in list(self._asked.items()):
            if until > now:
                break
            found = self._close_question(number)
            if found is not None:
                self._guess(found[0], found[1][3])
        if self._until is not None and now >= self._until:
            self._ended = True

    # ---- the service ---------------------------------------------------------------------------------------------

    def hear(self) -> bool:
        """Do what the service says; False when it is gone."""
        for _ in range(OUTSTANDING_IN_ALL):
            try:
                data = self._service.recv(wire.LARGEST, _MSG_NOSIGNAL_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            if not data:
                self._bereaved()
                return False
            try:
                self._obey(data)
            except wire.Malformed:
                # Never seen from a service of ours; what is not understood changes nothing, and nothing is allowed by it.
                continue
        return True

    def _obey(self, data: bytes) -> None:
        kind = wire.kind(data)
        if kind == wire.ANSWER:
            number, verdict, holds = wire.read_answer(data)
            found = self._close_question(number)
            if found is not None:
                self._settle(*found, verdict, holds)
        elif kind == wire.FLUSH:
            self.flush()
        elif kind == wire.CLASSES:
            rows, self._tell = wire.read_classes(data)
            self.flush()
            self._table.classify(rows)
        elif kind == wire.PING:
            pong = wire.pong(wire.read_ping(data), self.overflows, self.guessed, self.lost)
            try:
                self._service.send(pong, _MSG_NOSIGNAL_DONTWAIT)
            except OSError:
                self.lost += 1
        elif kind == wire.STOP:
            self._ended = True

    def _settle(self, fd: int, key: Key, verdict: int, holds: int) -> None:
        self._reply(fd, verdict)
        if verdict == fanotify.ALLOW:
            if holds == wire.FOR_GOOD:
                # What every child may always run, the kernel need not ask about at all, whoever starts it.
                if self._table.settle_for_good(key):
                    self.ignore(fd, key)
            elif holds == wire.SETTLED:
                self._table.settle(key)
        os.close(fd)

    def ignore(self, fd: int, key: Key) -> None:
        """Have the kernel let everybody start the open file ``fd``, if it is still what ``key`` says."""
        if fanotify.ignore(self._group, fd):
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino, found.st_ctime_ns) != key[:3]:
                fanotify.heed(self._group, fd)

    def flush(self) -> None:
        """Everything is a question again."""
        fanotify.heed_all(self._group)
        self._table.flush()

    def _bereaved(self) -> None:
        """The service died: nobody will answer, so what waits gets the default; the table holds until it is back."""
        self._until = self._clock() + ALONE
        for number in list(self._asked):
            found = self._close_question(number)
            if found is not None:
                self._guess(found[0], found[1][3])

    # ---- afterwards ----------------------------------------------------------------------------------------------

    def _started(self, pid: int, verdict: int) -> None:
        """Keep for ``tell``; a program and its loader are one start."""
        if not self._tell:
            return
        if self._told and self._told[-1] == (pid, verdict):
            return
        if len(self._told) < wire.MOST_TOLD:
            self._told.append((pid, verdict))
        else:
            self._told_lost = True

    def tell(self) -> None:
        """Tell the service what started, after all answers are given."""
        if not (self._told or self._told_lost):
            return
        if not self.alone:
            try:
                self._service.send(wire.told(self._told, lost=self._told_lost), _MSG_NOSIGNAL_DONTWAIT)
            except OSError:
                # It reads too slowly: keep it short, and have it look at everything once it reads again.
                self.lost += 1
                self._told = []
                self._told_lost = True
                return
        self._told = []
        self._told_lost = False
