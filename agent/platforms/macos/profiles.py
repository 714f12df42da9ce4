"""The lanes of sites on a Mac: one profile for each child, written for a guardian to install, and whether that was done."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from agent.clock import MINUTE, Millis
from agent.errors import HostError
from agent.model.site import SiteLane
from agent.platforms.macos.commands import Run, listed
from agent.platforms.macos.profile import EncryptedDns, Profile, profile

log = logging.getLogger(__name__)

SHOW = ("/usr/bin/profiles", "show", "-type", "configuration", "-all", "-output", "stdout-xml")
FOLDER = Path("/Library/Application Support/Fairtime/profiles")
LOOK_EVERY: Millis = MINUTE
_ODD = re.compile(r"[^A-Za-z0-9._-]")
NO_DNS = (
    "macOS asks for names in its own account's name, so they cannot be filtered for one child; its browsers get rules "
    "from a profile."
)


class SiteProfiles:
    """``dns``: a name server that filters, for the profiles.  Nothing is written before ``put``."""

    def __init__(self, run: Run, folder: Path = FOLDER, dns: EncryptedDns | None = None) -> None:
        self._run = run
        self._folder = folder
        self._dns = dns
        self._wanted: dict[str, Profile] = {}
        self._missing: tuple[str, ...] = ()
        self._looked: Millis | None = None
        self._why = ""

    @property
    def browsers_why(self) -> str:
        """Why browsers are not told; empty when each child's profile is installed as it should be."""
        if self._why:
            return self._why
        if not self._wanted:
            return "No child's rules are about sites, or sites are not filtered by this service."
        if not self._missing:
            return ""
        names = ", ".join(self._missing)
        return (
            f"The newest profile is not installed for {names}. Log in as that child, open it from {self._folder} and "
            "install it in System Settings with an administrator's password."
        )

    def due(self, now: Millis) -> bool:
        return bool(self._wanted) and (self._looked is None or now - self._looked >= LOOK_EVERY)

    def put(self, lanes: Sequence[SiteLane]) -> None:
        """Write the profiles.  ``HostError`` for as long as there are lanes: names cannot be filtered here."""
        wanted = {
            account: profile(account, lane.plan, lane.few, self._dns) for lane in lanes for account in lane.accounts
        }
        old = self._wanted
        self._wanted = wanted
        for account, one in wanted.items():
            if old.get(account) != one:
                self._write(account, one)
        self.look(None)
        if wanted:
            raise HostError("This Mac does not filter names of sites", self.browsers_why or NO_DNS)

    def look(self, now: Millis | None) -> None:
        """Ask which profiles are installed."""
        self._looked = now
        if not self._wanted:
            self._missing, self._why = (), ""
            return
        try:
            there = installed(self._run)
        except HostError as error:
            self._why = f"{error.title}. {error.advice}"
            return
        self._why = ""
        self._missing = tuple(
            account for account, one in self._wanted.items() if (account, one.identifier, one.uuid) not in there
        )

    def _write(self, account: str, one: Profile) -> None:
        path = self._folder / f"{_ODD.sub('_', account)}.mobileconfig"
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            part.write_bytes(one.data)
            part.chmod(0o644)
            os.replace(part, path)
        except OSError as error:
            raise HostError(
                f"The profile for {account} cannot be written: {error.strerror}", "Run the service as the LaunchDaemon.",
                where=str(path),
            ) from error  # fmt: skip


def installed(run: Run) -> frozenset[tuple[str, str, str]]:
    """``(account, identifier, UUID)`` of every profile of an account (profiles(1); needs root)."""
    told = listed(SHOW, run(SHOW))
    found = set()
    for account, rows in told.items() if isinstance(told, dict) else ():
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                found.add((str(account), str(row.get("ProfileIdentifier")), str(row.get("ProfileUUID"))))
    return frozenset(found)
