"""The operating system behind one interface.  Only this module chooses, and it imports one system only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import HostError
from agent.platforms.base import Desk, Host, Places, Supervisor

if TYPE_CHECKING:
    from agent.ipc.transport import Transport


def host(*, guarded: bool = False, gate: Sequence[str] | None = None) -> Host:
    """The host of this machine; ``HostError`` where Fairtime has none yet.

    ``guarded``: it keeps Fairtime's own files as they were installed, and may filter sites; for the one service of a PC.  ``gate``: programs are to
    be denied before they start, below these folders only, everywhere when it is empty; ``None``: stopped right after it.
    """
    if sys.platform == "linux":
        from agent.platforms.linux.guarding import Guard
        from agent.platforms.linux.host import LinuxHost
        from agent.platforms.linux.sitelanes import SiteLanes

        return LinuxHost(guard=Guard() if guarded else None, gate=gate, sites=SiteLanes() if guarded else None)
    if sys.platform == "darwin":
        from agent.platforms.macos.commands import run
        from agent.platforms.macos.host import MacHost
        from agent.platforms.macos.profiles import SiteProfiles

        return MacHost(run, sites=SiteProfiles(run) if guarded else None)
    if sys.platform == "win32":
        from agent.platforms.windows.host import WindowsHost

        return WindowsHost(guarded=guarded)
    raise _unknown()


def trial_host(folder: Path, account: str) -> Host:
    """This machine's host, confined to the programs of ``folder`` (also where everybody is root)."""
    if sys.platform == "linux":
        from agent.platforms.confined import ConfinedHost
        from agent.platforms.linux.host import LinuxHost

        return ConfinedHost(LinuxHost(may_watch_root=True), folder, account)
    if sys.platform == "darwin":
        from agent.platforms.confined import ConfinedHost
        from agent.platforms.macos.host import MacHost

        return ConfinedHost(MacHost(may_watch_root=True), folder, account)
    if sys.platform == "win32":
        from agent.platforms.confined import ConfinedHost
        from agent.platforms.windows.host import WindowsHost

        return ConfinedHost(WindowsHost(), folder, account)
    raise _unknown()


def desk() -> Desk:
    """The desktop of this session, for the tray."""
    if sys.platform == "linux":
        from agent.platforms.linux.desk import LinuxDesk

        return LinuxDesk()
    if sys.platform == "win32":
        from agent.platforms.windows.desk import WindowsDesk

        return WindowsDesk()
    if sys.platform == "darwin":
        from agent.platforms.macos.desk import MacDesk

        return MacDesk()
    raise _unknown()


def pipes() -> Transport:
    """How faces and service talk where there are no Unix sockets."""
    if sys.platform == "win32":
        from agent.platforms.windows.pipe import Pipes

        return Pipes()
    raise _unknown()


def places() -> Places:
    """This system's."""
    if sys.platform == "win32":
        from agent.platforms.windows import paths

        return paths.places()
    if sys.platform == "darwin":
        own = Path("/Library/Application Support/Fairtime")
        return Places(own / "state", Path("/var/run/fairtime/fairtime.sock"), own / "family.toml")
    return Places(Path("/var/lib/fairtime"), Path("/run/fairtime/fairtime.sock"), Path("/etc/fairtime/family.toml"))


def keep_to_itself(folder: Path) -> None:
    """Let a folder be the service's alone before anything is in it, where its mode does not say that."""
    if sys.platform == "win32":
        from agent.platforms.windows import paths

        paths.secure(folder)


def sealed(secret: bytes, purpose: str) -> bytes:
    """A secret as it may lie on the disk: sealed by the system where it has a key of the PC's for that (DPAPI)."""
    if sys.platform == "win32":
        from agent.platforms.windows import secrets

        return secrets.seal(secret, purpose)
    return secret


def unsealed(kept: bytes, purpose: str) -> bytes:
    """The secret again; ``StoreError`` when the system does not open it."""
    if sys.platform == "win32":
        from agent.platforms.windows import secrets

        return secrets.unseal(kept, purpose)
    return kept


def input_idle() -> int | None:
    """Seconds since somebody touched keyboard or mouse of this session; ``None`` where the service knows that by itself."""
    if sys.platform != "win32":
        return None
    from agent.platforms.windows import lastinput

    return lastinput.idle()


def files_given(files: Sequence[int]) -> AbstractContextManager[tuple[dict[str, Any], str]]:
    """Let a process that is started within have open files, where they are not handed on by their numbers: ``(words for
    subprocess, what it gives to take_files)``."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import childfiles

    return childfiles.given(files)


def take_files(told: str) -> None:
    """The other end of ``files_given``."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import childfiles

    childfiles.take(told)


def confine(memory: int, seconds: float) -> None:
    """At most so many bytes and seconds of a processor for this process, and no other process, where setrlimit(2) is not."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import confining

    confining.confine(memory, seconds)


def account() -> str:
    """This process's account, where it has no number."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import tokens

    return tokens.own().account


def privileged() -> bool:
    """Whether this process may do what an administrator may."""
    if sys.platform == "win32":
        from agent.platforms.windows import tokens

        return tokens.own().privileged
    return os.geteuid() == 0


def start_service() -> None:
    """Start the installed service and wait until it runs; ``HostError`` when it does not.  Where no other way is known."""
    if sys.platform == "darwin":
        from agent.platforms.macos import supervisor as launchd
        from agent.platforms.macos.commands import run

        launchd.start(run)
        return
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import installation

    installation.start()


def stop_service(folder: Path) -> None:
    """Stop the installed service and every other program of ``folder``, and wait for their end."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import installation, inuse

    installation.stop()
    inuse.end(folder)


def put_in_place(folder: Path) -> None:
    """Let the program in ``folder`` be this PC's service.  Windows' installer calls it; elsewhere packages do it."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import installation

    installation.put(folder)


def founded() -> bool:
    """Whether there is a household on this PC, whose limits are to hold."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import installation

    return installation.founded()


def take_away(folder: Path, by: str, *, forget: bool) -> Sequence[str]:
    """The opposite, in somebody's name; what could not be put back, in words.  ``forget``: policy, keys and record go, too."""
    if sys.platform != "win32":
        raise _unknown()
    from agent.platforms.windows import installation

    return installation.take_away(folder, by, forget=forget)


def supervised(run: Callable[[Supervisor], int]) -> int:
    """Run the service as one that the system starts, where the system talks with its services (Windows)."""
    if sys.platform == "win32":
        from agent.platforms.windows import service

        return service.dispatch(run)
    return run(supervisor())


def supervisor() -> Supervisor:
    """Who watches over the service on this machine."""
    if sys.platform == "linux":
        from agent.platforms.linux.watchdog import Watchdog

        return Watchdog()
    if sys.platform == "win32":
        from agent.platforms.windows.supervision import Supervision

        return Supervision(lambda: None, lambda: None)  # started in a terminal: nobody watches
    if sys.platform == "darwin":
        from agent.platforms.unsupervised import Unsupervised

        return Unsupervised()  # launchd starts again what ends, and waits for no sign of life
    raise _unknown()


def _unknown() -> HostError:
    return HostError(
        f"Fairtime cannot protect a PC that runs {sys.platform!r} yet",
        "See the support table in README.md.",
    )
