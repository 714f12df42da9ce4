"""Which programs people start: those with an entry in the desktop's menu, and games.

Only the machine's own menu folders count, not the ones in a home folder: a child's file there may not turn a part of the
desktop into "a program".  Entries for settings panels are left out, because they name parts of the desktop itself
(``Exec=xfce4-panel --preferences``).
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from agent.platforms.inside import interpreters

FOLDERS = (
    Path("/usr/share/applications"),
    Path("/usr/local/share/applications"),
    Path("/var/lib/flatpak/exports/share/applications"),
    Path("/var/lib/snapd/desktop/applications"),
)
PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/games", "/usr/games", "/snap/bin")
_GAMES = ("/usr/games/", "/usr/local/games/", "/usr/lib/games/", "/usr/share/games/")
_NOT = frozenset({"Settings", "DesktopSettings", "Screensaver", "Shell"})
_ENDINGS = (".bin", "-bin", ".real", ".sh", ".py")
_MOST = 4096
"""Entries that are read; a desktop has some hundred."""


class Launchers:
    """The menu's programs, by resolved path and by file name."""

    def __init__(self, folders: tuple[Path, ...] = FOLDERS) -> None:
        self._folders = folders
        self._paths: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._version: tuple[int, ...] = ()

    def stale(self) -> bool:
        return self._version != self._read_version()

    def has(self, path: str) -> bool:
        """Whether the program at this resolved path is one that people start.

        A launcher often is a script for the true program of the same name elsewhere
        (/usr/bin/chromium → /usr/lib/chromium/chromium), so the bare name decides too.
        """
        if path in self._paths or path.startswith(_GAMES):
            return True
        name = path.rpartition("/")[2]
        return name in self._names or any(name.removesuffix(end) in self._names for end in _ENDINGS)

    def build(self) -> None:
        """Read every menu entry; meant for a thread."""
        version = self._read_version()
        paths: set[str] = set()
        read = 0
        for folder in self._folders:
            for entry in sorted(folder.glob("*.desktop")) if folder.is_dir() else []:
                read += 1
                if read > _MOST:
                    break
                program = target(entry)
                if program:
                    paths.update({program, os.path.realpath(program)})
        names = {path.rpartition("/")[2] for path in paths}
        # An interpreter that an entry starts something with is no program of its own.
        self._paths = frozenset(path for path in paths if not interpreters.family(path.rpartition("/")[2]))
        self._names = frozenset(name for name in names if not interpreters.family(name))
        self._version = version

    def _read_version(self) -> tuple[int, ...]:
        found = []
        for folder in self._folders:
            try:
                found.append(os.stat(folder).st_mtime_ns)
            except OSError:
                found.append(0)
        return tuple(found)


def target(entry: Path) -> str:
    """The absolute path of what a menu entry starts; empty when it is hidden, a settings panel or broken.

    Desktop Entry Specification 1.5, "The Exec key": the first word is the program, quoted with double quotes.
    """
    keys: dict[str, str] = {}
    try:
        with entry.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(65_536).splitlines()
    except OSError:
        return ""
    section = ""
    for line in lines:
        if line.startswith("["):
            section = line.strip()
        elif section == "[Desktop Entry]":
            key, equals, value = line.partition("=")
            if equals:
                keys.setdefault(key.strip(), value.strip())
    categories = {word for word in keys.get("Categories", "").split(";") if word}
    hidden = keys.get("NoDisplay") == "true" or keys.get("Hidden") == "true"
    if hidden or keys.get("Type", "Application") != "Application" or categories & _NOT:
        return ""
    try:
        words = shlex.split(keys.get("Exec", ""))
    except ValueError:
        return ""
    if not words:
        return ""
    kind = interpreters.family(words[0].rpartition("/")[2])
    if kind and kind not in ("flatpak", "snap"):
        inner = interpreters.inner(kind, words[0], words)
        return inner.file if inner.file.startswith("/") and not inner.own else ""
    return which(words[0])


def which(name: str) -> str:
    """A command name looked up where the machine's own programs are; empty when it is nowhere."""
    if name.startswith("/"):
        return name if os.path.isfile(name) else ""
    if "/" in name:
        return ""
    for folder in PATH:
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""
