"""The lanes of sites on a Windows PC, kept as one: the browsers' rules, the firewall, and whom the PC asks for names.

Each child's plan goes to all of them, with the same meaning as on Linux; each looks after itself and says what it lacks.
What Windows cannot have is a resolver for one child (``nrpt``), so ``put`` always says that once all the rest is in force.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from agent import resources
from agent.clock import Millis
from agent.errors import HostError
from agent.filter import chromium
from agent.model.site import SiteLane
from agent.model.snapshot import Mended
from agent.platforms.base import Finding
from agent.platforms.windows.browsers import Audience, Browsers
from agent.platforms.windows.firewall import Firewall
from agent.platforms.windows.hive import Hive
from agent.platforms.windows.nrpt import NOT_FILTERED, Names, NameServers
from agent.platforms.windows.powershell import Run

log = logging.getLogger(__name__)

_ADVICE = "Block-lists hold in Chromium's family and Firefox; block other browsers in the children's programs."


class SiteLanes:
    """What ``Host.put_sites`` and ``Host.resolver`` ask for.

    ``users`` and ``machine`` are the roots of the registry, ``sid_of`` tells an account's SID (``None``: there is no such
    account), ``run`` runs PowerShell, ``flush`` lets Windows' DNS client forget what it knows.
    """

    def __init__(
        self, users: Hive, machine: Hive, sid_of: Callable[[str], str | None], run: Run, flush: Callable[[], None]
    ) -> None:
        self.browsers = Browsers(users, machine)
        self.firewall = Firewall(machine, run)
        self.name_servers = NameServers(machine)
        self._machine = machine
        self._sid_of = sid_of
        self._flush = flush
        self._names: Names | None = None
        self._lanes: tuple[SiteLane, ...] = ()

    def resolver(self, changed: Callable[[], None]) -> Names:
        """What stands in for a resolver; always the same one."""
        if self._names is None:
            self._names = Names(self._machine, self.name_servers, self._flush, changed)
        return self._names

    def put(self, lanes: Sequence[SiteLane]) -> None:
        """Let everything agree with these; ``HostError`` with the first thing that cannot, after all were tried."""
        self._lanes = tuple(lanes)
        known = [(lane, frozenset(sid for name in lane.accounts if (sid := self._sid_of(name)))) for lane in lanes]
        closing = [(lane, sids) for lane, sids in known if sids and not chromium.free(lane.plan)]
        wrong = []
        try:
            self.firewall.put(frozenset().union(*(sids for _, sids in closing)), resources.doh_addresses())
        except HostError as error:
            wrong.append(error)
        try:
            self.browsers.put([Audience(lane.plan, sids, lane.few) for lane, sids in closing])
        except HostError as error:
            wrong.append(error)
        if wrong:
            raise wrong[0]
        if lanes:
            raise HostError(NOT_FILTERED, _ADVICE)

    def refresh(self) -> None:
        """Accounts changed: the same lanes, for who is there now.  What cannot be done is told by ``troubles``."""
        if self._lanes:
            try:
                self.put(self._lanes)
            except HostError:
                return  # each part keeps its trouble, and tries again

    def close(self) -> None:
        """What holds goes on: the next service of this PC finds it as it was."""

    def restore(self, load: Callable[[str], AbstractContextManager[bool]] | None = None) -> None:
        """Fairtime is taken away: put back all that was changed.  ``HostError`` names the first thing that could not be.

        ``load`` opens the hive of an account that is not logged in (``profiles.loaded``).
        """
        self._lanes = ()
        wrong: list[str] = []
        for part in (self.browsers.restore, self.firewall.restore, self.resolver(_nothing).restore):
            try:
                part()
            except (HostError, OSError) as error:
                wrong.append(error.title if isinstance(error, HostError) else error.strerror or str(error))
        for sid in self.browsers.left() if load is not None else ():
            assert load is not None
            try:
                with load(sid) as there:
                    if there:
                        self.browsers.restore()
            except OSError as error:
                wrong.append(error.strerror or str(error))
        wrong += self.browsers.troubles
        wrong += [f"The browsers' rules of {sid} stay: it has no profile here any more" for sid in self.browsers.left()]
        if wrong:
            raise HostError(
                f"Not everything is as it was before: {wrong[0]}",
                r"What is left stands in HKEY_USERS\…\Software\Policies and in HKEY_LOCAL_MACHINE\SOFTWARE\Fairtime.",
            )

    def look(self, now: Millis) -> bool:
        if self._names is not None:
            self._names.look(now)
        return any(part.look(now) for part in (self.firewall, self.browsers))

    def mend(self, now: Millis) -> None:
        for part in (self.firewall, self.browsers):
            part.mend(now)

    def take(self) -> tuple[Mended, ...]:
        return (*self.firewall.take(), *self.browsers.take())

    @property
    def troubles(self) -> tuple[str, ...]:
        return (*self.firewall.troubles, *self.browsers.troubles)

    def findings(self) -> tuple[Finding, ...]:
        return (*self.browsers.findings(), *self.firewall.findings())


def _nothing() -> None:
    """Nobody listens."""
