"""A whole small desktop on a display of its own: Xvfb, a session bus, openbox, dunst, and a panel where one is wanted.

Loaded by path from ``conftest`` and from ``tests/pictures.py``.  Nothing of the machine's own session is touched: every
program gets its own HOME, runtime folder, bus and display, and all of them end with the screen.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.ipc.answers import Done, Event, Failure, Message, Reply, Result, Rights, Status, Text, Welcome
from agent.ipc.protocol import (
    MAX_FRAME,
    Answer,
    Ask,
    Body,
    Call,
    GetAgreement,
    GetStatus,
    GetWeek,
    Give,
    Hello,
    Prove,
    Release,
    Subscribe,
)
from agent.model.verdict import Notify

PROGRAMS = {
    "Xvfb": "xvfb",
    "dbus-daemon": "dbus-daemon",
    "openbox": "openbox",
    "dunst": "dunst",
    "dunstctl": "dunst",
    "xfce4-panel": "xfce4-panel",
    "xdotool": "xdotool",
    "import": "imagemagick",
}
"""Programs of the desktop and the Debian packages they come in."""
INDICATOR = "gir1.2-ayatanaappindicator3-0.1"

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="30"/>
      <property name="icon-size" type="uint" value="22"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
        <value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="icon-size" type="int" value="22"/>
      <property name="square-icons" type="bool" value="true"/>
    </property>
    <property name="plugin-2" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-3" type="string" value="clock"/>
  </property>
</channel>
"""
DUNST = """[global]
    font = DejaVu Sans 11
    width = 360
    height = 300
    origin = top-right
    offset = 20x50
    frame_width = 1
    separator_height = 1
    markup = full
    format = "<b>%s</b>\\n%b"
    show_indicators = no
    max_icon_size = 48
[urgency_low]
    timeout = 0
[urgency_normal]
    timeout = 0
[urgency_critical]
    timeout = 0
"""
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  {services}
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def missing() -> str:
    """What must be installed before a screen can start; empty when all is there."""
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    typelibs = Path("/usr/lib").glob("*/girepository-1.0/AyatanaAppIndicator3-0.1.typelib")
    if not any(typelibs):
        packages.append(INDICATOR)
    from agent.platforms.linux.desk import borrow_gi

    why = borrow_gi()
    if why:
        packages.append(f"python3-gi ({why})")
    try:
        import tkinter  # noqa: F401  # only whether it is there
    except ImportError:
        packages.append("python3-tk")
    return "apt install " + " ".join(packages) if packages else ""


def until(true: Callable[[], Any], what: str, patience: float = 20.0) -> Any:
    """What ``true`` gives as soon as it gives something; an AssertionError that names ``what`` otherwise."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience:g} s in vain for {what}")


LOCALES = Path("/usr/share/i18n/locales")
"""Where glibc keeps what locales are made of (Debian: in the package ``locales``)."""


class Screen:
    """A desktop.  ``panel=False`` is a GNOME without its extension: notices, but nowhere to put an icon.

    ``locale``: its language, such as ``ar_EG``.
    """

    def __init__(
        self,
        *,
        panel: bool = True,
        notices: bool = True,
        dark: bool = False,
        size: str = "1100x700",
        locale: str = "C",
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fairtime-screen-"))
        self._running: list[subprocess.Popen[bytes]] = []
        for name in ("home", "config", "run", "cache"):
            (self.folder / name).mkdir(mode=0o700)
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "LANG": f"{locale}.UTF-8",
            "NO_AT_BRIDGE": "1",
            "GTK_THEME": "Adwaita:dark" if dark else "Adwaita",
            "XDG_CURRENT_DESKTOP": "XFCE" if panel else "GNOME",
        }
        if locale != "C":
            # A locale of this screen's own: panels take their direction from it, and the machine need not have it.
            made = self.folder / "locales"
            made.mkdir()
            self.run("localedef", "-i", locale, "-f", "UTF-8", str(made / f"{locale}.UTF-8"))
            self.env["LOCPATH"] = str(made)
        try:
            self._display(size)
            self._bus(activation=panel or notices)
            self.start("openbox")
            if notices:
                self._notices()
            if panel:
                self._panel(dark)
        except BaseException:
            self.close()
            raise

    def start(self, *command: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start a program on this screen; its output goes to a file in ``folder``."""
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            more.setdefault("stdout", log)
            program = subprocess.Popen(command, env=self.env, stderr=log, start_new_session=True, **more)
        self._running.append(program)
        return program

    def run(self, *command: str) -> str:
        """Run a program to its end and give what it wrote."""
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=True, timeout=30).stdout

    def close(self) -> None:
        for program in reversed(self._running):
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGTERM)
        for program in reversed(self._running):
            try:
                program.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait(3)
        shutil.rmtree(self.folder, ignore_errors=True)

    def picture(self, path: Path) -> Path:
        """Take a picture of the whole screen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.run("import", "-silent", "-window", "root", str(path))
        return path

    def windows(self, name: str) -> list[str]:
        """Ids of the visible windows whose title matches."""
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", name],
            check=False,  # 1: there is none
            env=self.env,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return found.stdout.split()

    def window(self, name: str) -> str:
        return str(until(lambda: self.windows(name), f"a window called {name!r}")[0])

    def keys(self, *keys: str) -> None:
        self.run("xdotool", "key", "--clearmodifiers", "--delay", "60", *keys)

    def type(self, text: str) -> None:
        self.run("xdotool", "type", "--delay", "40", text)

    def click(self, x: int, y: int) -> None:
        self.run("xdotool", "mousemove", str(x), str(y), "click", "1")

    def shown_notices(self) -> list[str]:
        """The texts that dunst has shown.  Only closed notices are in its history, so all are closed."""
        self.run("dunstctl", "close-all")
        history = msgspec.json.decode(self.run("dunstctl", "history"))
        return [notice["body"]["data"] for notice in history["data"][0]]

    def _display(self, size: str) -> None:
        reading, writing = os.pipe()
        # -displayfd lets the server choose a free display by itself, so that two screens never meet.
        self.start(
            "Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp", pass_fds=(writing,)
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise AssertionError(f"Xvfb did not start: {(self.folder / 'Xvfb.log').read_text()}")
        self.env["DISPLAY"] = f":{number}"

    def _bus(self, *, activation: bool) -> None:
        """Without ``activation`` the bus knows no programs to start, or it would start a notice daemon by itself."""
        config = self.folder / "bus.conf"
        config.write_text(BUS.format(folder=self.folder, services="<standard_session_servicedirs/>" * activation))
        bus = self.start(
            "dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1", stdout=subprocess.PIPE
        )
        assert bus.stdout is not None
        self.env["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        bus.stdout.close()

    def _notices(self) -> None:
        config = self.folder / "dunstrc"
        config.write_text(DUNST)
        self.start("dunst", "-config", str(config))
        until(lambda: self._owned("org.freedesktop.Notifications"), "dunst")

    def _panel(self, dark: bool) -> None:
        folder = self.folder / "config/xfce4/xfconf/xfce-perchannel-xml"
        folder.mkdir(parents=True)
        (folder / "xfce4-panel.xml").write_text(PANEL.format(dark=str(dark).lower()))
        self.start("xfce4-panel", "--disable-wm-check")
        until(lambda: self._owned("org.kde.StatusNotifierWatcher"), "the panel's tray")

    def _owned(self, name: str) -> bool:
        answer = self.run(
            "dbus-send",
            "--session",
            "--print-reply=literal",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.NameHasOwner",
            f"string:{name}",
        )
        return "true" in answer

    def tray_items(self) -> str:
        """What the panel's watcher says is registered."""
        return self.run(
            "dbus-send",
            "--session",
            "--print-reply",
            "--dest=org.kde.StatusNotifierWatcher",
            "/StatusNotifierWatcher",
            "org.freedesktop.DBus.Properties.Get",
            "string:org.kde.StatusNotifierWatcher",
            "string:RegisteredStatusNotifierItems",
        )

    def root_colour(self, colour: int) -> None:
        """Paint the background, which is black otherwise."""
        display = importlib.import_module("Xlib.display").Display(self.env["DISPLAY"])
        root = display.screen().root
        root.change_attributes(background_pixel=colour)
        root.clear_area(0, 0, 0, 0)
        display.sync()
        # The colour stays when the painter leaves only if its resources do.
        display.set_close_down_mode(1)
        display.close()

    def tray(self, path: Path, *, before: str = "") -> subprocess.Popen[bytes]:
        """Start the real tray, speaking to the service at ``path``; ``before`` is Python to run first."""
        program = f"import sys; {before or 'pass'}; from agent.tray.app import run; sys.exit(run(sys.argv[1]))"
        return self.start(sys.executable, "-c", program, str(path))

    def log(self, program: str) -> str:
        path = self.folder / f"{program}.log"
        return path.read_text(errors="replace") if path.exists() else ""


class Service:
    """A stand-in for the service at the other end of the wire: real frames, canned states, and it notes what it is asked.

    ``pin`` opens the rights.  ``give`` of time changes the state by that much, so that the tray's reaction can be seen.
    """

    def __init__(self, path: Path, status: Status, *, pin: str = "2468") -> None:
        self.path, self.status, self.pin = path, status, pin
        self.heard: list[Body] = []
        self._watchers: list[socket.socket] = []
        self._peers: list[socket.socket] = []
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self.path.chmod(0o666)
        self._listener.listen(8)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Die as a killed service does: every connection ends, nobody listens."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for peer in self._peers:
                peer.close() if peer.fileno() == -1 else _hang_up(peer)
            self._peers.clear()
            self._watchers.clear()

    def restart(self) -> None:
        self._open()

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    def of(self, kind: type[Body]) -> list[Any]:
        """What was heard of one kind of request."""
        return [body for body in self.heard if isinstance(body, kind)]

    def push(self, *, status: Status | None = None, notice: Notify | None = None) -> None:
        """A new state or a notice, to everyone who watches."""
        if status is not None:
            self.status = status
        with self._lock:
            watchers = list(self._watchers)
        for peer in watchers:
            _write(peer, Event(status=status, notice=notice))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        decoder = msgspec.json.Decoder(Call)
        rights = False
        with peer:
            while (frame := _read(peer)) is not None:
                call = decoder.decode(frame)
                self.heard.append(call.body)
                answer: Result | Failure
                if isinstance(call.body, Prove):
                    rights = call.body.pin == self.pin
                    answer = (
                        Rights(seconds=120)
                        if rights
                        else Failure(id=call.id, code="refused", title="That is not the PIN.", advice="Try again.")
                    )
                elif isinstance(call.body, Give | Answer | Release) and not rights:
                    answer = Failure(id=call.id, code="refused", title="A PIN is needed.")
                else:
                    answer = self._result(call.body)
                _write(peer, answer if isinstance(answer, Failure) else Reply(id=call.id, result=answer))
                if isinstance(call.body, Subscribe):
                    with self._lock:
                        self._watchers.append(peer)
                    _write(peer, Event(status=self.status))

    def _result(self, body: Body) -> Result:
        match body:
            case Hello():
                return Welcome(version=1, role=self.status.role, child="mia")
            case GetStatus():
                return self.status
            case Ask(seconds=seconds):
                return Done(sentence=f"Asked for {seconds // 60} minutes. A guardian will answer.", id="r1")
            case Give(kind="time", seconds=seconds):
                self.push(status=more_time(self.status, seconds))
                return Done(sentence=f"{body.child} has {seconds // 60} minutes more.", id="g1")
            case GetAgreement():
                return Text(text="Our agreement\n\nMia may use the computer for two hours on a school day.")
            case GetWeek(form=form):
                return Text(text="<!doctype html><title>My week</title><h1>My week</h1>", form=form)
        return Done(sentence="Done.")


def more_time(status: Status, seconds: int) -> Status:
    first, *others = status.children
    left = (first.seconds_left or 0) + seconds
    verdict = msgspec.structs.replace(first.verdict, remaining=left * 1000, stage="open")
    changed = msgspec.structs.replace(first, seconds_left=left, verdict=verdict)
    return msgspec.structs.replace(status, children=(changed, *others))


def _hang_up(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        peer.close()  # The other side was quicker.


def _write(peer: socket.socket, message: Message) -> None:
    data = msgspec.json.encode(message)
    try:
        peer.sendall(struct.pack(">I", len(data)) + data)
    except OSError:
        peer.close()  # A peer that left is no longer served.


def _read(peer: socket.socket) -> bytes | None:
    head = _exactly(peer, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    assert length <= MAX_FRAME
    return _exactly(peer, length)


def _exactly(peer: socket.socket, length: int) -> bytes | None:
    data = b""
    while len(data) < length:
        try:
            more = peer.recv(length - len(data))
        except OSError:
            return None
        if not more:
            return None
        data += more
    return data
