"""Who a running program is: its file, whether its account could have made it, what it carries, and what it runs.

The path is that of the image which Windows has mapped, with links followed and drive letters as this service has them, so
letters that a child makes (``subst``) change nothing.  A running image cannot be written to, only moved; so what is hashed is
read at the start of each process anew and remembered no longer than that process.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import PureWindowsPath

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.identity is for Windows")

import psutil

from agent.model.program import ProgramId
from agent.platforms.inside import interpreters
from agent.platforms.windows.accounts import Person
from agent.platforms.windows.handles import Handle
from agent.platforms.windows.permissions import Permissions

log = logging.getLogger(__name__)

HASH_NOW = 1 << 22
"""Bytes that are hashed on the spot, some milliseconds; larger files later."""
MOST = 1 << 29
"""Bytes beyond which a file is not hashed."""
_ALSO_OWN = re.compile(r"^(wine|busybox|loader|env|flatpak|snap|emulator)$")
"""Kinds of interpreters that are none on Windows."""


class Identifier:
    """``hash_later`` takes a path whose file is too large to be read on the spot; ``None``: it is read all the same."""

    def __init__(self) -> None:
        self.permissions = Permissions()
        self.hash_later: Callable[[str], None] | None = None
        self._windows = os.environ.get("SYSTEMROOT", r"C:\Windows")
        self._hashes: dict[str, str] = {}
        """By path, for as long as a process of that file runs (see ``keep``)."""

    def running(self, handle: Handle, person: Person) -> ProgramId | None:
        """The program of a process; ``None`` when it is gone or has no image."""
        path = handle.path()
        if not path:
            return None
        kind = _kind(path)
        if kind:
            return self._inside(kind, path, _words(handle.pid), person, handle.pid)
        return self._finish(path, person, package=handle.package())

    def file(self, path: str, person: Person) -> ProgramId | None:
        """What ``path`` would be if ``person`` ran it; ``None`` when there is no such program."""
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            return None
        found = self._finish(real, person)
        digest = found.sha256 or hashed(real, MOST)
        return ProgramId(
            name=found.name, path=found.path, sha256=digest, protected=found.protected, application=found.application
        )

    def learn(self, path: str, digest: str) -> None:
        """The hash of a file that was too large to be read on the spot."""
        self._hashes[path.casefold()] = digest

    def keep(self, paths: frozenset[str]) -> None:
        """Forget the hashes of files that no known process runs any more: they can be written to again."""
        if self._hashes:
            low = {path.casefold() for path in paths}
            self._hashes = {path: digest for path, digest in self._hashes.items() if path in low}

    # ---- inside --------------------------------------------------------------------------------------------------

    def _inside(self, kind: str, path: str, words: list[str], person: Person, pid: int) -> ProgramId:
        plain = [word.replace("\\", "/") for word in words]
        found = interpreters.inner(kind, _stem(path), plain)
        if found.own:
            return self._finish(path, person)
        if not found.file:
            # Code from the command line, standard input or a module path: nothing on disk answers for it.
            return ProgramId(name=_clean(found.name), interpreter=_clean(path))
        file = PureWindowsPath(found.file)
        if not file.is_absolute():
            folder = _folder(pid)
            file = PureWindowsPath(folder) / file if folder else file
        inner = os.path.realpath(str(file)) if file.is_absolute() else str(file)
        identity = self._finish(inner, person, interpreter=path)
        safe = (
            identity.protected
            and self.permissions.protected(path, person)
            and all(_absolute(other) and self.permissions.protected(other, person) for other in found.others)
        )
        if safe or not identity.protected:
            return identity
        return ProgramId(name=identity.name, path=identity.path, interpreter=identity.interpreter)

    def _finish(self, path: str, person: Person, *, package: str = "", interpreter: str = "") -> ProgramId:
        safe = self.permissions.protected(path, person)
        return ProgramId(
            name=_clean(PureWindowsPath(path).name),
            path=_clean(path),
            sha256="" if safe else self._hash(path),
            package=f"appx:{package}" if package and safe else "",
            protected=safe,
            application=not f"{path}\\".casefold().startswith(f"{self._windows}\\".casefold()),
            interpreter=_clean(interpreter),
        )

    def _hash(self, path: str) -> str:
        known = self._hashes.get(path.casefold())
        if known is not None:
            return known
        try:
            small = os.stat(path).st_size <= HASH_NOW
        except OSError:
            return ""
        if small or self.hash_later is None:
            return hashed(path, MOST)
        self.hash_later(path)
        return ""


def hashed(path: str, most: int) -> str:
    """SHA-256 in lower-case hexadecimal; empty when the file cannot be read or is larger than ``most`` bytes."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                return ""
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _kind(path: str) -> str:
    kind = interpreters.family(_stem(path))
    return "" if kind == "shell" or _ALSO_OWN.match(kind) else kind


def _stem(path: str) -> str:
    name = PureWindowsPath(path).name.lower()
    return name.removesuffix(".exe").removesuffix(".com")


def _words(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return []


def _folder(pid: int) -> str:
    try:
        return psutil.Process(pid).cwd()
    except (psutil.Error, OSError):
        return ""


def _absolute(path: str) -> bool:
    return PureWindowsPath(path).is_absolute()


def _clean(text: str) -> str:
    """Without what would hide or turn around what a guardian reads."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
