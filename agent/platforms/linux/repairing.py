"""One of Fairtime's own files: what happened to it, and how it is put back from its spare copy."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux import sharedlines
from agent.platforms.linux.ownlist import SPARE, Own

_MOST_BYTES = 64 << 20


class Repair:
    """Spare copies lie below ``own``, the files below ``root``; they belong to ``owner`` (uid and gid)."""

    def __init__(self, own: Path, root: Path, owner: tuple[int, int]) -> None:
        self._own = own
        self._root = root
        self._owner = owner

    def wrong(self, own: Own) -> str:
        """What happened to it, as the end of a sentence; empty when all is well."""
        path = self._at(own.path)
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return "removed"
        if own.target:
            return "" if stat.S_ISLNK(info.st_mode) and os.readlink(path) == own.target else "replaced"
        if not stat.S_ISREG(info.st_mode):
            return "replaced"
        if own.shared:
            return "" if sharedlines.within(_read(path), self._spare(own)) else "freed of Fairtime's lines"
        if (info.st_uid, info.st_gid) != self._owner or stat.S_IMODE(info.st_mode) != own.mode:
            return "given other rights"
        return "" if _hash(path) == own.sha256 else "changed"

    def restore(self, own: Own) -> None:
        """Put the spare copy in place, whole or not at all; ``OSError`` when that cannot be."""
        path = self._at(own.path)
        if own.shared:
            self._share(own, path)
            return
        for folder in [f for f in reversed(path.parents) if not f.exists()]:
            folder.mkdir()
            folder.chmod(0o755)  # the service's mask would close it
        aside = path.with_name(f".{path.name}.fairtime-new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f"{path.name}.in-the-way"))
        if own.target:
            aside.symlink_to(own.target)
        else:
            data = self._spare(own)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchown(descriptor, *self._owner)
                os.fchmod(descriptor, own.mode)
                # Python compares a module's time with that of its compiled form.
                os.utime(descriptor, (own.mtime, own.mtime))
                os.fsync(descriptor)
        os.replace(aside, path)

    def _share(self, own: Own, path: Path) -> None:
        """Put our lines back where they were; ``OSError`` where that place cannot be told."""
        was = path.lstat()
        text = sharedlines.put_back(_read(path), self._spare(own)) if stat.S_ISREG(was.st_mode) else None
        if text is None:
            raise OSError("the place of its lines is not to be found; run: sudo pam-auth-update")
        aside = path.with_name(f".{path.name}.fairtime-new")
        aside.write_bytes(text)
        os.chown(aside, was.st_uid, was.st_gid)
        aside.chmod(stat.S_IMODE(was.st_mode))
        os.replace(aside, path)

    def _spare(self, own: Own) -> bytes:
        place = self._own / SPARE / own.path.lstrip("/")
        with place.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if hashlib.sha256(data).hexdigest() != own.sha256:
            raise OSError("its spare copy is damaged, too; install Fairtime again")
        return data

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
