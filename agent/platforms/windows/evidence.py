"""What a program's file says of itself: its hash, and who signed it; read while nobody can put another in its place.

A running image cannot be written to, only moved away, with another one put where it was.  So the file is opened in a way that lets
nobody move or change it meanwhile (no FILE_SHARE_WRITE, no FILE_SHARE_DELETE), and Windows is asked whether the process was
made from this very file.  What cannot be opened so has a hash and no maker.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.evidence is for Windows")

import pywintypes
import win32con
import win32file

from agent.platforms.windows import authenticode
from agent.platforms.windows.authenticode import NONE, Signature
from agent.platforms.windows.handles import Handle

AT_ONCE = 1 << 25
"""Bytes that are read on the spot, some hundredths of a second; larger files later."""
MOST = 1 << 29
"""Bytes beyond which a file is not looked at."""
_EXECUTE, _SYNCHRONIZE = 0x20, 0x100000


@dataclass(frozen=True, slots=True)
class Evidence:
    """``sha256`` in lower-case hexadecimal; empty where it cannot be read, or need not be."""

    sha256: str = ""
    signature: Signature = NONE


def of_file(path: str, handle: Handle | None = None, *, digest: bool = True) -> Evidence:
    """Of the file at ``path``; nothing where the process of ``handle`` was made from another one."""
    with _held(path) as file:
        if file is None:
            return Evidence(hashed(path, MOST) if digest else "")
        if handle is not None and handle.runs(file) is False:
            return Evidence()
        found = hashed(path, MOST) if digest else ""
        if digest and not found:
            return Evidence()
        return Evidence(found, authenticode.signature(path, file))


def hashed(path: str, most: int) -> str:
    """SHA-256 in lower-case hexadecimal; empty when the file cannot be read or is larger than ``most`` bytes."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                return ""
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@contextmanager
def _held(path: str) -> Iterator[int | None]:
    """The file, open so that its name stays its own; ``None`` where somebody has it open otherwise, or it is not there."""
    try:
        file = win32file.CreateFile(
            path,
            win32con.GENERIC_READ | _EXECUTE | _SYNCHRONIZE,
            win32con.FILE_SHARE_READ,
            None,
            win32con.OPEN_EXISTING,
            0,
            None,
        )
    except pywintypes.error:
        yield None
        return
    try:
        yield int(file)
    finally:
        file.Close()
