"""Logins in the container, as logind sees them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.box import Box, Command, Done
    from tests.system.started import Started

_numbers = itertools.count(1)


class Session:
    """One login.  Commands run in its cgroup, so that logind and Fairtime count them as the session's."""

    def __init__(self, box: Box, user: str, kind: str, id_: str, door: Started) -> None:
        self.box, self.user, self.kind, self.id = box, user, kind, id_
        self._door = door
        """What holds the login open on the outside; ``end`` closes it."""
        uid = box.run(["id", "-u", user]).out.strip()
        self.cgroup = f"/user.slice/user-{uid}.slice/session-{id_}.scope"
        self.env = {
            "XDG_SESSION_ID": id_, "XDG_RUNTIME_DIR": f"/run/user/{uid}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
        }  # fmt: skip

    def run(
        self, command: Command, *, timeout: float = 60, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Done:
        """Run a command in this session as its user."""
        return self.box.run(
            command, self.user, timeout=timeout, env={**self.env, **(env or {})}, stdin=stdin, cgroup=self.cgroup
        )

    def spawn(self, command: Command, *, env: Mapping[str, str] | None = None) -> Started:
        """Start a command in this session; it ends with the session."""
        return self.box.spawn(command, self.user, env={**self.env, **(env or {})}, cgroup=self.cgroup)

    def show(self, name: str) -> str:
        """A property of the session (``Active``, ``LockedHint``, ``State`` …); empty when there is no such session."""
        return self.box.run(["loginctl", "show-session", self.id, f"--property={name}", "--value"]).out.strip()

    @property
    def state(self) -> str:
        """As sd-login(3) reads it: ``opening``, ``active``, ``online``, ``closing``; empty when there is no such session."""
        return _said(self.box, self.id).get("STATE", "")

    @property
    def alive(self) -> bool:
        return self.state in ("active", "online")

    def end(self) -> None:
        self.box.run(["loginctl", "terminate-session", self.id])
        _shut(self._door)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Refused(Exception):
    """The login did not come about; its words."""


def open_session(box: Box, user: str, kind: str, within: float = 15) -> Session:
    """Log ``user`` in; raises ``Refused`` with what the login said when no session begins."""
    before = sessions(box, user)
    door = box.spawn(_words(box, user, kind))
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        new = sessions(box, user) - before
        if new:
            session = Session(box, user, kind, new.pop(), door)
            while session.state == "opening" and time.monotonic() < deadline:
                time.sleep(0.05)
            return session
        if door.poll() is not None:
            break
        time.sleep(0.1)
    raise Refused(f"exit {door.poll()}: {_shut(door)}")


def _shut(door: Started) -> str:
    door.end()
    out, err = door.communicate()
    return (out + err).decode(errors="replace").strip()


def sessions(box: Box, user: str) -> set[str]:
    """Ids of the sessions that logind has for an account."""
    names = [path.name for path in box.logins.iterdir() if path.name.isalnum()]  # beside pipes and files in the making
    return {name for name in names if _said(box, name).get("USER") == user}


def _said(box: Box, session: str) -> dict[str, str]:
    """What logind wrote of a session, for sd-login(3) to read; a loginctl for each look costs more than most that is tested."""
    try:
        text = (box.logins / session).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _words(box: Box, user: str, kind: str) -> list[str]:
    if kind in ("x11", "wayland"):
        return [
            "systemd-run", "--quiet", "--collect", "--wait", f"--unit=lab-login-{next(_numbers)}", f"--uid={user}",
            "--property=PAMName=login", f"--setenv=XDG_SESSION_TYPE={kind}", "--setenv=XDG_SESSION_CLASS=user",
            "sleep", "infinity",
        ]  # fmt: skip
    if kind == "tty":
        return ["script", "--quiet", "--command", f"login -f {user}", "/dev/null"]
    if kind == "su":
        return ["script", "--quiet", "--command", f"su --login {user}", "/dev/null"]
    if kind == "ssh":
        _trust(box, user)
        options = [
            "-tt",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]
        return ["ssh", *options, "-i", "/root/.ssh/lab", f"{user}@127.0.0.1"]
    raise ValueError(f"no such kind of session: {kind}")


def _trust(box: Box, user: str) -> None:
    box.run(
        "set -e; mkdir -p /root/.ssh; test -f /root/.ssh/lab || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/lab; "
        f"install -d -o {user} -g {user} -m 700 /home/{user}/.ssh; "
        f"install -o {user} -g {user} -m 600 /root/.ssh/lab.pub /home/{user}/.ssh/authorized_keys; "
        "systemctl start ssh"
    ).check()
