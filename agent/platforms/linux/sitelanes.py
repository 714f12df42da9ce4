"""The lanes of sites on this PC, kept as one: the firewall, the browsers' rules, and the local services closed to children.

Each child's plan goes to all of them; each looks after itself (``Keeper``) and says what it lacks.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent import resources
from agent.clock import Millis
from agent.errors import HostError
from agent.filter import chromium, nft
from agent.filter.control import Ask, Used
from agent.model.site import SiteLane
from agent.model.snapshot import Mended
from agent.platforms.base import Finding, Resolver
from agent.platforms.linux import accounts
from agent.platforms.linux.browsers import Audience, Browsers
from agent.platforms.linux.firewall import Firewall
from agent.platforms.linux.stubs import Stubs

log = logging.getLogger(__name__)

_UNIT_ONLY = "Sites are filtered by the service of its unit only."


class Unfiltered:
    """In place of ``SiteLanes`` where sites are not filtered: in a trial, in tests, in a service without its unit."""

    names_why = browsers_why = _UNIT_ONLY
    troubles: tuple[str, ...] = ()

    def put(self, lanes: Sequence[SiteLane]) -> None:
        if lanes:
            raise HostError(
                "Sites cannot be filtered here: this is not the service of a PC",
                "Install Fairtime as a service (installer/linux/install.sh).",
            )

    def refresh(self) -> None:
        """There is nothing to keep."""

    def close(self) -> None:
        """Nothing was put."""

    def mend(self, now: Millis) -> None:
        """Nothing breaks."""

    def look(self, now: Millis) -> bool:
        return False

    def take(self) -> tuple[Mended, ...]:
        return ()

    def findings(self) -> tuple[Finding, ...]:
        return ()

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        return None


class SiteLanes:
    """What ``Host.put_sites`` asks for."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.firewall = Firewall()
        self.browsers = Browsers(_people, root)
        self.stubs = Stubs(root)
        self._lanes: tuple[SiteLane, ...] = ()

    def put(self, lanes: Sequence[SiteLane]) -> None:
        """Let everything agree with these; ``HostError`` with the first thing that cannot, after all were tried."""
        self._lanes = tuple(lanes)
        known = [(lane, [p for name in lane.accounts if (p := accounts.person(name)) is not None]) for lane in lanes]
        ways = [
            nft.Way(
                uids=tuple(span for p in people for span in ((p.uid, p.uid), *p.subuids)),
                dns_port=lane.dns_port, page_port=lane.page_port,
            )
            for lane, people in known
        ]  # fmt: skip
        self.stubs.put([p.uid for _, people in known for p in people])
        wrong = []
        try:
            self.firewall.put(nft.script(ways, resources.doh_addresses()) if ways else nft.removal())
        except HostError as error:
            wrong.append(error)
        try:
            self.browsers.put(
                [
                    Audience(lane.plan, frozenset(p.uid for p in people), lane.few)
                    for lane, people in known
                    if people and not chromium.free(lane.plan)
                ]
            )
        except HostError as error:
            wrong.append(error)
        if wrong:
            raise wrong[0]

    def refresh(self) -> None:
        """Accounts changed: the same lanes, for who is there now.  What cannot be done is told by ``troubles``."""
        if self._lanes:
            try:
                self.put(self._lanes)
            except HostError:
                return  # each part keeps its trouble, and tries again

    def close(self) -> None:
        """Children's questions go where everybody's go: a resolver that ended in good order answers no more."""
        if self._lanes:
            self._lanes = ()
            self.stubs.put(())
            try:
                self.firewall.put(nft.removal())
            except HostError as error:
                log.warning("%s", error)

    def look(self, now: Millis) -> bool:
        return any(part.look(now) for part in (self.firewall, self.browsers, self.stubs))

    def mend(self, now: Millis) -> None:
        for part in (self.firewall, self.browsers, self.stubs):
            part.mend(now)

    def take(self) -> tuple[Mended, ...]:
        return (*self.firewall.take(), *self.browsers.take())

    @property
    def troubles(self) -> tuple[str, ...]:
        return (*self.firewall.troubles, *self.browsers.troubles, *self.stubs.troubles)

    @property
    def names_why(self) -> str:
        """Why questions for names are not led to the resolver; empty when they are."""
        return self.firewall.why

    @property
    def browsers_why(self) -> str:
        """The same of the browsers' rules."""
        return self.browsers.why

    def resolver(self, heard: Callable[[Used | Ask], None], changed: Callable[[], None]) -> Resolver | None:
        # here: only the one service of a PC has a resolver
        from agent.platforms.linux import resolving

        return resolving.Resolver(heard, changed)

    def findings(self) -> tuple[Finding, ...]:
        return (*self.browsers.findings(), *self.stubs.findings())


def _people() -> Collection[int]:
    return [int(account.uid) for account in accounts.people()]
