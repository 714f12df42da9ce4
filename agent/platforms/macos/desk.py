"""The desktop of a person's session, for the tray."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

if sys.platform == "win32":  # also tells the type checker, which then skips the rest there
    raise ImportError("agent.platforms.macos locks files as POSIX does")

from agent.platforms import filelock

OPEN = "/usr/bin/open"
DEFAULTS = "/usr/bin/defaults"
OPENING = 10.0
"""Seconds that opening a page, or reading a setting, may take."""


class MacDesk:
    """The ``Desk`` of this session: a Mac always has a menu bar where there is a graphical session."""

    def tray_available(self) -> bool:
        return not self.why_no_tray()

    def why_no_tray(self) -> str:
        return self.prepare()

    def scale(self) -> float:
        """The menu bar scales pictures by itself."""
        return 1.0

    def prepare(self) -> str:
        """pystray draws through PyObjC, which comes with it on a Mac."""
        return "" if importlib.util.find_spec("AppKit") else "PyObjC is missing, which comes with pystray on a Mac."

    def claim(self) -> bool:
        """By a lock on a file in the person's folder."""
        return filelock.hold(self.folder() / "tray.lock")

    def folder(self) -> Path:
        """Below the person's caches."""
        folder = Path.home() / "Library" / "Caches" / "Fairtime"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return folder

    def languages(self) -> tuple[str, ...]:
        """``AppleLanguages`` of this person: programs that launchd starts have no LANG."""
        try:
            done = subprocess.run(
                (DEFAULTS, "read", "-g", "AppleLanguages"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=OPENING,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        return languages_in(done.stdout) if done.returncode == 0 else ()

    def open_page(self, path: Path) -> bool:
        """Through open(1), which returns once a program has taken the page."""
        try:
            done = subprocess.run((OPEN, str(path)), stdin=subprocess.DEVNULL, timeout=OPENING, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def languages_in(text: str) -> tuple[str, ...]:
    """The tags in a list as defaults(1) prints it: one a line between brackets, in quotes where it has a hyphen."""
    lines = (line.strip().rstrip(",").strip('"') for line in text.splitlines())
    return tuple(line for line in lines if line and line not in "()")
