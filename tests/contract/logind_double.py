"""A private bus with a small double of systemd-logind on it: enough of org.freedesktop.login1 for one host, the two calls of
systemd that a host makes, and a display manager where a test wants one.

It complements the real logind of ``tests/system/test_linux_logind.py``; it never replaces it.  What it answers was copied
from what ``busctl introspect`` shows of systemd 252.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from agent.platforms.linux.logind import DISPLAYS, MANAGER, NAME, PATH, PROPERTIES, SESSION, SYSTEMD

needs_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[str]:
    """A bus of the test's own; its address."""
    address = f"unix:path={folder}/bus"
    process = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}", "--print-address",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 10)
    try:
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class LogindDouble:
    """Sessions that a test makes, locks and ends."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._bus: MessageBus | None = None
        self.sessions: dict[str, dict[str, Variant]] = {}
        self.calls: list[tuple[str, str]] = []
        """``(session id or empty, method)`` of every steering call."""
        self.honours_lock = True
        self.asked: list[tuple[str, list[Any]]] = []
        """``(method, arguments)`` of every call to the managers and to seats."""

    async def open(self) -> None:
        self._bus = await MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._answer)
        await self._bus.request_name(NAME)
        await self._bus.request_name(SYSTEMD)

    async def manage_displays(self) -> None:
        """A display manager that can show its login screen."""
        assert self._bus is not None
        await self._bus.request_name(DISPLAYS)

    def close(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    def add(self, id_: str, uid: int, name: str, **changes: Variant) -> str:
        """A new session, announced; as a graphical login on seat0 unless ``changes`` say otherwise."""
        self.sessions[id_] = {
            "Id": Variant("s", id_),
            "User": Variant("(uo)", [uid, f"{PATH}/user/_{uid}"]),
            "Name": Variant("s", name),
            "Type": Variant("s", "x11"),
            "Class": Variant("s", "user"),
            "State": Variant("s", "active"),
            "Active": Variant("b", True),
            "Remote": Variant("b", False),
            "Seat": Variant("(so)", ["seat0", f"{PATH}/seat/seat0"]),
            "LockedHint": Variant("b", False),
            "IdleHint": Variant("b", False),
            **changes,
        }
        self._signal(PATH, MANAGER, "SessionNew", "so", [id_, self._path(id_)])
        return id_

    def change(self, id_: str, **changes: Variant) -> None:
        self.sessions[id_].update(changes)
        self._signal(self._path(id_), PROPERTIES, "PropertiesChanged", "sa{sv}as", [SESSION, changes, []])

    def remove(self, id_: str) -> None:
        del self.sessions[id_]
        self._signal(PATH, MANAGER, "SessionRemoved", "so", [id_, self._path(id_)])

    def resume(self) -> None:
        self._signal(PATH, MANAGER, "PrepareForSleep", "b", [False])

    @staticmethod
    def _path(id_: str) -> str:
        return f"{PATH}/session/{id_}"

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        assert self._bus is not None
        self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _switched(self, message: Message) -> Message:
        if message.member == "TerminateUser":
            return Message.new_method_return(message)
        if message.member == "StartTransientUnit":
            return Message.new_method_return(message, "o", [f"{PATH}/job/1"])
        for id_, session in self.sessions.items():
            front = message.member == "ActivateSession" and message.body[0] == id_
            if session["Active"].value != front:
                self.change(id_, Active=Variant("b", front))
        return Message.new_method_return(message)

    def _answer(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        if message.member in ("TerminateUser", "StartTransientUnit", "ActivateSession", "SwitchTo", "SwitchToGreeter"):
            self.asked.append((message.member, message.body))
            return self._switched(message)
        if not str(message.path).startswith(PATH):
            return False
        if message.member == "ListSessions":
            rows = [
                [id_, s["User"].value[0], s["Name"].value, s["Seat"].value[0], self._path(id_)]
                for id_, s in self.sessions.items()
            ]
            return Message.new_method_return(message, "a(susso)", [rows])
        id_ = str(message.path).rpartition("/")[2]
        if id_ not in self.sessions:
            return Message.new_error(message, f"{NAME}.NoSuchSession", f"No session '{id_}' known")
        if message.member == "GetAll":
            return Message.new_method_return(message, "a{sv}", [self.sessions[id_]])
        self.calls.append((id_, str(message.member)))
        if message.member == "Lock":
            if self.honours_lock:
                self.change(id_, LockedHint=Variant("b", True))
        elif message.member == "Terminate":
            self.remove(id_)
        else:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", str(message.member))
        return Message.new_method_return(message)
