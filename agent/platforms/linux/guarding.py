"""Own files stay as they were installed: seen within seconds, verified by content every minute, put right from a spare copy.

Only root can change them, so what this catches is a package manager, a tool that tidies up, a careless administrator, or a
child who has become root for a moment.  It is no fence against a root that means it, and says so (docs/limits.md).

``look`` is cheap and runs with the service's own wake-ups: some hundred lstat(2), no inotify, whose watches a child could
use up.  The few files that are not the program's (units, rules, profiles) are looked at each time; the program's folders
each time for what was removed or replaced, and its files in turn, all of them within a minute.  What looks different is
read and mended by ``mend``, which takes milliseconds and runs in a thread.

A running installation script has set the list aside; without a list nothing is mended.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import MINUTE, SECOND, Millis
from agent.model.snapshot import Mended
from agent.platforms.linux.ownlist import LIST, OWN, Own, OwnList, UnreadableList, load
from agent.platforms.linux.repairing import Repair

LOOK_EVERY: Millis = 3 * SECOND
OURS = "/agent/"
SHARE = 64
"""Of the program's other folders, so many are looked at each time for what is gone; a bundle has about a hundred."""
VERIFY_EVERY: Millis = MINUTE
"""Every own file is looked at within this, and the few are read."""
PATIENCE: Millis = 2 * MINUTE
"""An installation may keep the list aside for this long before its absence is told."""
OFTEN = 5
"""So many repairs of one file within ``_AN_HOUR``, and it is mended once a minute: somebody else writes it, too."""
_AN_HOUR: Millis = 60 * MINUTE

Print = tuple[int, ...]


@dataclass(slots=True)
class _Care:
    """Repairs of one file: when they were, and what stands in the way."""

    times: list[Millis] = field(default_factory=list)
    not_before: Millis = 0
    trouble: str = ""


class Guard:
    """Watches the files that ``own/manifest`` lists, below ``root``.  ``look`` on one thread, ``mend`` on another, in turn."""

    def __init__(self, own: Path = OWN, root: Path = Path("/"), owner: tuple[int, int] = (0, 0)) -> None:
        self._own = own
        self._base = str(root).rstrip("/")
        self._repair = Repair(own, root, owner)
        self._list: OwnList | None = None
        self._list_print: Print | None = None
        self._missing_since: Millis | None = None
        self._why = ""
        self._few: dict[str, Print | None] = {}
        self._folders: dict[str, tuple[Print | None, int | None]] = {}
        self._nearest: list[str] = []
        self._around: list[str] = []
        self._turn: list[str] = []
        self._suspects: dict[str, None] = {}
        self._looked: Millis | None = None
        self._read: Millis = 0
        self._care: dict[str, _Care] = {}
        self._mended: list[Mended] = []

    @property
    def troubles(self) -> tuple[str, ...]:
        """What cannot be guarded or put right, in words for a guardian."""
        stuck = sorted(care.trouble for care in self._care.values() if care.trouble)
        more = [f"{len(stuck) - 3} more of Fairtime's files cannot be put right."] if len(stuck) > 3 else []
        return (*((self._why,) if self._why else ()), *stuck[:3], *more)

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        found, self._mended = tuple(self._mended), []
        return found

    # ---- looking -------------------------------------------------------------------------------------------------

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Microseconds, at most once in three seconds."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        passed = VERIFY_EVERY if self._looked is None else now - self._looked
        self._looked = now
        if not self._load(now) or self._list is None:
            return False
        if now - self._read >= VERIFY_EVERY:
            self._read = now
            self._suspects.update(dict.fromkeys(self._few))
        for path, known in self._few.items():
            if _print(self._base + path) != known:
                self._suspects[path] = None
        for folder in self._some_folders():
            if _print(self._base + folder) != self._folders[folder][0]:
                self._suspects[folder] = None
        for folder in self._next(passed):
            _, inside = self._folders[folder]
            if inside is None or _inside(self._base + folder) != inside:
                self._suspects[folder] = None
        for path, care in self._care.items():
            if care.trouble and care.not_before <= now:
                self._suspects[path if path in self._few else path.rpartition("/")[0]] = None
        for path in [p for p in self._suspects if (one := self._care.get(p)) and one.not_before > now]:
            del self._suspects[path]
        return bool(self._suspects)

    def _load(self, now: Millis) -> bool:
        """Whether the list is known; read again when it is another one."""
        place = self._own / LIST
        found = _print(str(place))
        if found is None:
            self._list, self._list_print = None, None
            if self._missing_since is None:
                self._missing_since = now
            if now - self._missing_since >= PATIENCE:
                self._why = (
                    "Fairtime's own files are not guarded, because the list of them is missing. Install Fairtime again."
                )
            return False
        self._missing_since = None
        if found == self._list_print:
            return True
        self._list_print = found
        self._care.clear()
        try:
            self._list = load(place)
        except (OSError, UnreadableList) as error:
            self._list = None
            self._why = f"Fairtime's own files are not guarded, because the list of them is not usable: {error}."
            return True
        self._why = ""
        self._few = dict.fromkeys(own.path for own in self._list.few)
        # Not read yet: that happens in turn; but what goes from now on is seen.
        self._folders = {folder: (_print(self._base + folder), None) for folder in self._list.folders}
        self._nearest = [folder for folder in self._list.folders if OURS in f"{folder}/"]
        self._turn, self._around = [], []
        self._suspects = {}
        self._read = now - VERIFY_EVERY
        return True

    def _some_folders(self) -> list[str]:
        """Our own code's folders each time, the others' a share at a time: a virtual environment has hundreds."""
        if not self._around:
            self._around = [folder for folder in self._folders if OURS not in f"{folder}/"]
        due, self._around = self._around[:SHARE], self._around[SHARE:]
        return [*self._nearest, *due]

    def _next(self, passed: Millis) -> list[str]:
        """The program's folders whose turn it is, so that all of them have theirs within a minute."""
        if not self._turn:
            self._turn = list(self._folders)
        if passed >= VERIFY_EVERY:
            passed = LOOK_EVERY  # the first look, and the one after sleep, take no longer than others
        share = -(-len(self._folders) * passed // VERIFY_EVERY)
        due, self._turn = self._turn[:share], self._turn[share:]
        return due

    # ---- mending -------------------------------------------------------------------------------------------------

    def mend(self, now: Millis) -> None:
        """Read what looked different and put it right.  Milliseconds for a file; off the service's own thread."""
        wanted, self._suspects = self._suspects, {}
        listed = self._list
        if listed is None:
            return
        # The print is of before the reading: what changes meanwhile looks different next time.
        for own in listed.few:
            if own.path in wanted:
                before = _print(self._base + own.path)
                self._few[own.path] = before if self._one(own, now) else _print(self._base + own.path)
        folders = [name for name in wanted if name in self._folders]
        try:
            within = listed.within(folders)
        except (OSError, UnreadableList):
            return  # the list is being exchanged; the next look reads it
        for folder in folders:
            prints = (_print(self._base + folder), _inside(self._base + folder))
            done = [self._one(own, now) for own in within[folder]]
            self._folders[folder] = prints if all(done) else (prints[0], None)

    def _one(self, own: Own, now: Millis) -> bool:
        """Whether a file was as it must be; if not, it is put right."""
        care = self._care.get(own.path)
        if care is not None and care.not_before > now:
            return False
        try:
            what = self._repair.wrong(own)
        except OSError as error:  # its spare copy: nothing to compare with, nothing to put back
            told = f"{own.path} cannot be checked: {error.strerror or error}."
            self._care.setdefault(own.path, _Care()).trouble = told
            return False
        if not what:
            if care is not None:
                care.trouble = ""
            return True
        care = self._care.setdefault(own.path, _Care())
        try:
            self._repair.restore(own)
        except OSError as error:
            words = f"{own.path} was {what} and cannot be put right: {error.strerror or error}."
            if care.trouble != words:
                self._mended.append(Mended(path=own.path, what=what, why=error.strerror or str(error)))
            care.trouble, care.not_before = words, now + VERIFY_EVERY
            return False
        care.times = [at for at in care.times if now - at < _AN_HOUR] + [now]
        care.trouble = ""
        if len(care.times) >= OFTEN:
            care.not_before = now + VERIFY_EVERY
            care.trouble = f"{own.path} is changed again and again by some other program."
        self._mended.append(Mended(path=own.path, what=what))
        return False


def _print(path: str) -> Print | None:
    """What changes when a file does: stat(2)'s ctime cannot be set back without the clock."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode, info.st_uid, info.st_gid)


def _inside(folder: str) -> int:
    """A print of every file directly in a folder."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(info.st_mode):
                    found.append(
                        (entry.name, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode)
                    )
    except OSError:
        return 0
    return hash(tuple(sorted(found)))
