"""Files that programs are, or are run by: where their bytes are, what they are called, and which one a name means."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.inside.scripts import Inner
from agent.platforms.linux import procfs
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.mounts import Pace

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Place:
    """A file: its path as this service names it, whether that is proven, where its bytes can be read and how fast."""

    path: str
    sure: bool
    handle: str | int
    """A path, or an open descriptor; empty when there is nothing to read."""
    pace: Pace = Pace.QUICK
    gone: bool = False
    """Its name was taken away or given to another file since it was opened."""

    @property
    def name(self) -> str:
        return base_name(self.path)


def clean(text: str) -> str:
    """Text that every face can show and every frame can carry: odd bytes and control characters become U+FFFD."""
    text = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def reopen(handle: str | int) -> int | None:
    """A descriptor of one's own to read from; ``None`` when that cannot be."""
    try:
        return os.dup(handle) if isinstance(handle, int) else os.open(handle, _READ)
    except (OSError, ValueError):
        return None


def base_name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2] or path


def runner_of(command: str) -> Place:
    """The interpreter that a command names, where the system keeps such."""
    for folder in ("", "/usr/local/bin/", "/usr/bin/", "/bin/"):
        path = os.path.realpath(folder + command) if (folder or command.startswith("/")) else ""
        if path and os.path.isfile(path):
            return Place(path, True, path)
    return Place(command, False, "")


def shebang_of(path: str) -> list[str]:
    """The words of a script's first line; none when it is no script."""
    head = procfs.read(path, 256)
    if not head.startswith(b"#!"):
        return []
    return os.fsdecode(head[2:].partition(b"\n")[0].strip()).split(None, 1)


def windows_file(found: Inner, pid: int, person: Person) -> Inner:
    """The file behind a Windows path: ``Z:`` is ``/``, ``C:`` lies in the Wine prefix."""
    match = re.match(r"^([A-Za-z]):[\\/](.*)$", found.file)
    if not match:
        return found if found.file.startswith("/") else Inner(found.name)
    rest = match.group(2).replace("\\", "/")
    if match.group(1) in "zZ":
        return Inner(found.name, f"/{rest}")
    prefix = procfs.environ(pid, "WINEPREFIX").get("WINEPREFIX") if pid else None
    prefix = prefix or (f"{person.home}/.wine" if person.home else "")
    return Inner(found.name, f"{prefix}/drive_{match.group(1).lower()}/{rest}" if prefix else "")
