"""The browsers' lane: each child's rules in the folders where browsers look for them, readable for that child.

The folders are the machine's, and a browser reads what its user may read: files of one child's rules are closed to every
other account by ACL (``acl``), so that a guardian's browser is free while whoever is nobody we know is not.  Chromium's
family merges the files of a folder, the last by name first, so each child has a file of its own.  Firefox reads one file:
its folder is closed to everybody else, and what is in it holds for every child (``filter.firefox``).

Looked at every two seconds by lstat(2), read every minute, put right from what should be there.  What other programs put
there is kept: beside ours where browsers merge, as ``.before-fairtime`` and merged into ours where they do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import MINUTE, SECOND, Millis
from agent.errors import HostError
from agent.filter import chromium, firefox
from agent.model.site import SitePlan
from agent.model.snapshot import Mended
from agent.platforms.base import Finding
from agent.platforms.linux import acl, browserplaces
from agent.platforms.linux.browserplaces import Place

LOOK_EVERY: Millis = 2 * SECOND
VERIFY_EVERY: Millis = MINUTE
FIREFOX = "policies.json"
BEFORE = ".before-fairtime"
"""What another program left where only one file is read; the installation script puts it back."""
ASIDE = ".in-the-way"
OURS = "zz-fairtime-"
"""Begins the names of our files for Chromium's family: of two files that set the same thing the last by name wins."""
MARK = "fairtime"
"""A key that no browser reads, by which our ``policies.json`` is known."""
WRITTEN = 946_684_800
"""The time of change of all our files, in seconds since the epoch: always the same.  Chromium waits five seconds after a change
of the newest time in its folder, for whoever writes in pieces (async_policy_loader.cc, kSettleInterval); ours come whole, and a
guardian's yes is to work within two."""
ASK = "Ask for a site"
NO_EXTENSION = "Extensions are added by a guardian."
_MOST_BYTES = 1 << 20
_MOST_FILES = 200
_ADVICE = "Until then browsers go by names alone."

Print = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Audience:
    """One child's plan and the uids of the accounts that it is for."""

    plan: SitePlan
    uids: frozenset[int]
    few: Mapping[str, Collection[str]] = field(default_factory=dict)
    """``SiteLane.few``."""


class Browsers:
    """The policy folders below ``root``.  ``put`` and ``mend`` in any thread, one at a time; ``look`` on the loop.

    ``people`` tells the uids of the accounts that people log in with; ``owner`` is root but in tests.
    """

    def __init__(
        self, people: Callable[[], Collection[int]], root: Path = Path("/"), owner: tuple[int, int] = (0, 0)
    ) -> None:
        self._people = people
        self._root = root
        self._owner = owner
        self._lock = threading.Lock()
        self._audiences: tuple[Audience, ...] = ()
        self._prints: dict[Path, Print] = {}
        self._looked: Millis | None = None
        self._verified: Millis = 0
        self._mended: list[Mended] = []
        self._known: frozenset[int] = frozenset()
        self._settled = False
        """Whether what is there is what ``put`` wanted, so that a difference is somebody else's doing."""
        self.troubles: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """What is missing for browsers to keep rules; empty when nothing is."""
        if os.geteuid() != self._owner[0]:
            return "Only root may write browsers' rules, and the service does not run as root."
        return " ".join(self.troubles)

    def put(self, audiences: Collection[Audience]) -> None:
        """Make these the rules, at once.  ``HostError`` when some could not be written; the others are."""
        with self._lock:
            self._audiences = tuple(audiences)
            self._settled = False
            self._work()
            if self.troubles:
                raise HostError(self.troubles[0], _ADVICE)

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Some lstat(2), at most once in two seconds."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        if not self._audiences:
            return False
        if now - self._verified >= VERIFY_EVERY:
            self._verified = now
            return True
        return any(_print(path) != known for path, known in self._prints.items())

    def mend(self, now: Millis) -> None:
        """Compare what is there with what should be, and put it right.  Milliseconds."""
        del now
        with self._lock:
            if self._audiences:
                self._work()

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        found, self._mended = tuple(self._mended), []
        return found

    def findings(self) -> Iterator[Finding]:
        """Browsers that take no rules, and other programs' files that weaken ours."""
        if not self._audiences:
            return
        for name, program in browserplaces.uncovered(self._root):
            rule = f'path = "{program}"' if program.startswith("/") else f'package = "{program}"'
            yield Finding(
                "browser-uncovered", "weak", f"{name} takes no rules for sites",
                f"Names are filtered in it, bare addresses are not. Block it in the children's programs: {{ {rule}, "
                'action = "block" }',
                program=program,
            )  # fmt: skip
        for place in browserplaces.present(self._root):
            yield from self._foreign(place)

    # ---- putting right -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Everything, everywhere; what cannot be done is in ``troubles``."""
        present = browserplaces.present(self._root)
        people = frozenset(self._people())
        self._settled = self._settled and people == self._known
        self._known = people
        watched: list[Path] = [self._root / "etc/passwd"]
        watched += (self._root / sign for place in browserplaces.PLACES for sign in place.signs)
        troubles = []
        for place in present:
            try:
                watched += self._folders(place) if self._audiences else ()
                watched += self._firefox(place, people) if place.kind == "firefox" else self._chromium(place, people)
            except OSError as error:
                why = error.strerror or str(error)
                text = f"The rules for {place.name} in /{place.folder} cannot be written: {why}."
                troubles.append(text)
                watched.append(self._root / place.folder)
                if self._settled and text not in self.troubles:
                    self._mended.append(Mended(path=f"/{place.folder}", what="changed", why=why))
        self._prints = {path: _print(path) for path in watched}
        self.troubles = tuple(troubles)
        self._settled = not troubles

    def _chromium(self, place: Place, people: frozenset[int]) -> Iterator[Path]:
        """A file for each child, and none for whoever is not there any more."""
        folder = self._root / place.folder
        if not folder.is_dir():
            return
        yield folder
        wanted = {}
        for audience in self._audiences:
            rules = chromium.policy(audience.plan, audience.few, _brand(place), ASK)
            name = f"{OURS}{min(audience.uids, default=0)}.json"
            wanted[name] = (_text(rules), acl.denying(0o644, people - audience.uids))
        for name in sorted(entry.name for entry in os.scandir(folder) if entry.name.strip(".").startswith(OURS)):
            if name not in wanted:
                (folder / name).unlink()
        for name, (data, closed) in wanted.items():
            self._file(folder / name, data, closed)
            yield folder / name

    def _firefox(self, place: Place, people: frozenset[int]) -> Iterator[Path]:
        """One file, closed to those whom no rules are for by way of its folder: then Firefox finds nothing amiss."""
        folder = self._root / place.folder
        path, before = folder / FIREFOX, folder / (FIREFOX + BEFORE)
        if not folder.is_dir():
            return
        if not self._audiences:
            if _is_ours(path):
                path.unlink()
                acl.write(folder, b"")
                if before.exists():
                    before.rename(path)
            return
        if os.path.lexists(path) and not _is_ours(path):
            path.replace(before)
            self._told(path, "replaced")
        rules = firefox.policy([one.plan for one in self._audiences], _together(self._audiences), ASK, NO_EXTENSION)
        self._file(path, _text({"policies": firefox.merged(_policies(before) or {}, rules), MARK: True}), b"")
        mine = frozenset[int]().union(*(audience.uids for audience in self._audiences))
        closed = acl.denying(0o755, people - mine)
        if acl.read(folder) != closed:
            self._told(folder, "given other rights")
            acl.write(folder, closed)
        yield from (folder, path)

    def _folders(self, place: Place) -> list[Path]:
        """Make the way to a folder safe: real folders of root's that nobody else may write.  The folder above is the system's."""
        found, at = [], self._root
        for name in Path(place.folder).parts:
            at = at / name
            system = at.relative_to(self._root).as_posix() in ("etc", "etc/opt", "var", "var/lib")
            info = _lstat(at)
            if info is not None and not stat.S_ISDIR(info.st_mode):
                if system:
                    raise NotADirectoryError(20, f"/{at.relative_to(self._root)} is no folder")
                _set_aside(at, at.with_name(at.name + ASIDE))
                self._told(at, "replaced")
                info = None
            if info is None:
                at.mkdir(0o755)
                os.chown(at, *self._owner)
                at.chmod(0o755)  # the service's mask would close it
            elif not system and ((info.st_uid, info.st_gid) != self._owner or info.st_mode & 0o022):
                os.chown(at, *self._owner)
                at.chmod(stat.S_IMODE(info.st_mode) & ~0o022 | 0o755)
                self._told(at, "given other rights")
            if not system:
                found.append(at)
        return found

    def _file(self, path: Path, data: bytes, closed: bytes) -> None:
        """A file of ours, whole or not at all, closed to some before it has its name.  It is made beside the folder, which
        browsers watch."""
        what = self._wrong(path, data, closed)
        if not what:
            return
        if path.is_dir() and not path.is_symlink():
            _set_aside(path, path.with_name(path.name + ASIDE))
        aside = path.parent.with_name(f".{path.name}.fairtime-new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchown(descriptor, *self._owner)
                os.fchmod(descriptor, 0o644)
                acl.write(descriptor, closed)
                os.utime(descriptor, (WRITTEN, WRITTEN))
                os.fsync(descriptor)
            os.replace(aside, path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        self._told(path, what)

    def _wrong(self, path: Path, data: bytes, closed: bytes) -> str:
        """What happened to a file of ours, as the end of a sentence; empty when all is well."""
        info = _lstat(path)
        if info is None:
            return "removed"
        if not stat.S_ISREG(info.st_mode):
            return "replaced"
        if (info.st_uid, info.st_gid) != self._owner or stat.S_IMODE(info.st_mode) != 0o644 or acl.read(path) != closed:
            return "given other rights"
        return "" if _read(path) == data else "changed"

    def _told(self, path: Path, what: str) -> None:
        if self._settled:
            self._mended.append(Mended(path=f"/{path.relative_to(self._root)}", what=what))

    # ---- what others left there ----------------------------------------------------------------------------------

    def _foreign(self, place: Place) -> Iterator[Finding]:
        folder = self._root / place.folder
        if place.kind == "firefox":
            before = folder / (FIREFOX + BEFORE)
            if before.exists() and _policies(before) is None:
                yield Finding(
                    "browser-policy-malformed", "note", f"Another program left rules that {place.name} cannot read",
                    f"Fairtime's are used instead. Mend or remove /{before.relative_to(self._root)}.",
                )  # fmt: skip
            return
        keys = chromium.policy(SitePlan(child=""), brand=_brand(place), ask=ASK).keys()
        for path in sorted(folder.glob("*"))[:_MOST_FILES]:
            if path.name.startswith(OURS):
                continue
            shown = f"/{path.relative_to(self._root)}"
            info = _lstat(path)
            if info is not None and (info.st_uid != self._owner[0] or info.st_mode & 0o022):
                yield Finding(
                    "browser-policy-writable", "open", f"{shown}, which {place.name} obeys, may be changed by others than root",
                    f"Take the right away: sudo chown root: {shown}; sudo chmod go-w {shown}",
                )  # fmt: skip
            theirs = _object(path)
            if theirs is None:
                yield Finding(
                    "browser-policy-malformed", "note", f"{place.name} cannot read the rules in {shown}",
                    "Another program left them. Mend or remove the file.",
                )  # fmt: skip
            elif both := sorted(keys & theirs.keys()):
                # The last by name wins.
                severity = "weak" if path.name > OURS else "note"
                yield Finding(
                    "browser-policy-twice", severity, f"{shown} sets {', '.join(both)} for {place.name}, as Fairtime does",
                    "Take these out of that file: which of the two a browser obeys depends on the names of the files.",
                )  # fmt: skip


def _together(audiences: Collection[Audience]) -> dict[str, Collection[str]]:
    """The groups that are known for one of them; a group has the same names for all."""
    return {group: names for one in audiences for group, names in one.few.items()}


def _brand(place: Place) -> chromium.Brand:
    return "chromium" if place.kind == "firefox" else place.kind


def _text(rules: object) -> bytes:
    return json.dumps(rules, ensure_ascii=False, indent=1).encode()


def _is_ours(path: Path) -> bool:
    found = _object(path)
    return found is not None and found.get(MARK) is True


def _policies(path: Path) -> dict[str, object] | None:
    """What another program's ``policies.json`` says; ``None`` when there is none, or it makes no sense."""
    found = (_object(path) or {}).get("policies")
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else None


def _object(path: Path) -> dict[str, object] | None:
    """The JSON object in a file; ``None`` when there is none."""
    try:
        found = json.loads(_read(path))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _set_aside(path: Path, name: Path) -> None:
    """Keep what lies in the way; what was kept before goes on with a number."""
    for number in range(1, 10):
        if not os.path.lexists(name):
            break
        name = name.with_name(f"{path.name}{ASIDE}-{number}")
    path.rename(name)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MOST_BYTES + 1)


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _print(path: Path) -> Print:
    """What changes when a file does: stat(2)'s ctime cannot be set back without the clock."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode, info.st_uid, info.st_gid)
