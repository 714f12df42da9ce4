"""What the I/O Registry knows (ioreg(8)): who has a session at the screen, how long nobody touched a key, which Mac this is.

``IOConsoleUsers`` is kept by WindowServer: one dictionary for each graphical session, with the keys of
``CGSessionCopyCurrentDictionary`` (CGSession.h).  ``CGSSessionScreenIsLocked`` is there only while the screen is locked;
Apple documents none of it for daemons (QA1133 says why), and nothing better is open to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.clock import Millis
from agent.platforms.macos.commands import Run, listed

IOREG = "/usr/sbin/ioreg"
USERS = (IOREG, "-n", "Root", "-d1", "-a")
INPUT = (IOREG, "-c", "IOHIDSystem", "-r", "-d1", "-a")
MACHINE = (IOREG, "-c", "IOPlatformExpertDevice", "-r", "-d1", "-a")
_NANOS = 1_000_000


@dataclass(frozen=True, slots=True)
class Login:
    """A graphical session."""

    uid: int
    name: str
    audit: int
    """The audit session, which launchd calls ``login/ASID``."""
    in_front: bool
    locked: bool

    @property
    def id(self) -> str:
        return f"{self.uid}.{self.audit}"


def logins(run: Run) -> tuple[Login, ...]:
    """People's graphical sessions; empty at the login window.  ``HostError`` when the registry cannot be read."""
    tree = listed(USERS, run(USERS))
    rows = tree.get("IOConsoleUsers") if isinstance(tree, dict) else None
    found = [_login(row) for row in rows or () if isinstance(row, dict)]
    return tuple(login for login in found if login is not None)


def input_idle(run: Run) -> Millis | None:
    """Since the last key, pointer or touch (``HIDIdleTime``, nanoseconds); ``None`` where there is no such device."""
    rows = listed(INPUT, run(INPUT)) or ()
    found = [row["HIDIdleTime"] for row in rows if isinstance(row, dict) and isinstance(row.get("HIDIdleTime"), int)]
    return min(found) // _NANOS if found else None


def hardware(run: Run) -> str:
    """The Mac's own id (``IOPlatformUUID``); empty where it has none."""
    for row in listed(MACHINE, run(MACHINE)) or ():
        if isinstance(row, dict) and isinstance(row.get("IOPlatformUUID"), str):
            return str(row["IOPlatformUUID"])
    return ""


def _login(row: dict[str, Any]) -> Login | None:
    uid, name = row.get("kCGSSessionUserIDKey"), row.get("kCGSSessionUserNameKey")
    if not isinstance(uid, int) or not isinstance(name, str) or row.get("kCGSessionLoginDoneKey") is False:
        return None  # the login window before anybody is through
    audit = row.get("kCGSSessionAuditIDKey", row.get("kSCSecuritySessionID", 0))
    return Login(
        uid=uid, name=name, audit=audit if isinstance(audit, int) else 0,
        in_front=bool(row.get("kCGSSessionOnConsoleKey")), locked=bool(row.get("CGSSessionScreenIsLocked")),
    )  # fmt: skip
