"""Who a running program is: file, package, and whether its account could have made it.

The kernel's link /proc/PID/exe gives a path *as the file's own mount namespace names it*.  A child can make a namespace
(``unshare -rm``) and mount a game over ``/usr/bin/chess`` there, so the path only counts when its mount is one of ours or
leads back to one of ours (``mounts``): that is also how ``/app/bin/x`` inside a Flatpak becomes the installed file.  The same
goes for the folder that an interpreter stands in and for the root that it sees.  What is not proven stays empty, and is
never ``protected``.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from msgspec.structs import replace

from agent.model.program import ProgramId
from agent.platforms.inside import interpreters
from agent.platforms.linux import appimages, procfs
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.hashes import Hashes
from agent.platforms.linux.injection import injected
from agent.platforms.linux.launchers import Launchers
from agent.platforms.linux.mounts import Mounts, Pace, Spot
from agent.platforms.linux.packages import Content, Owned, Packages
from agent.platforms.linux.permissions import follow, loads_safely, protected
from agent.platforms.linux.programfiles import Place, base_name, clean, reopen, runner_of, shebang_of, windows_file

HASH_NOW = 1 << 20
"""Files of the account's own up to this size (bytes) are hashed on the spot, under a millisecond; larger ones later."""

_DEPTH = 4
_SNAP = re.compile(r"^/(?:var/lib/snapd/)?snap/([a-z0-9][a-z0-9-]*)/[^/]+/")
_FLATPAK = re.compile(r"^(?:/var/lib/flatpak|/.+/\.local/share/flatpak)/app/([A-Za-z0-9._-]+)/")


@dataclass(slots=True)
class Identifier:
    """Knows the machine's packages, menu, mounts and hashes.  What is too large to be read on the spot goes to ``…_later``."""

    packages: Packages = field(default_factory=Packages)
    launchers: Launchers = field(default_factory=Launchers)
    hashes: Hashes = field(default_factory=Hashes)
    mounts: Mounts = field(default_factory=Mounts)
    _home: tuple[str, str] = field(
        default_factory=lambda: (procfs.namespace("self", "mnt"), procfs.namespace("self", "user"))
    )
    hash_later: Callable[[int], None] | None = None
    """Takes over a descriptor; without it large files are hashed on the spot."""
    verify_later: Callable[[int, str, Owned], None] | None = None
    """Takes over a descriptor of a packaged file, whose content is compared with its package's; likewise."""

    def running(self, pid: int, person: Person, link: str | None = None) -> ProgramId | None:
        """The program of a process; ``None`` when the process is gone, a zombie or the kernel's own."""
        if link is None:
            link = procfs.exe(pid)
        fd = procfs.open_exe(pid) if link is not None else -1
        if fd < 0:
            return None
        try:
            spot = self.mounts.spot(fd, pid)
            if spot is None:
                return None
            if spot.path.startswith("/memfd:"):
                return ProgramId(name=clean(spot.path[7:]) or "memfd")
            sure = spot.sure and self._faithful(pid, spot.path, person)
            place = Place(spot.path, sure, f"/proc/self/fd/{fd}", spot.pace, spot.gone)
            kind = interpreters.family(place.name)
            if kind:
                found = self._inside(kind, place, procfs.cmdline(pid), person, pid, _DEPTH)
            else:
                found = self._plain(pid, place, person)
            if found.protected and self._injected(pid, kind, person):
                return _unproven(found)
            return found
        finally:
            os.close(fd)

    def opened(self, fd: int, person: Person, pid: int = 0) -> ProgramId | None:
        """The program in an open file that ``person`` is about to run, for the moment before its first instruction.

        The file itself, not what an interpreter will make of it: that is known only after the start (``running``).
        ``pid`` is whoever opened it; its mount table is read only when the file's mount is not one of ours.  Nothing is
        opened by path, nothing is asked of a file system that a process or a network serves.  ``None`` when ``fd`` is no
        regular file.
        """
        spot = self.mounts.spot(fd, pid)
        if spot is None:
            return None
        if spot.path.startswith("/memfd:"):
            return ProgramId(name=clean(spot.path[7:]) or "memfd")
        if spot.pace is not Pace.NEVER and not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        place = Place(spot.path, spot.sure, fd, spot.pace, spot.gone)
        return self._finish(place, place.name, person, "", place.handle)

    def file(self, path: str, person: Person) -> ProgramId | None:
        """What ``path`` would be if ``person`` ran it; ``None`` when there is no such program."""
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            return None
        place = Place(real, True, real)
        ending = real.rpartition(".")[2].lower()
        if ending == "jar":
            return self._inside("java", runner_of("java"), ["java", "-jar", real], person, 0, _DEPTH)
        if ending in ("exe", "msi"):
            return self._inside("wine", runner_of("wine"), ["wine", real], person, 0, _DEPTH)
        if not os.access(real, os.X_OK):
            return None
        shebang = shebang_of(real)
        if shebang:
            words = [*shebang, real]
            runner = runner_of(words[0])
            kind = interpreters.family(runner.name)
            if kind == "env" and len(words) > 2:
                words = words[2 if words[1] == "-S" else 1 :]
                runner = runner_of(words[0])
                kind = interpreters.family(runner.name)
            if kind:
                return self._inside(kind, runner, words, person, 0, _DEPTH)
        return self._finish(place, place.name, person, "", real)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _plain(self, pid: int, place: Place, person: Person) -> ProgramId:
        if appimages.INSIDE.search(place.path):
            return self._image(pid, place.path, person)
        return self._finish(place, place.name, person, "", place.handle)

    def _image(self, pid: int, path: str, person: Person) -> ProgramId:
        """The AppImage that ``path`` is mounted from, else what the program itself calls it: a name, which allows nothing."""
        mount = self.mounts.governing(path)
        served = mount is not None and mount.kind.startswith("fuse")
        server = appimages.server(mount.device, person) if mount is not None and served else None
        fd = procfs.open_exe(server) if server is not None else -1
        if server is None or fd < 0:
            image = procfs.environ(pid, "APPIMAGE").get("APPIMAGE", "")
            return ProgramId(name=clean(base_name(image or path)), path=clean(image or path), interpreter=clean(path),
                             application=True)  # fmt: skip
        try:
            spot = self.mounts.spot(fd, server)
            if spot is None:
                return ProgramId(name=clean(base_name(path)), path=clean(path), application=True)
            sure = spot.sure and self._faithful(server, spot.path, person)
            place = Place(spot.path, sure, f"/proc/self/fd/{fd}", spot.pace, spot.gone)
            found = self._finish(place, place.name, person, path, place.handle)
            if not sure or self._injected(server, "", person):
                # Code of the account's own may serve something else than the image.
                found = replace(_unproven(found), sha256="")
            return replace(found, application=True)
        finally:
            os.close(fd)

    def _inside(self, kind: str, runner: Place, argv: list[str], person: Person, pid: int, depth: int) -> ProgramId:
        found = interpreters.inner(kind, runner.name, argv)
        if found.own:
            if appimages.INSIDE.search(runner.path) and pid:
                return self._image(pid, runner.path, person)
            return self._finish(runner, found.name, person, "", runner.handle)
        if kind in ("flatpak", "snap"):
            return self._launched(kind, found.name, runner, person)
        if kind == "wine":
            found = windows_file(found, pid, person)
        if not found.file:
            # Code from the command line, standard input or a module path: nothing on disk answers for it, and whoever
            # allows the interpreter has not allowed that.
            return ProgramId(name=clean(found.name), interpreter=clean(runner.path))
        place = self._script(found.file, pid, person)
        if appimages.INSIDE.search(place.path) and pid:
            return self._image(pid, place.path, person)
        nested = interpreters.family(place.name) if kind in ("loader", "env") else ""
        if nested and depth > 0:
            rest = argv[argv.index(found.file) :]
            return self._inside(nested, place, rest, person, pid, depth - 1)
        identity = self._finish(place, found.name if kind == "java" and not _jar(found.file) else place.name,
                                person, runner.path, place.handle)  # fmt: skip
        safe = (
            identity.protected
            and self._owner(runner, person)[0]
            and all(self._loads_safely(other.removesuffix("/*"), pid, person) for other in found.others)
        )
        return identity if safe or not identity.protected else _unproven(identity)

    def _launched(self, kind: str, name: str, runner: Place, person: Person) -> ProgramId:
        """``flatpak run`` and ``snap run`` on the way to becoming an app, which is judged by itself when it is there.

        The app is the one that the machine's own installation has, unless the account has one of that name, which comes first.
        """
        safe, _ = self._owner(runner, person)
        app = name if kind == "flatpak" else name.partition(".")[0]
        plain = bool(re.fullmatch(r"[A-Za-z0-9._-]+", app)) and not app.startswith(".")
        place = f"/var/lib/flatpak/app/{app}" if kind == "flatpak" else f"/snap/{app}"
        own = f"{person.home}/.local/share/flatpak/app/{app}" if kind == "flatpak" else ""
        known = safe and plain and os.path.isdir(place) and not (own and os.path.lexists(own))
        return ProgramId(name=clean(name), path=clean(runner.path) if known else "", interpreter=clean(runner.path),
                         package=f"{kind}:{app}" if known else "", protected=known, application=True)  # fmt: skip

    def _script(self, file: str, pid: int, person: Person) -> Place:
        """The file that an interpreter was told to run, as sure as the way to it is out of the account's hands."""
        path = self._absolute(file, pid)
        way = follow(path, person, self.mounts) if path else None
        if way is None:
            return Place(path or file, False, "", Pace.NEVER)
        mount = self.mounts.governing(way.path)
        return Place(way.path, way.steady, way.path, mount.pace if mount is not None else Pace.NEVER)

    def _loads_safely(self, file: str, pid: int, person: Person) -> bool:
        path = self._absolute(file, pid)
        return bool(path) and loads_safely(path, person, self.mounts)

    def _absolute(self, file: str, pid: int) -> str:
        """``file`` from our own root, links not yet followed; empty when the process has another root or stands in a folder
        that our namespace does not know."""
        if not pid:
            return file if file.startswith("/") else ""
        root = self._folder(f"/proc/{pid}/root", pid)
        if root is None or not root.sure or root.path != "/":
            return ""
        if file.startswith("/"):
            return file
        folder = self._folder(f"/proc/{pid}/cwd", pid)
        return f"{folder.path}/{file}" if folder is not None and folder.sure else ""

    def _faithful(self, pid: int, path: str, person: Person) -> bool:
        """Whether the process finds under the system's folders what we find there.

        Its loader and its libraries are looked up in its own namespace and root: ``unshare -rm`` with a library of the
        account's own bound over the system's makes another program of a protected one.  A sandbox with a root of its own
        counts for what comes from Flatpak's and Snap's installations alone.
        """
        if procfs.namespace(pid, "mnt") == self._home[0] and procfs.namespace(pid, "user") == self._home[1]:
            return True  # only who is root, if in a user namespace of their own, can be below another root here
        root = self._folder(f"/proc/{pid}/root", pid)
        if root is None:
            return False
        if not root.sure or root.path != "/":
            return bool(_FLATPAK.match(path) or _SNAP.match(path))
        return self.mounts.faithful(pid, lambda place: protected(place, person))

    def _injected(self, pid: int, kind: str, person: Person) -> bool:
        """Whether the environment brings code of the account's own into the program."""

        def safe(path: str) -> bool:
            return loads_safely(path, person, self.mounts)

        return bool(injected(procfs.read_proc(f"/proc/{pid}/environ", procfs.CMDLINE_LIMIT), kind, safe))

    def _folder(self, link: str, pid: int = 0) -> Spot | None:
        try:
            fd = os.open(link, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
        except OSError:
            return None
        try:
            return self.mounts.spot(fd, pid)
        finally:
            os.close(fd)

    def _finish(self, place: Place, name: str, person: Person, interpreter: str, handle: str | int) -> ProgramId:
        safe, package = self._owner(place, person)
        return ProgramId(
            name=clean(name),
            path=clean(place.path),
            sha256="" if safe else self._hash(handle, place.pace),
            package=package,
            protected=safe,
            application=self.launchers.has(place.path) or package.startswith(("flatpak:", "snap:")),
            interpreter=clean(interpreter),
        )

    def _owner(self, place: Place, person: Person) -> tuple[bool, str]:
        """Whether a file is protected, and its package.  What is not as its package brought it is neither."""
        if not (place.sure and place.pace is Pace.QUICK and protected(place.path, person)):
            return False, ""
        for kind, pattern in (("flatpak", _FLATPAK), ("snap", _SNAP)):
            match = pattern.match(place.path)
            if match:
                return True, f"{kind}:{match.group(1)}"
        owned = self.packages.owner(place.path)
        content = self._content(place, owned) if owned is not None else Content.UNRECORDED
        if owned is None or content is Content.UNRECORDED:
            return True, ""
        return (False, "") if content is Content.CHANGED else (True, owned.id)

    def _content(self, place: Place, owned: Owned) -> Content:
        if place.gone:
            # Replaced while it runs, by an upgrade: what is noted now is the new file's.
            return Content.PENDING
        content = self.packages.content(place.handle, owned)
        if content is not Content.PENDING:
            return content
        fd = reopen(place.handle)
        if fd is None:
            return content
        large = os.fstat(fd).st_size > HASH_NOW or not owned.database.quick
        if large and self.verify_later is not None:
            self.verify_later(fd, place.path, owned)
            return content
        try:
            return self.packages.verify(fd, place.path, owned)
        finally:
            os.close(fd)

    def _hash(self, handle: str | int, pace: Pace) -> str:
        if handle == "" or pace is Pace.NEVER:
            return ""
        known = self.hashes.known(handle) if pace is Pace.QUICK else ""
        if known:
            return known
        fd = reopen(handle)
        if fd is None:
            return ""
        if (pace is not Pace.QUICK or os.fstat(fd).st_size > HASH_NOW) and self.hash_later is not None:
            self.hash_later(fd)
            return ""
        try:
            return self.hashes.of_open(fd)
        finally:
            os.close(fd)


def _unproven(program: ProgramId) -> ProgramId:
    """The same without what it does not deserve: its place and its package."""
    return replace(program, protected=False, package="")


def _jar(path: str) -> bool:
    return path.endswith((".jar", ".java"))
