"""Which name servers the whole PC asks while a family filters sites: a rule in Windows' name resolution policy table.

Windows asks for names in its own account, so who asked cannot be told, and there is no resolver of Fairtime's here.  What can
be had is what a family's own name servers do (``name_servers`` in the family file: those of a provider that leaves out what
is not for children): one rule for all names, for every account of the PC, put in with the first child and taken away with
the last.  Servers at another port than 53 cannot be named in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

from agent.clock import SECOND, Millis
from agent.filter.control import Outcome, Served, Trouble
from agent.model.site import SiteLane
from agent.platforms.windows.hive import Hive, replace, same
from agent.platforms.windows.keeping import Keeping
from agent.platforms.windows.values import Node, as_text, number, text, texts

TABLE = r"SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig"
GROUP_POLICY = r"SOFTWARE\Policies\Microsoft\Windows NT\DNSClient\DnsPolicyConfig"
"""As soon as there is a rule here, Windows reads the other table no more."""
RULE = "{7d1f6e2c-6f0b-4f0e-9a53-2b1c6f8f4a17}"
"""Our rule's name: any, but always the same."""
INTERFACES = tuple(
    rf"SYSTEM\CurrentControlSet\Services\{family}\Parameters\Interfaces" for family in ("Tcpip", "Tcpip6")
)
LOOK_EVERY: Millis = 2 * SECOND
MOST = 8
NOT_FILTERED = "Windows asks for names in its own account, so they cannot be filtered for one child: browsers' own rules and the firewall hold."
_OVERRIDE = 8
"""ConfigOptions: the rule names servers (MS-GPNRPT 2.2.2.13)."""
_STALE = 10.0


def rule(servers: Sequence[str]) -> Node:
    """The table's row that sends every name to these servers."""
    return Node(
        {
            "Version": number(2),
            "Name": texts(["."]),
            "GenericDNSServers": text("; ".join(servers)),
            "ConfigOptions": number(_OVERRIDE),
            "Comment": text("Fairtime"),
        }
    )


def usable(upstreams: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``(addresses, what cannot be used)``: those at port 53."""
    good, bad = [], []
    for one in upstreams:
        bare = one.removesuffix(":53") if one.count(":") == 1 else one
        bare = bare[1:].removesuffix(":53").removesuffix("]") if bare.startswith("[") else bare
        try:
            good.append(str(ip_address(bare)))
        except ValueError:
            bad.append(one)
    return tuple(dict.fromkeys(good)), tuple(bad)


class Names:
    """What ``Host.resolver`` gives on Windows: no resolver, but the PC's own made to ask the family's servers."""

    def __init__(
        self,
        machine: Hive,
        usual: Callable[[], tuple[str, ...]],
        flush: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        """``usual``: the servers that the network names; ``flush`` lets Windows forget what it knows."""
        self._machine = machine
        self._keeping = Keeping(machine, machine, "Names")
        self._usual = usual
        self._flush = flush
        self._changed = changed
        self._wanted: Node | None = None
        self._looked: Millis | None = None
        self.why = ""
        self.served: tuple[Served, ...] = ()
        """Nobody is served apart from the others."""
        self.troubles: tuple[Trouble, ...] = ()

    def open(self) -> None:
        """Nothing to begin: ``serve`` says what is wanted."""

    async def close(self) -> None:
        """What holds goes on, as browsers' rules do: a service that starts again leaves no gap."""

    def restore(self) -> None:
        """The PC asks whom it asked before.  ``OSError`` when that cannot be."""
        self._wanted = None
        self._keeping.restore(TABLE)
        self._flush()

    def serve(self, lanes: Sequence[SiteLane], upstreams: Sequence[str]) -> None:
        """Ask these servers, as long as there are children; those that the network names need no rule."""
        good, bad = usable(upstreams)
        troubles = [
            Trouble(kind="upstream", about=one, text=f"Windows can ask no name server at another port than 53: {one}.")
            for one in bad
        ]
        named = tuple(upstreams) != self._usual()
        self._put(rule(good) if lanes and good and named else None, troubles)

    def lists(self, book: Path | None) -> None:
        """Lists are for a resolver; there is none."""

    def answered(self, number: int, outcome: Outcome) -> None:
        """Nobody asks from here."""

    def look(self, now: Millis) -> None:
        """Put back what somebody changed.  Microseconds, at most once in two seconds."""
        if self._wanted is None or (self._looked is not None and now - self._looked < LOOK_EVERY):
            return
        self._looked = now
        self._put(self._wanted, [one for one in self.troubles if one.kind == "upstream" and one.about])

    def _put(self, wanted: Node | None, troubles: Sequence[Trouble] = ()) -> None:
        self._wanted = wanted
        found = list(troubles)
        try:
            if not same(self._machine.node(rf"{TABLE}\{RULE}"), wanted):
                if wanted is None:
                    self._keeping.restore(TABLE)
                else:
                    self._keeping.keep(TABLE, (), (RULE,))
                    replace(self._machine, rf"{TABLE}\{RULE}", wanted)
                self._flush()
            if wanted is not None and self._machine.names(GROUP_POLICY):
                text_ = "A group policy of this PC says which name servers are asked, so the family's are not."
                found.append(Trouble(kind="upstream", about="", text=text_))
        except OSError as error:
            why = error.strerror or str(error)
            found.append(Trouble(kind="upstream", about="", text=f"The family's name servers cannot be set: {why}."))
        if tuple(found) != self.troubles:
            self.troubles = tuple(found)
            self._changed()


class NameServers:
    """Whom the network tells this PC to ask, read again every ten seconds."""

    def __init__(self, machine: Hive) -> None:
        self._machine = machine
        self._read: float | None = None
        self._found: tuple[str, ...] = ()

    def __call__(self) -> tuple[str, ...]:
        now = monotonic()
        if self._read is None or now - self._read >= _STALE:
            self._read, self._found = now, self._servers()
        return self._found

    def _servers(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for above in INTERFACES:
            for name in self._machine.names(above):
                key = rf"{above}\{name}"
                # What somebody typed comes before what the network said.
                words = as_text(self._machine.value(key, "NameServer")) or as_text(
                    self._machine.value(key, "DhcpNameServer")
                )
                for word in words.replace(",", " ").split():
                    for address in usable([word])[0]:
                        found[address] = None
        return tuple(found)[:MOST]
