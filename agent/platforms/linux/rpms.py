"""The database of rpm: who owns a file, and what its content was when it was installed.

Its format changed from Berkeley DB to SQLite and its own (rpm 4.16), so it is asked through ``rpm`` itself, in a thread:
once for every file of every package, later for the digests of one package at a time.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent.platforms.linux.fileindex import FileIndex
from agent.platforms.linux.locks import locked

_FOLDERS = (Path("/usr/lib/sysimage/rpm"), Path("/var/lib/rpm"))
_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
_RPM = "/usr/bin/rpm"
_WAIT = 60.0
"""Seconds for an answer; a full list of 3,000 packages takes some five."""
_ALGORITHMS = {"1": "md5", "2": "sha1", "8": "sha256", "9": "sha384", "10": "sha512", "0": "md5"}
"""RFC 4880 numbers in FILEDIGESTALGO; without the tag it is MD5 (rpm's lib/rpmfi.c)."""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}

Version = tuple[int, ...]


class Rpms:
    """``kind`` and the methods are those of every package database (see ``packages``)."""

    kind = "rpm"
    quick = False

    def __init__(self, folders: tuple[Path, ...] = _FOLDERS, *, options: tuple[str, ...] = ()) -> None:
        self._files = tuple(folder / name for folder in folders for name in _FILES)
        self._locks = tuple(folder / ".rpm.lock" for folder in folders)
        self._options = options
        self._index = FileIndex()
        self._version: Version | None = None
        self._digests: dict[str, tuple[Version | None, dict[str, tuple[str, str]]]] = {}
        self.exists = os.access(_RPM, os.X_OK) and any(file.exists() for file in self._files)

    @property
    def ready(self) -> bool:
        return self._version is not None

    def version(self) -> Version | None:
        """Another value after each change; reading leaves the main file alone."""
        found = []
        for file in self._files:
            try:
                known = os.stat(file)
            except OSError:
                continue
            found += [known.st_mtime_ns, known.st_size]
        return tuple(found)

    def stale(self) -> bool:
        return self.version() != self._version

    def build(self) -> None:
        """Ask for every file of every package.  An ``rpm`` that fails leaves what was known before, and stays stale."""
        version = self.version()
        index = FileIndex()
        number: int | None = None
        with self._ask("-qa", "--qf", "> %{NAME}\\n[%{FILENAMES}\\n]") as process:
            for line in process.stdout or ():
                if line.startswith(b"> "):
                    number = index.package(os.fsdecode(line[2:].rstrip(b"\n")))
                elif number is not None:
                    index.add(number, line.rstrip(b"\n"))
        if process.returncode == 0:
            index.sort()
            self._index, self._version = index, version
            self._digests.clear()

    def owner(self, path: str) -> str:
        """The name of the package that ships the absolute ``path``; empty for none."""
        for spelt in _spellings(path):
            for name in self._index.find(os.fsencode(spelt)):
                return name
        return ""

    def recorded(self, path: str, package: str) -> tuple[str, str] | None:
        """Algorithm and digest of the file as it was unpacked; ``None`` when rpm noted none.  For a thread."""
        version = self.version()
        known = self._digests.get(package)
        if known is None or known[0] != version:
            if len(self._digests) >= 16:
                self._digests.clear()
            known = self._digests[package] = (version, dict(self._read(package)))
        return next((known[1][spelt] for spelt in _spellings(path) if spelt in known[1]), None)

    def busy(self) -> bool:
        """Whether rpm is at work: files then may be newer than what is noted of them."""
        return self.stale() or any(locked(lock) for lock in self._locks)

    def _read(self, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
        form = "[%{=FILEDIGESTALGO} %{FILEDIGESTS} %{FILENAMES}\\n]"
        with self._ask("-q", "--qf", form, "--", package) as process:
            for line in process.stdout or ():
                number, _, rest = os.fsdecode(line.rstrip(b"\n")).partition(" ")
                digest, _, name = rest.partition(" ")
                algorithm = _ALGORITHMS.get(number if number.isdigit() else "0")
                if algorithm and digest and name:
                    yield name, (algorithm, digest)

    def _ask(self, *words: str) -> _Answer:
        return _Answer([_RPM, *self._options, *words])


class _Answer:
    """A run of ``rpm`` whose output is read line by line, and which never outlives its reading."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def __enter__(self) -> subprocess.Popen[bytes]:
        # timeout(1) ends one that waits for a lock which is never let go.
        self._process = subprocess.Popen(
            ["/usr/bin/timeout", str(_WAIT), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            close_fds=True,
        )
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()


def _spellings(path: str) -> Iterator[str]:
    """With a merged /usr (or bin = sbin), a package may say /bin/x or /usr/sbin/x for what is really /usr/bin/x."""
    yield path
    if path.startswith("/usr/"):
        yield path[4:]
    if path.startswith("/usr/bin/"):
        yield f"/usr/sbin/{path.removeprefix('/usr/bin/')}"
