"""The commands of a Mac, answered from recordings; sessions are kept in memory and follow what is done to them."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.platforms.macos import registry, signatures
from agent.platforms.macos.commands import Told
from agent.platforms.macos.endings import CGSESSION, LAUNCHCTL

RECORDINGS = Path(__file__).parent / "recordings" / "macos"


def recorded(name: str) -> bytes:
    """A recording; a text without the line that says where it comes from."""
    data = (RECORDINGS / name).read_bytes()
    return data if name.endswith(".plist") else data.partition(b"\n")[2]


class MacDouble:
    """A ``Run``: knows each command by its words, and no other."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, Any]] = []
        self.asked: list[tuple[str, ...]] = []
        self.said: dict[tuple[str, ...], Told] = {
            registry.INPUT: Told(0, recorded("ioreg-input.plist")),
            registry.MACHINE: Told(0, recorded("ioreg-machine.plist")),
            ("/usr/bin/fdesetup", "status"): Told(0, recorded("fdesetup-on.txt")),
            ("/usr/bin/csrutil", "status"): Told(0, recorded("csrutil-on.txt")),
            ("/usr/sbin/sysadminctl", "-guestAccount", "status"): Told(0, b"", recorded("guest-off.txt")),
            ("/usr/sbin/scutil", "--dns"): Told(0, recorded("scutil-dns.txt")),
        }
        self._rows = plistlib.loads(recorded("ioreg-users.plist"))

    def login(self, uid: int, name: str) -> str:
        """A session in front, made after the recorded one; its id as the host has it."""
        audit = 100_100 + len(self.asked) + len(self.sessions)
        row = self._rows["IOConsoleUsers"][0] | {
            "kCGSSessionUserIDKey": uid, "kCGSSessionUserNameKey": name, "kCGSSessionAuditIDKey": audit,
        }  # fmt: skip
        self.sessions.append(row)
        return f"{uid}.{audit}"

    def __call__(self, words: Sequence[str]) -> Told:
        asked = tuple(words)
        self.asked.append(asked)
        if asked in self.said:
            return self.said[asked]
        if asked == registry.USERS:
            return Told(0, plistlib.dumps(self._rows | {"IOConsoleUsers": self.sessions}))
        if asked[:2] == (signatures.CODESIGN, "--verify"):
            return Told(1, b"", f"{asked[-1]}: code object is not signed at all\n".encode())
        if asked[:2] == (LAUNCHCTL, "bootout"):
            kind, _, uid = asked[2].partition("/")
            there = [row for row in self.sessions if str(row["kCGSSessionUserIDKey"]) == uid]
            if kind == "gui":
                self.sessions = [row for row in self.sessions if row not in there]
            return Told(0) if there else Told(3, b"", b"Boot-out failed: 3: No such process\n")
        if asked[:2] == (LAUNCHCTL, "asuser") and asked[3:] == (CGSESSION, "-suspend"):
            for row in self.sessions:
                if str(row["kCGSSessionUserIDKey"]) == asked[2]:
                    row["CGSSessionScreenIsLocked"] = True
            return Told(0)
        raise AssertionError(f"no recording answers {asked}")
