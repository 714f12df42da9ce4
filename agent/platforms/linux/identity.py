"""Who a running program is: file, package, and whether its account could have made it.

The kernel's link /proc/PID/exe gives a path *as the process's own mount namespace names it*.  A child can make a namespace
(``unshare -rm``) and mount a game over ``/usr/bin/chess`` there, so in a foreign namespace the path only counts when our
file at that path is the very same inode.  Inside a Flatpak ``/app/bin/x`` is looked up in the installation that
``/.flatpak-info`` names, and again only the inode decides.  What is not proven stays empty, and is never ``protected``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.model.program import ProgramId
from agent.platforms.linux import interpreters, procfs
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.hashes import Hashes
from agent.platforms.linux.launchers import Launchers
from agent.platforms.linux.packages import Packages
from agent.platforms.linux.permissions import protected

DELETED = " (deleted)"
HASH_NOW = 1 << 20
"""Files of the account's own up to this size (bytes) are hashed on the spot, under a millisecond; larger ones later."""

_DEPTH = 4
_APPIMAGE = re.compile(r"^/tmp/\.mount_[^/]+/")
_SNAP = re.compile(r"^/(?:var/lib/snapd/)?snap/([a-z0-9][a-z0-9-]*)/[^/]+/")
_FLATPAK = re.compile(r"^(?:/var/lib/flatpak|/.+/\.local/share/flatpak)/app/([A-Za-z0-9._-]+)/")
_INSTANCE_LIMIT = 65_536


@dataclass(slots=True)
class Identifier:
    """Knows the machine's packages, menu and hashes.  ``hash_later`` is given files too large to hash on the spot."""

    packages: Packages = field(default_factory=Packages)
    launchers: Launchers = field(default_factory=Launchers)
    hashes: Hashes = field(default_factory=Hashes)
    hash_later: Callable[[int], None] | None = None
    _home: str = field(default_factory=lambda: procfs.namespace("self", "mnt"))

    def running(self, pid: int, person: Person, link: str | None = None) -> ProgramId | None:
        """The program of a process; ``None`` when the process is gone, a zombie or the kernel's own."""
        if link is None:
            link = procfs.exe(pid)
        if link is None:
            return None
        if link.startswith("/memfd:"):
            return ProgramId(name=clean(link[7:].removesuffix(DELETED)) or "memfd")
        place = self._place(pid, link)
        kind = interpreters.family(place.name)
        if not kind:
            return self._plain(pid, place, person)
        argv = procfs.cmdline(pid)
        return self._inside(kind, place, argv, person, procfs.cwd(pid), pid, _DEPTH)

    def file(self, path: str, person: Person) -> ProgramId | None:
        """What ``path`` would be if ``person`` ran it; ``None`` when there is no such program."""
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            return None
        place = _Place(real, True, real)
        ending = real.rpartition(".")[2].lower()
        if ending == "jar":
            return self._inside("java", _runner("java"), ["java", "-jar", real], person, "/", 0, _DEPTH)
        if ending in ("exe", "msi"):
            return self._inside("wine", _runner("wine"), ["wine", real], person, "/", 0, _DEPTH)
        if not os.access(real, os.X_OK):
            return None
        shebang = _shebang(real)
        if shebang:
            words = [*shebang, real]
            runner = _runner(words[0])
            kind = interpreters.family(runner.name)
            if kind == "env" and len(words) > 2:
                words = words[2 if words[1] == "-S" else 1 :]
                runner = _runner(words[0])
                kind = interpreters.family(runner.name)
            if kind:
                return self._inside(kind, runner, words, person, "/", 0, _DEPTH)
        return self._finish(place, place.name, person, "", real)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _place(self, pid: int, link: str) -> _Place:
        """Where the executable truly is, as this service names it."""
        gone = link.endswith(DELETED)
        path = link.removesuffix(DELETED) if gone else link
        handle = f"/proc/{pid}/exe"
        if procfs.namespace(pid, "mnt") == self._home:
            # A protected path whose file was replaced (an upgrade while it runs) was protected when it started.
            return _Place(path, True, handle)
        if not gone and _same_file(path, handle):
            return _Place(path, True, handle)
        flatpak = _flatpak_place(pid, path, handle)
        return flatpak or _Place(path, False, handle)

    def _plain(self, pid: int, place: _Place, person: Person) -> ProgramId:
        if _APPIMAGE.match(place.path):
            image = procfs.environ(pid, "APPIMAGE").get("APPIMAGE", "")
            if image.startswith("/"):
                # The variable is the account's own word; a file of its own is all it can name this way.
                return ProgramId(name=clean(_base(image)), path=clean(image), interpreter=clean(place.path),
                                 application=True)  # fmt: skip
        if place.name == "bwrap":
            instance = _scope_flatpak(procfs.cgroup(pid))
            if instance:
                return ProgramId(name=clean(instance), interpreter=clean(place.path))
        return self._finish(place, place.name, person, "", place.handle)

    def _inside(
        self, kind: str, runner: _Place, argv: list[str], person: Person, cwd: str, pid: int, depth: int
    ) -> ProgramId:
        found = interpreters.inner(kind, runner.name, argv)
        if found.own:
            return self._finish(runner, found.name, person, "", runner.handle)
        if kind == "wine":
            found = _windows_file(found, pid, person)
        if not found.file:
            # Code from the command line, standard input or a module path: nothing on disk answers for it.
            return ProgramId(name=clean(found.name), interpreter=clean(runner.path), package=self._package(runner))
        path = _resolve(found.file, cwd)
        truthful = runner.sure and bool(path)
        if pid and procfs.namespace(pid, "mnt") != self._home:
            truthful = truthful and _same_file(path, f"/proc/{pid}/root{path}")
        place = _Place(path or found.file, truthful, path)
        nested = interpreters.family(place.name) if kind in ("loader", "env") else ""
        if nested and depth > 0:
            rest = argv[argv.index(found.file) :]
            return self._inside(nested, place, rest, person, cwd, pid, depth - 1)
        identity = self._finish(place, found.name if kind == "java" and not _jar(found.file) else place.name,
                                person, runner.path, path)  # fmt: skip
        safe = (
            identity.protected
            and runner.sure
            and protected(runner.path, person)
            and all(protected(_resolve(other.removesuffix("/*"), cwd), person) for other in found.others)
        )
        if identity.protected and not safe:
            return ProgramId(name=identity.name, path=identity.path, interpreter=identity.interpreter,
                             sha256=identity.sha256, application=identity.application)  # fmt: skip
        return identity

    def _finish(self, place: _Place, name: str, person: Person, interpreter: str, handle: str) -> ProgramId:
        safe = place.sure and protected(place.path, person)
        package = self._package(place) if safe else ""
        return ProgramId(
            name=clean(name),
            path=clean(place.path),
            sha256="" if safe else self._hash(handle),
            package=package,
            protected=safe,
            application=self.launchers.has(place.path) or package.startswith(("flatpak:", "snap:")),
            interpreter=clean(interpreter),
        )

    def _package(self, place: _Place) -> str:
        if not place.sure:
            return ""
        for kind, pattern in (("flatpak", _FLATPAK), ("snap", _SNAP)):
            match = pattern.match(place.path)
            if match:
                return f"{kind}:{match.group(1)}"
        owner = self.packages.owner(place.path)
        return f"deb:{owner}" if owner else ""

    def _hash(self, handle: str) -> str:
        known = self.hashes.known(handle)
        if known or not handle:
            return known
        try:
            fd = os.open(handle, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            return ""
        if os.fstat(fd).st_size > HASH_NOW and self.hash_later is not None:
            self.hash_later(fd)
            return ""
        try:
            return self.hashes.of_open(fd)
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file: its path as this service names it, whether that is proven, and where its bytes can be read."""

    path: str
    sure: bool
    handle: str

    @property
    def name(self) -> str:
        return _base(self.path)


def clean(text: str) -> str:
    """Text that every face can show and every frame can carry: odd bytes and control characters become U+FFFD."""
    text = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def _base(path: str) -> str:
    return path.rpartition("/")[2] or path


def _jar(path: str) -> bool:
    return path.endswith((".jar", ".java"))


def _runner(command: str) -> _Place:
    for folder in ("", "/usr/local/bin/", "/usr/bin/", "/bin/"):
        path = os.path.realpath(folder + command) if (folder or command.startswith("/")) else ""
        if path and os.path.isfile(path):
            return _Place(path, True, path)
    return _Place(command, False, "")


def _resolve(path: str, cwd: str) -> str:
    """An absolute path without symlinks; empty when it is relative to a folder nobody can tell."""
    if not path.startswith("/"):
        if not cwd.startswith("/"):
            return ""
        path = f"{cwd}/{path}"
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return ""


def _same_file(path: str, handle: str) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.stat(handle))
    except (OSError, ValueError):
        return False


def _shebang(path: str) -> list[str]:
    head = procfs.read(path, 256)
    if not head.startswith(b"#!"):
        return []
    return os.fsdecode(head[2:].partition(b"\n")[0].strip()).split(None, 1)


def _scope_flatpak(cgroup: str) -> str:
    """``org.x.Y`` of a cgroup ``…/app-flatpak-org.x.Y-1234.scope`` (flatpak-run.c names it so)."""
    match = re.search(r"/app-flatpak-([A-Za-z0-9._]+)-\d+\.scope", cgroup.replace("\\x2d", "_"))
    return match.group(1) if match else ""


def _flatpak_place(pid: int, path: str, handle: str) -> _Place | None:
    """The installed file that ``/app/…`` or ``/usr/…`` is inside a Flatpak (flatpak-metadata(5), [Instance])."""
    if not path.startswith(("/app/", "/usr/")):
        return None
    text = procfs.read(f"/proc/{pid}/root/.flatpak-info", _INSTANCE_LIMIT)
    if not text:
        return None
    import configparser  # a third of a megabyte that a PC without Flatpak never pays

    info = configparser.RawConfigParser(strict=False)
    try:
        info.read_string(text.decode("utf-8", "replace"))
    except configparser.Error:
        return None
    key, prefix = ("app-path", "/app/") if path.startswith("/app/") else ("runtime-path", "/usr/")
    files = info.get("Instance", key, fallback="")
    if not files.startswith("/"):
        return None
    place = os.path.realpath(f"{files}/{path.removeprefix(prefix)}")
    return _Place(place, True, handle) if _same_file(place, handle) else None


def _windows_file(found: interpreters.Inner, pid: int, person: Person) -> interpreters.Inner:
    """The file behind a Windows path: ``Z:`` is ``/``, ``C:`` lies in the Wine prefix."""
    match = re.match(r"^([A-Za-z]):[\\/](.*)$", found.file)
    if not match:
        return found if found.file.startswith("/") else interpreters.Inner(found.name)
    rest = match.group(2).replace("\\", "/")
    if match.group(1) in "zZ":
        return interpreters.Inner(found.name, f"/{rest}")
    prefix = procfs.environ(pid, "WINEPREFIX").get("WINEPREFIX") if pid else None
    prefix = prefix or (f"{person.home}/.wine" if person.home else "")
    return interpreters.Inner(found.name, f"{prefix}/drive_{match.group(1).lower()}/{rest}" if prefix else "")
