"""What is inside the program's folder, and whose it is: each file that PyInstaller took, traced to the package it came from.

Python packages tell their licence in their metadata; libraries of the system that builds are traced through its package
manager.  A file that nobody owns is named, so that nothing goes out unseen.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from installer.freeze import REPORT, ROOT

_LICENCE_FILE = re.compile(r"(^|/)(licen[cs]es?/|licen[cs]e|copying|notice|authors)[^/]*$", re.IGNORECASE)
_CLASSIFIER = "License :: "
_LONGEST = 80
"""Characters of a License field that is a name; longer ones hold the whole text."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of software: ``kind`` is ``python`` (a distribution) or ``system`` (a library of the building system)."""

    name: str
    version: str
    licence: str
    kind: str
    texts: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    """Names of other parts that this one needs (Python distributions only)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in the folder: our own version, the parts by name, and files that nobody owns."""

    version: str
    parts: tuple[Part, ...]
    unknown: tuple[str, ...]


@dataclass(slots=True)
class _Owners:
    """Distributions by the files that they brought."""

    of: dict[Path, metadata.Distribution] = field(default_factory=dict)

    @classmethod
    def read(cls) -> _Owners:
        found = cls()
        for one in metadata.distributions():
            for file in one.files or ():
                found.of[Path(str(one.locate_file(file)))] = one
        return found


def read(report: Path = REPORT) -> Contents:
    """The contents of the folder that was built last; ``FileNotFoundError`` before the first build."""
    told = json.loads(report.read_text(encoding="utf-8"))
    owners = _Owners.read()
    python: dict[str, metadata.Distribution] = {}
    system: set[Path] = set()
    unknown: set[str] = set()
    base = Path(sys.base_prefix)
    for place, source in told["files"]:
        path = Path(source)
        owner = owners.of.get(path)
        if owner is not None:
            python[_plain(owner.name)] = owner
        elif source in ("", "-") or path.is_relative_to(ROOT / "agent") or _ours(path):
            continue
        elif path.is_relative_to(base) and base != Path("/usr"):
            continue  # Python's own: it is always there, and named below
        elif path.is_absolute():
            system.add(path)
        else:
            unknown.add(place)
    parts = [_python(), _bootloader(), *(_distribution(one, python) for _, one in sorted(python.items()))]
    libraries, homeless = _libraries(sorted(system))
    unknown.update(homeless)
    return Contents(told["version"], (*parts, *libraries), tuple(sorted(unknown)))


def _ours(path: Path) -> bool:
    inside = (ROOT / "policies", ROOT / "assets", ROOT / "build", ROOT / "dist")
    return any(path.is_relative_to(folder) for folder in inside) or not path.is_absolute()


# ---- Python and its distributions ----------------------------------------------------------------------------------


def _python() -> Part:
    texts = [Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", Path("/usr/share/doc/python3.11/copyright")]
    found = tuple(path.read_text(encoding="utf-8", errors="replace") for path in texts if path.is_file())[:1]
    return Part("CPython", ".".join(map(str, sys.version_info[:3])), "PSF-2.0", "python-itself", found)


def _bootloader() -> Part:
    """The start of each program is PyInstaller's; the rest of it only builds."""
    one = metadata.distribution("pyinstaller")
    return Part(
        "PyInstaller bootloader",
        one.version,
        "GPL-2.0-or-later WITH Bootloader-exception",
        "python",
        tuple(_texts(one)),
    )


def _distribution(one: metadata.Distribution, there: Iterable[str]) -> Part:
    known = set(there)
    names = {_plain(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in one.requires or ()}
    return Part(
        _plain(one.name), one.version, licence(one.metadata), "python", tuple(_texts(one)), tuple(sorted(names & known))
    )


def licence(told: metadata.PackageMetadata) -> str:
    """A distribution's licence in few words: an SPDX expression where there is one; ``see its text`` when it does not say."""
    said = _field(told, "License-Expression")
    if not said:
        named = [
            text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if text.startswith(_CLASSIFIER)
        ]
        said = ", ".join(text for text in named if text != "OSI Approved")
    if not said:
        said = _field(told, "License").strip()
        said = said if len(said) <= _LONGEST and "\n" not in said else ""
    return said or "see its text"


def _field(told: metadata.PackageMetadata, name: str) -> str:
    return told[name] or "" if name in told else ""


def _texts(one: metadata.Distribution) -> Iterator[str]:
    for file in sorted(one.files or (), key=str):
        name = str(file)
        if ".dist-info/" in name and _LICENCE_FILE.search(name.partition(".dist-info/")[2]):
            path = Path(str(one.locate_file(file)))
            if path.is_file():
                yield path.read_text(encoding="utf-8", errors="replace")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- the building system's libraries -------------------------------------------------------------------------------


def _libraries(paths: Iterable[Path]) -> tuple[list[Part], list[str]]:
    """The packages that own these files, and the files that none does."""
    # The merged /usr: dpkg knows some files by the name that they had before.
    names = {path: _names(path) for path in paths}
    owner: dict[str, str] = {}
    for line in _said("dpkg-query", "-S", *sorted({one for many in names.values() for one in many})).splitlines():
        packages, _, file = line.partition(": ")
        owner[file] = packages.split(", ")[0]
    packages_of = {path: [owner[one] for one in many if one in owner] for path, many in names.items()}
    found = {name: _package(name) for name in sorted({many[0] for many in packages_of.values() if many})}
    return list(found.values()), [str(path) for path, many in packages_of.items() if not many]


def _names(path: Path) -> list[str]:
    real = str(path.resolve())
    return list(dict.fromkeys((str(path), real, real.removeprefix("/usr"))))


def _package(name: str) -> Part:
    version = _said("dpkg-query", "-W", "-f=${Version}", name)
    plain = name.partition(":")[0]
    copyright_file = Path("/usr/share/doc") / plain / "copyright"
    text = copyright_file.read_text(encoding="utf-8", errors="replace") if copyright_file.is_file() else ""
    named = dict.fromkeys(re.findall(r"^License: *(\S[^\n]*)$", text, re.MULTILINE))
    return Part(plain, version, ", ".join(list(named)[:6]) or "see its text", "system", (text,) if text else ())


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:  # another kind of system: the files are named as nobody's
        return ""
    return done.stdout.strip()  # of many files it tells of those that it knows, and ends with 1
