"""Who a running program is: its file, whether its account could have made it, what it carries, and what it runs.

The path is that of the image which Windows has mapped, with links followed and drive letters as this service has them, so
letters that a child makes (``subst``) change nothing.  Hash and signature are told by ``evidence``.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PureWindowsPath

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.identity is for Windows")

import psutil

from agent.model.program import ProgramId
from agent.platforms.inside import interpreters
from agent.platforms.windows import evidence
from agent.platforms.windows.accounts import Person
from agent.platforms.windows.authenticode import NONE, Signature
from agent.platforms.windows.evidence import Evidence
from agent.platforms.windows.handles import Handle
from agent.platforms.windows.permissions import Permissions

log = logging.getLogger(__name__)

MOST_SIGNED, MOST_PUBLISHERS = 512, 256
_ALSO_OWN = re.compile(r"^(wine|busybox|loader|env|flatpak|snap|emulator)$")
"""Kinds of interpreters that are none on Windows."""


class Identifier:
    """``later`` takes a path whose file is too large to be read on the spot, or need not be, and whether it is to be hashed, too;
    what was found is for ``learn``.  ``None``: it is read on the spot all the same."""

    def __init__(self) -> None:
        self.permissions = Permissions()
        self.later: Callable[[str, bool], None] | None = None
        self._windows = os.environ.get("SYSTEMROOT", r"C:\Windows")
        self._large: dict[str, Evidence] = {}
        """By path, for as long as a process of that file runs (see ``keep``)."""
        self._signed: OrderedDict[str, tuple[tuple[int, int], Signature]] = OrderedDict()
        """Of files that no child can change: path → (time and size, who signed it)."""
        self._publishers: dict[str, set[str]] = {}

    def running(self, handle: Handle, person: Person) -> ProgramId | None:
        """The program of a process; ``None`` when it is gone or has no image."""
        path = handle.path()
        if not path:
            return None
        kind = _kind(path)
        if kind:
            return self._inside(kind, path, _words(handle.pid), person, handle.pid)
        return self._finish(path, person, package=handle.package(), handle=handle)

    def file(self, path: str, person: Person) -> ProgramId | None:
        """What ``path`` would be if ``person`` ran it; ``None`` when there is no such program."""
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            return None
        found = self._finish(real, person)
        known = evidence.of_file(real)
        self._remember(known.signature)
        return ProgramId(
            name=found.name, path=found.path, sha256=known.sha256, signer=known.signature.signer,
            product=known.signature.product, protected=found.protected, application=found.application,
        )  # fmt: skip

    def learn(self, path: str, found: Evidence, digest: bool) -> None:
        """What ``later`` was asked for, in its words."""
        self._remember(found.signature)
        if digest:
            self._large[path.casefold()] = found
        elif (stamp := _stamp(path)) is not None:
            self._signed[path.casefold()] = stamp, found.signature
            while len(self._signed) > MOST_SIGNED:
                self._signed.popitem(last=False)

    def keep(self, paths: frozenset[str]) -> None:
        """Forget what is known of files that no known process runs any more, and that can be written to again."""
        if self._large:
            low = {path.casefold() for path in paths}
            self._large = {path: found for path, found in self._large.items() if path in low}

    def publishers(self, signer: str) -> frozenset[str]:
        """The full names of a signer's certificates that were seen here."""
        return frozenset(self._publishers.get(signer, ()))

    # ---- inside --------------------------------------------------------------------------------------------------

    def _inside(self, kind: str, path: str, words: list[str], person: Person, pid: int) -> ProgramId:
        plain = [word.replace("\\", "/") for word in words]
        found = interpreters.inner(kind, _stem(path), plain)
        if found.own:
            return self._finish(path, person)
        if not found.file:
            # Code from the command line, standard input or a module path: nothing on disk answers for it.
            return ProgramId(name=_clean(found.name), interpreter=_clean(path))
        file = PureWindowsPath(found.file)
        if not file.is_absolute():
            folder = _folder(pid)
            file = PureWindowsPath(folder) / file if folder else file
        inner = os.path.realpath(str(file)) if file.is_absolute() else str(file)
        identity = self._finish(inner, person, interpreter=path)
        safe = (
            identity.protected
            and self.permissions.protected(path, person)
            and all(_absolute(other) and self.permissions.protected(other, person) for other in found.others)
        )
        if safe or not identity.protected:
            return identity
        return ProgramId(name=identity.name, path=identity.path, interpreter=identity.interpreter)

    def _finish(
        self, path: str, person: Person, *, package: str = "", interpreter: str = "", handle: Handle | None = None
    ) -> ProgramId:
        safe = self.permissions.protected(path, person)
        own = f"{path}\\".casefold().startswith(f"{self._windows}\\".casefold())
        if not safe:
            known = self._evidence(path, handle)
        else:
            # An app's maker is told by its package, and what is Windows' own is signed elsewhere.
            known = Evidence("", NONE if own or package or interpreter else self._of_safe(path))
        return ProgramId(
            name=_clean(PureWindowsPath(path).name),
            path=_clean(path),
            sha256=known.sha256,
            signer=known.signature.signer,
            product=_clean(known.signature.product),
            package=f"appx:{package}" if package and safe else "",
            protected=safe,
            application=not own,
            interpreter=_clean(interpreter),
        )

    def _evidence(self, path: str, handle: Handle | None) -> Evidence:
        """Of a file that its account may change."""
        known = self._large.get(path.casefold())
        if known is not None:
            return known
        stamp = _stamp(path)
        if stamp is None:
            return Evidence()
        if stamp[1] > evidence.AT_ONCE and self.later is not None:
            self.later(path, True)
            return Evidence()
        found = evidence.of_file(path, handle)
        self._remember(found.signature)
        return found

    def _of_safe(self, path: str) -> Signature:
        key, stamp = path.casefold(), _stamp(path)
        at, known = self._signed.get(key, (None, NONE))
        if stamp is None or at == stamp:
            return known
        if self.later is None:
            self.learn(path, Evidence("", evidence.of_file(path, digest=False).signature), False)
            return self._signed[key][1] if key in self._signed else NONE
        self.later(path, False)
        return NONE

    def _remember(self, signature: Signature) -> None:
        if signature.full and (signature.signer in self._publishers or len(self._publishers) < MOST_PUBLISHERS):
            self._publishers.setdefault(signature.signer, set()).add(signature.full)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _kind(path: str) -> str:
    kind = interpreters.family(_stem(path))
    return "" if kind == "shell" or _ALSO_OWN.match(kind) else kind


def _stem(path: str) -> str:
    name = PureWindowsPath(path).name.lower()
    return name.removesuffix(".exe").removesuffix(".com")


def _words(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return []


def _folder(pid: int) -> str:
    try:
        return psutil.Process(pid).cwd()
    except (psutil.Error, OSError):
        return ""


def _absolute(path: str) -> bool:
    return PureWindowsPath(path).is_absolute()


def _clean(text: str) -> str:
    """Without what would hide or turn around what a guardian reads."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
