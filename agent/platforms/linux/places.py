"""Where a child's programs run, by their control group: in a session of its own, in somebody else's, or in none.

systemd puts what a login starts into ``user-UID.slice/session-ID.scope`` and an account's services below
``user@UID.service``; a program cannot leave either without rights it has not.  ``su`` makes no session where there is one
already (pam_systemd(8)), so what it starts stays in the session it was called from; jobs of cron and at run in those
services' own groups.
"""

from __future__ import annotations

import pwd
import re
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.model.program import Process
from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Owners

_SLICE = re.compile(r"/user-(\d+)\.slice(?:/|$)")
_SESSION = re.compile(r"/session-([^/]+)\.scope(?:/|$)")
_MANAGER = re.compile(r"/user@\d+\.service(?:/|$)")
_CONTAINERS = ("/machine.slice/", "/docker-", "/docker/", "/libpod-", "/lxc")
"""Groups of containers that only root starts: a uid in there is another world's, though the number be a child's."""
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True, slots=True)
class Place:
    """``uid``: whose slice it is in (``None``: no account's); ``session``: which session's scope; ``manager``: below the
    account's service manager."""

    uid: int | None = None
    session: str = ""
    manager: bool = False
    container: bool = False


@dataclass(frozen=True, slots=True)
class Stray:
    """A program outside its account's sessions and services.  ``within`` names the account whose session it is in;
    ``gathered``: it was moved into its account's own slice."""

    process: Process
    within: str = ""
    gathered: bool = False


def place_of(path: str) -> Place:
    """The place that a cgroup path tells."""
    slice_, session = _SLICE.search(path), _SESSION.search(path)
    return Place(
        uid=int(slice_[1]) if slice_ else None,
        session=session[1] if session else "",
        manager=_MANAGER.search(path) is not None,
        container=not slice_ and any(mark in path for mark in _CONTAINERS),
    )


class Places:
    """Remembers where each process is; what lies in its own account's session or services stays there."""

    def __init__(self, cgroup: Callable[[int], str] = procfs.cgroup) -> None:
        self._cgroup = cgroup
        self._known: dict[tuple[int, int], Place] = {}
        self._seen: tuple[Process, ...] | None = None
        self._loose: list[tuple[Process, Place]] = []
        self._before: set[tuple[int, int]] = set()
        """Loose already at the last look: a login moves its first program a moment after it started."""

    def look(self, processes: tuple[Process, ...], owners: Owners) -> None:
        """Take note of where these are now."""
        if processes is self._seen and not self._loose:
            return
        before = {process.key for process, _ in self._loose}
        loose, known = [], {}
        for process in processes:
            person = owners.people.get(process.account)
            if person is None:
                continue
            place = self._known.get(process.key)
            if place is None or not _settled(place, person.uid):
                place = place_of(self._cgroup(process.pid))
            known[process.key] = place
            if not _settled(place, person.uid) and not place.container:
                loose.append((process, place))
        self._seen, self._known, self._loose, self._before = processes, known, loose, before

    def strays(self, account: str, uid: int) -> list[Stray]:
        """What an account runs outside its own sessions and services, since the last look at least."""
        found = []
        for process, place in self._loose:
            if process.account == account and process.key in self._before:
                within = _name(place.uid) if place.uid is not None and place.uid != uid else ""
                found.append(Stray(process, within, gathered=place.uid == uid))
        return found

    def leftovers(self, account: str, uid: int, sessions: Container[str]) -> bool:
        """Whether the account runs anything outside ``sessions``, its living ones, and outside other accounts' slices."""
        for process in self._seen or ():
            place = self._known.get(process.key) if process.account == account else None
            if place is not None and not place.container and place.uid in (None, uid) and place.session not in sessions:
                return True
        return False


def _settled(place: Place, uid: int) -> bool:
    return place.uid == uid and (bool(place.session) or place.manager)


def on_screen(process: Process) -> bool:
    """Whether somebody can see a program that is in no session: it has a terminal, or was given a display."""
    stat = procfs.stat(process.pid)
    return (stat is not None and stat.tty != 0) or bool(procfs.environ(process.pid, *_DISPLAYS))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
