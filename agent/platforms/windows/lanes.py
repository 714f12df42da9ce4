"""The lanes of rules on this very PC: what ``sitelanes``, ``programs`` and ``health`` leave open, filled in with Windows' own."""

from __future__ import annotations

import ctypes
import os
import sys
import winreg
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PureWindowsPath

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.lanes is for Windows")

from agent.model.floor import ProgramFloor, Trait
from agent.platforms.windows import health, healthfacts, images, powershell
from agent.platforms.windows.applocker import Known, Places
from agent.platforms.windows.health import Facts
from agent.platforms.windows.hive import Hive
from agent.platforms.windows.images import Image
from agent.platforms.windows.programs import Programs
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.rights import ANYBODY, may
from agent.platforms.windows.sitelanes import SiteLanes
from agent.platforms.windows.values import as_text

SidOf = Callable[[str], str | None]
UNINSTALL = tuple(rf"SOFTWARE\{node}Microsoft\Windows\CurrentVersion\Uninstall" for node in ("", "WOW6432Node" + "\\"))
"""What was installed for the whole PC; only administrators write here."""
_MOST = 500


def sites(sid_of: SidOf) -> SiteLanes:
    """The lanes of sites of this PC."""
    users, machine = Registry(winreg.HKEY_USERS), Registry(winreg.HKEY_LOCAL_MACHINE)
    return SiteLanes(users, machine, sid_of, powershell.run, flush_names)


def programs(
    sid_of: SidOf, path_of: Callable[[str], str | None], publishers: Callable[[str], Collection[str]]
) -> Programs:
    """What AppLocker denies on this PC.

    ``path_of``: where a file with this SHA-256 was seen; ``publishers``: the full names of a signer's certificates, as
    ``applocker`` writes them.
    """
    machine = Registry(winreg.HKEY_LOCAL_MACHINE)
    seen: dict[str, Image] = {}

    def known(floors: Collection[ProgramFloor]) -> Known:
        traits = {trait for floor in floors for trait in _traits(floor)}
        hashes = {trait.value for trait in traits if trait.kind == "sha256"}
        for digest in hashes - seen.keys():
            image = _image(digest, path_of)
            if image is not None:
                seen[digest] = image
        signers = {trait.value for trait in traits if trait.kind == "signer"}
        return Known(
            {digest: seen[digest] for digest in hashes & seen.keys()},
            {signer: tuple(sorted(names)) for signer in signers if (names := publishers(signer))},
        )

    return Programs(machine, powershell.run, sid_of, known, lambda: places(machine))


def places(machine: Hive) -> Places:
    """Where this PC has what standard accounts may not write."""
    own = (os.environ.get("SYSTEMROOT", r"C:\Windows"), *_program_folders())
    found: dict[str, None] = {}
    for above in UNINSTALL:
        for name in machine.names(above)[:_MOST]:
            place = as_text(machine.value(rf"{above}\{name}", "InstallLocation")).strip().strip('"').rstrip("\\")
            # A drive alone would be every place on it.
            if len(PureWindowsPath(place).parts) > 1 and not any(_inside(place, one) for one in own):
                rights = healthfacts.descriptor(place)
                if rights is not None and not may(rights, ANYBODY):
                    found[place] = None
    return Places(own[0], own[1:], tuple(sorted(found)))


def facts(sids: dict[str, str], administrators: Collection[str], missing: Collection[str]) -> Facts:
    """What the doctor wants to know of this PC.  ``sids``: child → SID.  Some tenths of a second."""
    machine = Registry(winreg.HKEY_LOCAL_MACHINE)
    folders = health.path_folders(machine, winreg.ExpandEnvironmentStrings)
    return health.facts(
        machine,
        guest=healthfacts.guest_on(),
        encrypted=healthfacts.encrypted(),
        missing=frozenset(missing),
        administrators=frozenset(administrators),
        writable={
            child: health.open_folders(folders, healthfacts.descriptor, {sid, *ANYBODY}) for child, sid in sids.items()
        },
    )


def flush_names() -> None:
    """Let Windows' DNS client forget what it knows (what ``ipconfig /flushdns`` calls)."""
    ctypes.WinDLL("dnsapi").DnsFlushResolverCache()


def _traits(floor: ProgramFloor) -> Iterable[Trait]:
    for denial in (*floor.denials, *((floor.others,) if floor.others is not None else ())):
        yield from denial.traits
        yield from denial.unless


def _image(digest: str, path_of: Callable[[str], str | None]) -> Image | None:
    path = path_of(digest)
    if path is None:
        return None
    try:
        found = images.image(Path(path))
    except OSError:
        return None  # it is gone since, or closed: told as not seen
    return found[1] if found is not None and found[0] == digest else None


def _program_folders() -> tuple[str, ...]:
    names = ("PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432")
    return tuple(dict.fromkeys(place for name in names if (place := os.environ.get(name))))


def _inside(path: str, folder: str) -> bool:
    return f"{path}\\".casefold().startswith(f"{folder}\\".casefold())
