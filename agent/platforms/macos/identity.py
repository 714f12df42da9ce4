"""Who a program is: its place, and whether its account may write there; its hash where it may; its maker's team."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos asks for POSIX files")

from agent.model.program import ProgramId
from agent.platforms.inside import interpreters
from agent.platforms.macos import signatures
from agent.platforms.macos.accounts import Person
from agent.platforms.macos.commands import Run
from agent.platforms.macos.permissions import protected

SYSTEM = ("/System/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/bin/", "/sbin/")
"""Kept by System Integrity Protection: Apple's own, and nobody's to change."""
LIMIT = 256 << 20
"""Bytes beyond which a file is not hashed: the tick would wait for seconds."""
_REMEMBERED = 4096
_DEPTH = 3

Fingerprint = tuple[int, int, int, int]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Running:
    """What the system says of a process."""

    exe: str
    argv: tuple[str, ...]
    folder: str = ""
    """Where it stands; empty when that is not known."""


class Identifier:
    """Remembers what it has read as long as a file stays the same (its change time, which only root can set)."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._hashes: OrderedDict[Fingerprint, str] = OrderedDict()
        self._teams: OrderedDict[tuple[str, Fingerprint], str] = OrderedDict()

    def running(self, seen: Running, person: Person) -> ProgramId:
        """The program, or what an interpreter was told to run."""
        return self._judge(_real(seen.exe), list(seen.argv), seen.folder, person, _DEPTH)

    def file(self, path: str, person: Person) -> ProgramId | None:
        """What ``path`` would be if ``person`` ran it; ``None`` when there is no such program."""
        real = _real(path)
        if not os.path.isfile(real):
            return None
        return self._plain(real, os.path.basename(real), person, "", always=True)

    def _judge(self, exe: str, argv: list[str], folder: str, person: Person, depth: int) -> ProgramId:
        name = os.path.basename(exe)
        kind = interpreters.family(name)
        if not kind:
            return self._plain(exe, name, person, "")
        found = interpreters.inner(kind, name, argv)
        if found.own:
            return self._plain(exe, found.name, person, "")
        path = os.path.join(folder, found.file) if found.file and (folder or found.file.startswith("/")) else ""
        if not path:
            # Code from the command line or standard input: nothing on disk answers for it.
            return ProgramId(name=found.name, interpreter=exe)
        path = _real(path)
        if kind == "env" and depth > 0 and interpreters.family(os.path.basename(path)):
            rest = argv[argv.index(found.file) :] if found.file in argv else [path]
            return self._judge(path, rest, folder, person, depth - 1)
        name = found.name if kind == "java" and not path.endswith(".jar") else os.path.basename(path)
        safe = protected(exe, person) and all(protected(_real(one), person) for one in found.others)
        return self._plain(path, name, person, exe, safe=safe)

    def _plain(
        self, path: str, name: str, person: Person, interpreter: str, *, safe: bool = True, always: bool = False
    ) -> ProgramId:
        safe = safe and protected(path, person)
        own = path.startswith(SYSTEM)
        return ProgramId(
            name=name,
            path=path,
            sha256=self._hash(path) if always or not safe else "",
            signer="" if own or interpreter else self._team(path),
            protected=safe,
            application=".app/Contents/MacOS/" in path and not path.startswith("/System/Library/CoreServices/"),
            interpreter=interpreter,
        )

    def _hash(self, path: str) -> str:
        key = _fingerprint(path)
        if key is None or key[3] > LIMIT:
            return ""
        if key not in self._hashes:
            try:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return ""
            if _fingerprint(path) != key:
                return ""  # written to meanwhile: neither the old nor the new content
            _keep(self._hashes, key, digest)
        return self._hashes[key]

    def _team(self, path: str) -> str:
        key = _fingerprint(path)
        if key is None:
            return ""
        if (path, key) not in self._teams:
            found = signatures.team(path, self._run)
            if _fingerprint(path) != key:
                return ""
            _keep(self._teams, (path, key), found)
        return self._teams[(path, key)]


def _keep(memory: OrderedDict[K, str], key: K, value: str) -> None:
    memory[key] = value
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _fingerprint(path: str) -> Fingerprint | None:
    """Device, inode, change time and size of a regular file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path
