"""Lists that are packed (gzip, zip, tar, tar in gzip), read where they lie: nothing is unpacked to a disk.

An archive comes from strangers: it is told by its bytes and not by its name, what it unpacks to has limits whatever it says of
itself, no name in it is ever a place on this PC, and links in it lead nowhere.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, BinaryIO

from agent.errors import ListError

MOST_FILES = 20_000
MODEST = 64 * 1024 * 1024
"""Bytes that any archive may unpack to."""
RATIO = 100
"""Beyond that, bytes of text to a byte of the archive: lists have five to twenty, and gzip can have a thousand."""
_UNPACK = "Unpack it, and hand in the folder or the file."
_LOCKED = 1
_TAR = slice(257, 262)

Skip = Callable[[str, str], None]
"""Is told why something was left out, and its name."""
Inside = list[tuple[str, Callable[[], IO[bytes]]]]
"""Names of files and what opens them, in the order in which they are read best; the name of a single one may be empty."""


def files(file: BinaryIO, head: bytes, most: int, skip: Skip) -> Inside | None:
    """The files in an archive that begins with ``head``; ``None`` when it is none.  Raises ``ListError`` when they have more
    than ``most`` bytes together, or too many for the archive's size."""
    most = min(most, max(MODEST, RATIO * os.fstat(file.fileno()).st_size))
    file.seek(0)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(file, most, skip)
    if head.startswith(b"\x1f\x8b"):
        text = io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=file), most))
        start = text.read(512)
        text.seek(0)
        return _tar(text, skip) if start[_TAR] == b"ustar" else [("", lambda: text)]
    return _tar(file, skip) if head[_TAR] == b"ustar" else None


@contextmanager
def damage_told(where: str) -> Iterator[None]:
    """``ListError`` for what the readers of archives raise when there is something wrong with one."""
    try:
        yield
    except (zlib.error, EOFError, zipfile.BadZipFile, tarfile.TarError, RuntimeError, OverflowError, ValueError,
            OSError) as error:  # fmt: skip
        # (zipfile says RuntimeError, or a kind of it, of what it does not know, and tarfile of links that go round)
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's
        raise ListError(
            "The archive is damaged, not whole, or of a kind that is not known here",
            f"Download it again. If that does not help: {_UNPACK.lower()}",
            where=where,
        ) from error


class _Bounded(io.RawIOBase):
    """A stream of which so many bytes may be read, or skipped over."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream = stream
        self._most = most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the beginning")
        self._bound(offset)
        return self._stream.seek(offset)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # of the kinds that are given
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._bound(self._stream.tell())
        return len(data)

    def _bound(self, at: int) -> None:
        if at > self._most:
            raise _too_much(self._most)


def _tar(file: IO[bytes], skip: Skip) -> Inside:
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  # as long as what is in it is read
    found: Inside = []
    for count, member in enumerate(archive):
        if count == MOST_FILES:
            raise _too_many()
        if member.isreg() and not member.issparse():
            found.append((member.name, partial(_member, archive, member)))
        elif not member.isdir():
            skip("a link" if member.issym() or member.islnk() else "no file", member.name)
    return found


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(member)
    assert opened is not None, "a regular file"
    return opened


def _zip(file: BinaryIO, most: int, skip: Skip) -> Inside:
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise _too_many()
    found: Inside = []
    total = 0
    for member in members:
        if member.filename.endswith("/"):
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            skip("a link", member.filename)
            continue
        if member.flag_bits & _LOCKED:
            raise ListError("The archive is locked with a password", _UNPACK)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile("a way of packing that zip programs seldom use")
        total += member.file_size  # no more than that is ever read of it
        found.append((member.filename, partial(archive.open, member)))
    if total > most:
        raise _too_much(most)
    return found


def _too_much(most: int) -> ListError:
    return ListError(
        f"The archive unpacks to more than {most // (1024 * 1024):,} MiB, which no list of this size does",
        "Download it from somebody else, or unpack it and look what it is.",
    )


def _too_many() -> ListError:
    return ListError(f"There are more than {MOST_FILES:,} files in the archive", "Take only the lists out of it.")
