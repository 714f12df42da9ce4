"""The system's own commands: each stands in a manual page of macOS, gets nothing on its input, and has seconds to answer."""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from agent.errors import HostError

PATIENCE = 5.0
"""Seconds."""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a command said."""

    code: int
    out: bytes = b""
    err: bytes = b""


Run = Callable[[Sequence[str]], Told]


def run(words: Sequence[str]) -> Told:
    """Run a command by its full path; ``HostError`` when it is not there or does not end."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, env=_ENVIRONMENT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else f"no answer within {PATIENCE:.0f} s"
        raise HostError(f"{words[0]} cannot be asked: {why}", "Restart the Mac; the next look asks again.") from error
    return Told(done.returncode, done.stdout, done.stderr)


def text(told: Told) -> str:
    """Standard output, and what it said on the other channel after it."""
    return (told.out + told.err).decode("utf-8", errors="replace")


def listed(words: Sequence[str], told: Told) -> Any:
    """The property list on standard output; ``HostError`` when there is none that can be read."""
    try:
        return plistlib.loads(told.out)
    except (plistlib.InvalidFileException, ExpatError, ValueError, OverflowError) as error:
        raise HostError(
            f"{words[0]} gave no property list (exit {told.code})", "Tell us which macOS this is; see SECURITY.md."
        ) from error
