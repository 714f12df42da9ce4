"""The hash by which Windows knows a program: that of a PE image without its signature (Authenticode), else of the whole file.

Rules of a policy name programs by the SHA-256 of the file.  AppLocker hashes an executable as its signature does: without the
checksum, the directory entry of the signature and the signature itself (Windows Authenticode Portable Executable Signature
Format, "Calculating the PE Image Hash"), so that signing changes nothing.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

MOST = 512 * 1024 * 1024
"""Bytes of a file that is hashed."""
_PE32, _PE32_PLUS = 0x10B, 0x20B
_SECURITY = 4
"""Place of the signature among the data directories (IMAGE_DIRECTORY_ENTRY_SECURITY)."""


@dataclass(frozen=True, slots=True)
class Image:
    """One file as a rule of AppLocker names it."""

    name: str
    length: int
    sha256: str


def image(path: Path) -> tuple[str, Image] | None:
    """``(SHA-256 of the whole file, as AppLocker names it)``; ``None`` for what is empty or too large.  ``OSError`` when it
    cannot be read.  Reads the file twice; it is never in memory as a whole."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if not 0 < length <= MOST:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            flat = hashlib.sha256(data).hexdigest()
            return flat, Image(path.name, length, pe_hash(data) or flat)


def pe_hash(data: bytes | mmap.mmap) -> str:
    """The Authenticode SHA-256 of a PE image, in hexadecimal; empty when this is none, or one that makes no sense."""
    try:
        if data[:2] != b"MZ":
            return ""
        (start,) = struct.unpack_from("<I", data, 0x3C)
        if data[start : start + 4] != b"PE\0\0":
            return ""
        optional = start + 24
        (magic,) = struct.unpack_from("<H", data, optional)
        if magic not in (_PE32, _PE32_PLUS):
            return ""
        directories = optional + (96 if magic == _PE32 else 112)
        (count,) = struct.unpack_from("<I", data, directories - 4)
        entry = directories + 8 * _SECURITY
        checksum = optional + 64
        place = size = 0
        if count > _SECURITY:
            place, size = struct.unpack_from("<II", data, entry)
    except struct.error:
        return ""
    if size and (place < entry + 8 or place + size > len(data)):
        return ""
    with memoryview(data) as view:
        return _digest(view, checksum, entry if count > _SECURITY else None, place, size)


def _digest(view: memoryview, checksum: int, entry: int | None, place: int, size: int) -> str:
    digest = hashlib.sha256(view[:checksum])
    if entry is None:
        digest.update(view[checksum + 4 :])
    else:
        digest.update(view[checksum + 4 : entry])
        digest.update(view[entry + 8 : place if size else len(view)])
        digest.update(view[place + size :] if size else b"")
    # A signature begins at a step of eight bytes; a file that has none is counted as if it were filled up for one.
    digest.update(b"" if size else bytes(-len(view) % 8))
    return digest.hexdigest()
