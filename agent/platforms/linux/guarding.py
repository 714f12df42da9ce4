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

import asyncio
import contextlib
import hashlib
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import MINUTE, SECOND, Millis
from agent.model.snapshot import Mended
from agent.platforms.linux import sharedlines
from agent.platforms.linux.ownlist import LIST, OWN, SPARE, Own, OwnList, UnreadableList, load

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
_MOST_BYTES = 64 << 20

Print = tuple[int, ...]


class Keeper(Protocol):
    """Something that stays as it should be: ``look`` on the loop, ``mend`` in a thread, in turn."""

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Cheap."""

    def mend(self, now: Millis) -> None:
        """Put right what is not as it should be."""

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """What cannot be kept or put right, in words for a guardian."""


class Tending:
    """A keeper and the thread that it mends in, for a host on an event loop.  Without a keeper it does nothing."""

    def __init__(self, guard: Keeper | None) -> None:
        self._guard = guard
        self._job: asyncio.Future[None] | None = None
        self._troubles: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        return self._guard is not None

    def tend(self, now: Millis) -> None:
        """Look, and have mended what needs it.  What went wrong in the thread is raised here: it is a bug."""
        if self._guard is None:
            return
        if self._job is not None:
            if not self._job.done():
                return
            job, self._job = self._job, None
            job.result()
        if self._guard.look(now):
            self._job = asyncio.get_running_loop().run_in_executor(None, self._guard.mend, now)

    def take(self) -> tuple[Mended, ...]:
        """As the guard's, once its thread has ended."""
        return () if self._guard is None or self._job is not None else self._guard.take()

    def troubles(self) -> tuple[str, ...]:
        """As the guard's; while its thread runs, as before."""
        if self._guard is not None and self._job is None:
            self._troubles = self._guard.troubles
        return self._troubles

    async def close(self) -> None:
        """Wait for the thread."""
        if self._job is not None:
            job, self._job = self._job, None
            await job


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
        self._root = root
        self._base = str(root).rstrip("/")
        self._owner = owner
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
            what = self._wrong(own)
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
            self._restore(own)
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

    def _wrong(self, own: Own) -> str:
        """What happened to it, as the end of a sentence; empty when all is well."""
        path = self._at(own.path)
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return "removed"
        if own.target:
            return "" if stat.S_ISLNK(info.st_mode) and os.readlink(path) == own.target else "replaced"
        if not stat.S_ISREG(info.st_mode):
            return "replaced"
        if own.shared:
            return "" if sharedlines.within(_read(path), self._spare(own)) else "freed of Fairtime's lines"
        if (info.st_uid, info.st_gid) != self._owner or stat.S_IMODE(info.st_mode) != own.mode:
            return "given other rights"
        return "" if _hash(path) == own.sha256 else "changed"

    def _restore(self, own: Own) -> None:
        """Put the spare copy in place, whole or not at all; ``OSError`` when that cannot be."""
        path = self._at(own.path)
        if own.shared:
            self._share(own, path)
            return
        for folder in [f for f in reversed(path.parents) if not f.exists()]:
            folder.mkdir()
            folder.chmod(0o755)  # the service's mask would close it
        aside = path.with_name(f".{path.name}.fairtime-new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f"{path.name}.in-the-way"))
        if own.target:
            aside.symlink_to(own.target)
        else:
            data = self._spare(own)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchown(descriptor, *self._owner)
                os.fchmod(descriptor, own.mode)
                # Python compares a module's time with that of its compiled form.
                os.utime(descriptor, (own.mtime, own.mtime))
                os.fsync(descriptor)
        os.replace(aside, path)

    def _share(self, own: Own, path: Path) -> None:
        """Put our lines back where they were; ``OSError`` where that place cannot be told."""
        was = path.lstat()
        text = sharedlines.put_back(_read(path), self._spare(own)) if stat.S_ISREG(was.st_mode) else None
        if text is None:
            raise OSError("the place of its lines is not to be found; run: sudo pam-auth-update")
        aside = path.with_name(f".{path.name}.fairtime-new")
        aside.write_bytes(text)
        os.chown(aside, was.st_uid, was.st_gid)
        aside.chmod(stat.S_IMODE(was.st_mode))
        os.replace(aside, path)

    def _spare(self, own: Own) -> bytes:
        place = self._own / SPARE / own.path.lstrip("/")
        with place.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if hashlib.sha256(data).hexdigest() != own.sha256:
            raise OSError("its spare copy is damaged, too; install Fairtime again")
        return data

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")


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


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
