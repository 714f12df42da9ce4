"""A process and everything it started, sent signals without ever hitting a stranger.

psutil looks at a pid's start before it sends a signal; macOS has no handle that would make the two one act, so a pid that is
used again within those microseconds could be hit.  A member is taken only if it belongs to the account of the tree's root.
"""

from __future__ import annotations

import os
import signal
import sys

import psutil

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos sends POSIX signals")

from agent.errors import HostError
from agent.platforms.macos.processes import GONE

_ROUNDS = 20
"""How often a dying tree is read again for members that were forked meanwhile."""


class Tree:
    """``uid`` is the account whose processes may be members."""

    def __init__(self, root: psutil.Process, uid: int) -> None:
        self._uid = uid
        self._members: dict[int, psutil.Process] = {root.pid: root}

    def collect(self) -> int:
        """Add every present descendant; how many members are new."""
        before = len(self._members)
        parents: dict[int, list[psutil.Process]] = {}
        for one in psutil.process_iter():
            try:
                parents.setdefault(one.ppid(), []).append(one)
            except GONE:
                continue
        queue = [pid for pid, member in self._members.items() if member.is_running()]
        for pid in queue:
            for child in parents.get(pid, ()):
                if child.pid not in self._members and self._owned(child):
                    self._members[child.pid] = child
                    queue.append(child.pid)
        return len(self._members) - before

    def send(self, number: signal.Signals) -> None:
        """To every member that still is the account's; ``HostError`` without the right."""
        for pid, member in list(self._members.items()):
            try:
                if pid > 1 and pid != os.getpid() and self._owned(member):
                    member.send_signal(number)
            except GONE:
                del self._members[pid]
            except psutil.AccessDenied as error:
                raise HostError(
                    f"Fairtime may not stop process {pid}", "Run the service with the rights of the system."
                ) from error

    def still(self) -> None:
        """Stop what runs of it (SIGSTOP), and what that has started meanwhile.  Cheap while all of it stands still."""
        if self._moving():
            self.send(signal.SIGSTOP)
            while self.collect():
                self.send(signal.SIGSTOP)

    def kill(self) -> None:
        """SIGKILL to all, with everything they fork meanwhile."""
        for _ in range(_ROUNDS):
            self.send(signal.SIGSTOP)
            if not self.collect():
                break
        self.send(signal.SIGKILL)

    def alive(self) -> bool:
        """Whether any member still runs; those that do not are let go."""
        for pid, member in list(self._members.items()):
            try:
                if member.is_running() and member.status() != psutil.STATUS_ZOMBIE:
                    continue
            except GONE:
                pass
            del self._members[pid]
        return bool(self._members)

    def _moving(self) -> bool:
        for member in self._members.values():
            try:
                if member.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    return True
            except GONE:
                continue
        return False

    def _owned(self, member: psutil.Process) -> bool:
        try:
            return member.uids().real == self._uid
        except GONE:
            return False
