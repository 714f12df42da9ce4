"""Sessions as systemd-logind knows them, over the system bus (org.freedesktop.login1(5)).

State is kept here and changed by signals, so that reading it costs nothing; every ``REFRESH`` it is read whole again, in
case a signal was lost.  When the bus or logind goes away, the connection is made again with growing pauses, and ``why``
says so meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.errors import HostError
from agent.platforms.linux.background import Background

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
SESSION = "org.freedesktop.login1.Session"
SEAT = "org.freedesktop.login1.Seat"
SYSTEMD = "org.freedesktop.systemd1"
DISPLAYS = "org.freedesktop.DisplayManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = "org.freedesktop.DBus"

REFRESH = 20.0
"""Seconds between two full readings."""
_CONSOLES = 6
"""Text consoles on which logind starts a login when somebody goes there (NAutoVTs= of logind.conf(5))."""
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_OPENING = (0.05,) * 40 + (0.5,) * 240
"""Pauses between looks at a session that is opening: two seconds of often, then as long as a login waits."""
_REPLY = 5.0
_FIRST = 3.0
"""Seconds that ``open`` waits for the first reading, so that the first tick already sees sessions."""

_RULES = (
    f"type='signal',sender='{NAME}',interface='{MANAGER}'",
    f"type='signal',sender='{NAME}',interface='{PROPERTIES}',member='PropertiesChanged',path_namespace='{PATH}'",
    f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{NAME}'",
)


@dataclass(frozen=True, slots=True)
class Login:
    """One session, as logind tells it."""

    id: str
    path: str
    uid: int
    name: str
    kind: str
    """logind's Type: x11, wayland, mir, tty, unspecified, web."""
    class_: str
    state: str
    """opening, online, active, closing."""
    active: bool
    remote: bool
    seat: str
    console: int
    """The number of its virtual terminal; 0 when it has none."""
    locked_hint: bool
    idle_hint: bool

    @property
    def is_person(self) -> bool:
        """A person's session that has begun and is not on its way out; never a greeter, a lock screen or a service manager.

        One that is still opening is nobody's yet: logind never answers a login whose session is ended before it began, and
        the login would wait two minutes for it.
        """
        return self.lives and self.state != "opening"

    @property
    def lives(self) -> bool:
        """The same, with those that are about to begin.

        Classes ``user-early``, ``user-light`` and ``user-incomplete`` came with systemd 256 and are people too.
        """
        return self.class_.startswith("user") and self.state != "closing"


class Logind:
    """The connection.  ``changed`` is called from the loop whenever ``logins`` differs from before or the PC resumes."""

    def __init__(self, changed: Callable[[], None], *, address: str | None = None) -> None:
        self._changed = changed
        self._address = address
        self._bus: MessageBus | None = None
        self._owner_changed = asyncio.Event()
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._work = Background("a change of sessions could not be read")
        self.logins: dict[str, Login] = {}
        self._opening: set[str] = set()
        self._scopes = 0
        self.present = False
        """Whether ``logins`` can be believed now."""
        self.why = "The system bus has not been reached yet."

    async def open(self) -> None:
        """Connect if there is something to connect to; without it ``present`` stays False and trying goes on."""
        self._first.clear()
        self._task = asyncio.create_task(self._run(), name="logind")
        try:
            async with asyncio.timeout(_FIRST):
                await self._first.wait()
        except TimeoutError:
            log.warning("logind has not answered within %.0f s", _FIRST)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._work.close()
        self._leave()
        self.present = False

    async def lock(self, session: Login) -> None:
        await self._call(session.path, SESSION, "Lock")

    async def terminate(self, session: Login) -> None:
        await self._call(session.path, SESSION, "Terminate")

    async def leave(self, session: Login) -> None:
        """Put something else in front of a session of a seat: its login screen, else a text console with a login.

        The session cannot come back by itself: that takes a key, a password or root.  Nothing to do for one without a seat.
        """
        if not session.seat:
            return
        here = [other for other in self.logins.values() if other.seat == session.seat and other.id != session.id]
        for greeter in (other for other in here if other.class_ == "greeter" and other.state != "closing"):
            await self._call(PATH, MANAGER, "ActivateSession", "s", [greeter.id])
            return
        try:
            # LightDM and SDDM offer this; without it (GDM) a console does.
            path = "/" + DISPLAYS.replace(".", "/") + "/" + session.seat.capitalize()
            await self._call(path, f"{DISPLAYS}.Seat", "SwitchToGreeter", destination=DISPLAYS)
            return
        except HostError as error:
            log.info("no login screen to switch to: %s", error.title)
        taken = {other.console for other in here} | {session.console}
        free = next((number for number in range(_CONSOLES, 0, -1) if number not in taken), None)
        if free is None:
            raise HostError(f"No console of {session.seat} is free to switch to", "End a session there.")
        await self._call(f"{PATH}/seat/{session.seat}", SEAT, "SwitchTo", "u", [free])

    async def stop_services(self, uid: int) -> None:
        """Ask everything of an account to end, its services too; ``HostError`` when logind does not know it.

        Not StopUnit of ``user@UID.service``: logind would take that for still running, and not start it at the next login.
        """
        await self._call(PATH, MANAGER, "TerminateUser", "u", [uid])

    async def adopt(self, uid: int, pids: list[int]) -> None:
        """Move processes into the account's slice, as a scope of their own (systemd.scope(5))."""
        from dbus_fast import Variant

        self._scopes += 1
        about = [
            ["PIDs", Variant("au", pids)],
            ["Slice", Variant("s", f"user-{uid}.slice")],
            ["Description", Variant("s", "Programs of a child outside its sessions")],
        ]
        name = f"fairtime-{uid}-{os.getpid()}-{self._scopes}.scope"
        await self._systemd("StartTransientUnit", "ssa(sv)a(sa(sv))", [name, "fail", about, []])

    async def _systemd(self, member: str, signature: str, body: list[Any]) -> None:
        path, manager = "/" + SYSTEMD.replace(".", "/"), f"{SYSTEMD}.Manager"
        await self._call(path, manager, member, signature, body, destination=SYSTEMD)

    # ---- connection ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._connect()
                failures = 0
                await self._serve()
                reason = "The connection to the system bus was lost; trying again."
            except (OSError, EOFError, TimeoutError, HostError, ValueError) as error:
                reason = f"Sessions cannot be read from logind: {_words(error)}"
            self._leave()
            self._become(False, reason)
            self._first.set()
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1

    async def _connect(self) -> None:
        from dbus_fast import BusType
        from dbus_fast.aio import MessageBus
        from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

        try:
            bus = MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM)
            async with asyncio.timeout(_REPLY):
                self._bus = await bus.connect()
        except (AuthError, DBusError, InvalidAddressError) as error:
            raise HostError(str(error) or type(error).__name__) from error
        bus.add_message_handler(self._on_message)
        for rule in _RULES:
            await self._call("/org/freedesktop/DBus", BUS, "AddMatch", "s", [rule], destination=BUS)
        await self._refresh()

    async def _serve(self) -> None:
        """Stay until the bus is lost; read everything again now and then, and when logind itself comes back."""
        bus = self._bus
        assert bus is not None
        lost = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]  # dbus-fast's gap
        try:
            while True:
                self._owner_changed.clear()
                again = asyncio.ensure_future(self._owner_changed.wait())
                done, _ = await asyncio.wait({lost, again}, timeout=REFRESH, return_when=asyncio.FIRST_COMPLETED)
                again.cancel()
                if lost in done:
                    return
                await self._refresh()
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)

    def _leave(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    def _become(self, present: bool, why: str) -> None:
        if present != self.present:
            log.info("logind is %s", "there" if present else f"absent: {why}")
            self.present, self.why = present, why
            self._changed()
        self.why = why

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None, *,
        destination: str = NAME,
    ) -> list[Any]:  # fmt: skip
        from dbus_fast import Message, MessageType

        bus = self._bus
        if bus is None or not bus.connected:
            raise HostError(
                "logind cannot be reached, so sessions cannot be steered",
                "Check that systemd-logind and the system bus run: systemctl status systemd-logind dbus",
            )
        message = Message(
            destination=destination, path=path, interface=interface, member=member, signature=signature, body=body or []
        )
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the answer, and whoever ends the
            # loop would wait for ever.
            async with asyncio.timeout(_REPLY):
                reply = await bus.call(message)
        except (TimeoutError, OSError, EOFError) as error:
            raise HostError(f"logind did not answer {member}", "Check: systemctl status systemd-logind") from error
        if reply is None or reply.message_type is MessageType.ERROR:
            said = reply.body[0] if reply is not None and reply.body else "no reason given"
            raise HostError(f"logind refused {member}: {said}", "Check: systemctl status systemd-logind")
        return list(reply.body)

    # ---- state ---------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        listed = (await self._call(PATH, MANAGER, "ListSessions"))[0]
        logins: dict[str, Login] = {}
        for row in listed:
            login = await self._read(str(row[4]))
            if login is not None:
                logins[login.path] = login
        differs = logins != self.logins
        self.logins = logins
        self._become(True, "")
        self._first.set()
        if differs:
            self._changed()

    async def _read(self, path: str) -> Login | None:
        try:
            found = (await self._call(path, PROPERTIES, "GetAll", "s", [SESSION]))[0]
        except HostError:
            return None  # it ended between the list and the question
        return login_of(path, {key: variant.value for key, variant in found.items()})

    def _on_message(self, message: Message) -> None:
        if message.member == "PropertiesChanged" and message.interface == PROPERTIES:
            path = str(message.path)
            if path.startswith(f"{PATH}/session/") and path.rpartition("/")[2] not in ("self", "auto"):
                self._work.begin(self._update(path))
            elif path.startswith(f"{PATH}/seat/"):
                self._work.begin(self._update_all())
        elif message.interface == MANAGER:
            self._on_manager(message)
        elif message.member == "NameOwnerChanged" and message.body and message.body[0] == NAME:
            if message.body[2]:
                self._owner_changed.set()
            else:
                self._become(False, "systemd-logind has stopped; waiting for it to come back.")

    def _on_manager(self, message: Message) -> None:
        if message.member == "SessionNew":
            self._work.begin(self._update(str(message.body[1])))
        elif message.member == "SessionRemoved":
            if self.logins.pop(str(message.body[1]), None) is not None:
                self._changed()
        elif message.member == "PrepareForSleep" and not message.body[0]:
            # Resumed: much may have happened to the clock and to the screen.
            self._changed()
            self._work.begin(self._update_all())

    async def _update(self, path: str) -> None:
        login = await self._read(path)
        if login != self.logins.get(path):
            if login is None:
                self.logins.pop(path, None)
            else:
                self.logins[path] = login
            self._changed()
        if login is not None and login.state == "opening" and path not in self._opening:
            self._opening.add(path)
            self._work.begin(self._opened(path))

    async def _opened(self, path: str) -> None:
        """Wait until a session has begun: logind says when it is made, and not when it is there."""
        try:
            for pause in _OPENING:
                await asyncio.sleep(pause)
                await self._update(path)
                login = self.logins.get(path)
                if login is None or login.state != "opening":
                    return
        finally:
            self._opening.discard(path)

    async def _update_all(self) -> None:
        for path in list(self.logins):
            await self._update(path)


def login_of(path: str, found: dict[str, Any]) -> Login:
    """A ``Login`` of the properties that logind gave."""
    return Login(
        id=str(found.get("Id", path.rpartition("/")[2])),
        path=path,
        uid=int(found.get("User", (-1,))[0]),
        name=str(found.get("Name", "")),
        kind=str(found.get("Type", "unspecified")),
        class_=str(found.get("Class", "")),
        state=str(found.get("State", "")),
        active=bool(found.get("Active", False)),
        remote=bool(found.get("Remote", False)),
        seat=str(found.get("Seat", ("",))[0]),
        console=int(found.get("VTNr", 0)),
        locked_hint=bool(found.get("LockedHint", False)),
        idle_hint=bool(found.get("IdleHint", False)),
    )


def _words(error: BaseException) -> str:
    if isinstance(error, HostError):
        return error.title
    if isinstance(error, FileNotFoundError):
        return "there is no system bus on this machine"
    return str(error) or type(error).__name__
