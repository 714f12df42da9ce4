"""The desktop of a Linux session: is there a tray, how dense is the panel, and how to reach the system's GTK.

A tray here is one of two things: a StatusNotifierWatcher on the session bus (KDE, XFCE, Cinnamon, MATE, GNOME with the
AppIndicator extension), or an XEmbed tray, the owner of the X selection ``_NET_SYSTEM_TRAY_Sn`` (older panels).  Plain
GNOME has neither, and Wayland itself has no tray protocol: that is a state with a name here, not an error.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from agent.platforms import filelock
from agent.words import marked

assert sys.platform == "linux"  # for the type checker: flock and its like exist here only

WATCHERS = ("org.kde.StatusNotifierWatcher", "org.freedesktop.StatusNotifierWatcher")
DISTRIBUTION_PACKAGES = ("/usr/lib/python3/dist-packages",) + tuple(
    f"{root}/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for root in ("/usr/lib64", "/usr/lib")
)
"""Where Debian and Ubuntu, Fedora and openSUSE, and Arch keep PyGObject."""
BUS_PATIENCE = 3.0
"""Seconds to wait for the session bus."""
OPENING = 4.0
"""Seconds after which a page counts as opened."""


class LinuxDesk:
    """The ``Desk`` of this session, read from its environment (DISPLAY, WAYLAND_DISPLAY, DBUS_SESSION_BUS_ADDRESS)."""

    def tray_available(self) -> bool:
        return not self.why_no_tray()

    def why_no_tray(self) -> str:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return marked("There is no display in this session.")
        if asyncio.run(_owned(WATCHERS)) or _xembed_tray():
            return ""
        if "gnome" in os.environ.get("XDG_CURRENT_DESKTOP", "").lower():
            return marked(
                "GNOME shows no tray icons. A small window shows the time instead; the extension “AppIndicator and "
                "KStatusNotifierItem Support” brings the icon back."
            )
        return marked("This desktop has no tray. A small window shows the time instead.")

    def scale(self) -> float:
        """GDK_SCALE where it is set, else the X server's Xft.dpi; 1.0 when neither is known."""
        wanted = os.environ.get("GDK_SCALE", "")
        if wanted.isdigit() and int(wanted):
            return float(wanted)
        dpi = _xft_dpi()
        return dpi / 96 if dpi else 1.0

    def prepare(self) -> str:
        return borrow_gi() or _no_icon_of_gtk()

    def claim(self) -> bool:
        """By a lock on a file in the session's folder."""
        return filelock.hold(self.folder() / "tray.lock")

    def folder(self) -> Path:
        """``fairtime`` below XDG_RUNTIME_DIR (logind makes it, mode 0700), else below the person's cache folder."""
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        cache = os.environ.get("XDG_CACHE_HOME", "") or str(Path.home() / ".cache")
        folder = Path(runtime if runtime and os.access(runtime, os.W_OK) else cache) / "fairtime"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return folder

    def languages(self) -> tuple[str, ...]:
        """LANGUAGE, then the locale of messages: the first of LC_ALL, LC_MESSAGES and LANG that is set.  As in GNU gettext
        (Specifying a Priority List of Languages), LANGUAGE says nothing where that locale is C."""
        locale = next(filter(None, (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "C")
        if locale.partition(".")[0] in ("C", "POSIX"):
            return ()
        return (*filter(None, os.environ.get("LANGUAGE", "").split(":")), locale)

    def open_page(self, path: Path) -> bool:
        """Through xdg-open.  Its exit code tells that no program took the page, but without a desktop it waits for the browser
        to end, so one that is still there after a while has done its work."""
        program = shutil.which("xdg-open")
        if program is None:
            return False
        shown = _where_browsers_can_read(path)
        opener = subprocess.Popen(
            [program, str(shown)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return opener.wait(OPENING) == 0
        except subprocess.TimeoutExpired:
            threading.Thread(target=opener.wait, daemon=True).start()  # so that it leaves no zombie
            return True


def _where_browsers_can_read(path: Path) -> Path:
    """A browser from a Snap sees only files in the home folder that are not hidden (snapd's ``home`` interface), so the page
    is put beside the person's downloads there."""
    if not Path("/snap/bin").is_dir():
        return path
    downloads = Path.home() / "Downloads"
    place = (downloads if downloads.is_dir() else Path.home()) / path.name
    place.write_bytes(path.read_bytes())
    place.chmod(0o600)
    return place


def borrow_gi() -> str:
    """Make ``import gi`` work, and say why not otherwise (empty: it works).

    PyGObject belongs to the distribution's Python and is not on a virtual environment's path.  Its C part is named after the
    Python it was built for (``_gi.cpython-311-…so``): when that name suits this Python, exactly this one package is loaded
    from the distribution's folder, and nothing else there becomes importable.
    """
    if "gi" in sys.modules or importlib.util.find_spec("gi") is not None:
        return ""
    for folder in DISTRIBUTION_PACKAGES:
        package = Path(folder) / "gi"
        if not package.is_dir():
            continue
        if not any((package / f"_gi{suffix}").exists() for suffix in importlib.machinery.EXTENSION_SUFFIXES):
            return f"{package} was built for another Python than {sys.version_info.major}.{sys.version_info.minor}"
        spec = importlib.machinery.PathFinder.find_spec("gi", [folder])
        if spec is None or spec.loader is None:
            return f"{package} cannot be read"
        module = importlib.util.module_from_spec(spec)
        sys.modules["gi"] = module
        try:
            spec.loader.exec_module(module)
        except (ImportError, OSError) as error:
            del sys.modules["gi"]
            return f"{package} cannot be loaded: {error}"
        return ""
    return "PyGObject is missing (on Debian and Ubuntu: apt install python3-gi)"


def _no_icon_of_gtk() -> str:
    """Why GTK has no icon that a person could see (empty: it has one).

    Without AppIndicator's description GTK's own icon (XEmbed) is left, and where no such tray is it shows nothing at all and
    does not say so.
    """
    gi = importlib.import_module("gi")
    for name in ("AppIndicator3", "AyatanaAppIndicator3"):  # the order of pystray
        try:
            gi.require_version(name, "0.1")
        except ValueError:
            continue
        return ""
    if _xembed_tray():
        return ""
    return "AppIndicator is missing (on Debian and Ubuntu: apt install gir1.2-ayatanaappindicator3-0.1)"


async def _owned(names: tuple[str, ...]) -> bool:
    """Whether any of these names has an owner on the session bus; no bus, no owner."""
    from dbus_fast import BusType, Message
    from dbus_fast.aio import MessageBus
    from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

    bus: MessageBus | None = None
    try:
        bus = MessageBus(bus_type=BusType.SESSION)
        async with asyncio.timeout(BUS_PATIENCE):
            await bus.connect()
            for name in names:
                question = Message(
                    destination="org.freedesktop.DBus",
                    path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus",
                    member="NameHasOwner",
                    signature="s",
                    body=[name],
                )
                reply = await bus.call(question)
                if reply is not None and reply.body == [True]:
                    return True
    except (OSError, EOFError, TimeoutError, AuthError, DBusError, InvalidAddressError):
        return False  # A session without a bus has no watcher either.
    finally:
        if bus is not None:
            bus.disconnect()
    return False


def _x_display() -> Any:
    """A connection to the X server, or ``None``.  python-xlib comes with pystray on Linux and has no type information."""
    if not os.environ.get("DISPLAY"):
        return None
    try:
        errors = importlib.import_module("Xlib.error")
        return importlib.import_module("Xlib.display").Display()
    except ImportError:
        return None
    except (OSError, errors.DisplayError):
        return None


def _xembed_tray() -> bool:
    display = _x_display()
    if display is None:
        return False
    try:
        selection = display.intern_atom(f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}")
        return bool(display.get_selection_owner(selection))
    finally:
        display.close()


def _xft_dpi() -> float:
    display = _x_display()
    if display is None:
        return 0.0
    try:
        root = display.screen().root
        found = root.get_full_property(display.intern_atom("RESOURCE_MANAGER"), display.intern_atom("STRING"))
    finally:
        display.close()
    text = found.value.decode("latin-1") if found is not None else ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Xft.dpi" and value.strip().replace(".", "", 1).isdigit():
            return float(value)
    return 0.0
