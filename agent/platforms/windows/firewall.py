"""The firewall lane on Windows: a child's programs ask no name server of their own, encrypted or not.

Names are asked by Windows' own DNS client, in an account of its own, so these rules do not touch it; what they close is the
way around it: other name servers, DNS over TLS and QUIC, and the known addresses of DNS over HTTPS.  One group of outbound
rules, for the children's accounts alone (``-LocalUser``), named after what is in them, so that the new ones are there before
the old ones go.  What Windows keeps of them in the registry is watched, because starting PowerShell takes a second.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection
from ipaddress import ip_network

from agent.clock import MINUTE, SECOND, Millis
from agent.errors import HostError
from agent.filter.nft import DNS, HTTPS, QUIC_DRAFTS, TLS
from agent.model.snapshot import Mended
from agent.platforms.base import Finding
from agent.platforms.windows.hive import Hive
from agent.platforms.windows.powershell import Run, quoted
from agent.platforms.windows.values import Value, as_number

LOOK_EVERY: Millis = 2 * SECOND
VERIFY_EVERY: Millis = MINUTE
GROUP = "Fairtime"
NAME = "firewall rules"
_PREFIX = "fairtime-"
POLICY = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
RULES = rf"{POLICY}\FirewallRules"
"""A value for each rule, by its name (MS-GPFAS 2.2.2)."""
PROFILES = ("DomainProfile", "StandardProfile", "PublicProfile")
# Each by its name: Remove-NetFirewallRule that is told nothing removes every rule of the PC.
_OLD = f"$old = @(Get-NetFirewallRule -Group '{GROUP}' -ErrorAction SilentlyContinue | ForEach-Object {{ $_.Name }})"
_ADVICE = "Until then children's programs may ask any server for names, and only the browsers' own rules hold."


def script(sids: Collection[str], doh: Collection[str]) -> str:
    """Puts the rules for these accounts in force in the place of those before."""
    rules = _rules(sids, doh)
    if not rules:
        return removal()
    wanted = ", ".join(quoted(name) for name in names(sids, doh))
    return "\n".join(
        (
            f"$wanted = @({wanted})",
            _OLD,
            *(f"if ($old -notcontains {quoted(name)}) {{ {rule} | Out-Null }}" for name, rule in rules.items()),
            "foreach ($one in $old) { if ($wanted -notcontains $one) { Remove-NetFirewallRule -Name $one } }",
            f"Enable-NetFirewallRule -Group {quoted(GROUP)}",
        )
    )


def removal() -> str:
    """Takes all of our rules away, and nothing else."""
    return f"{_OLD}\nforeach ($one in $old) {{ Remove-NetFirewallRule -Name $one }}"


def names(sids: Collection[str], doh: Collection[str]) -> tuple[str, ...]:
    """What the rules of ``script`` are called."""
    return tuple(_rules(sids, doh))


def _rules(sids: Collection[str], doh: Collection[str]) -> dict[str, str]:
    if not sids:
        return {}
    who = quoted("D:" + "".join(f"(A;;CC;;;{sid})" for sid in sorted(sids)))
    where = ",".join(quoted(net) for net in _networks(doh))
    plain = {
        ("names", "TCP"): ((DNS, TLS), ""),
        ("names", "UDP"): ((DNS, TLS, *QUIC_DRAFTS), ""),
    }
    doors = {("https", kind): ((HTTPS,), where) for kind in ("TCP", "UDP")} if where else {}
    found = {}
    for (what, kind), (ports, addresses) in (plain | doors).items():
        rule = (
            f"-Group {quoted(GROUP)} -DisplayName {quoted(f'Fairtime: children ask this PC for names ({what}, {kind})')} "
            f"-Direction Outbound -Action Block -Profile Any -Enabled True -LocalUser {who} "
            f"-Protocol {kind} -RemotePort {','.join(map(str, ports))}"
            + (f" -RemoteAddress {addresses}" if addresses else "")
        )
        name = f"{_PREFIX}{what}-{kind.lower()}-{hashlib.sha256(rule.encode()).hexdigest()[:12]}"
        found[name] = f"New-NetFirewallRule -Name {quoted(name)} {rule}"
    return found


def _networks(doh: Collection[str]) -> list[str]:
    rows = sorted({ip_network(net) for net in doh}, key=lambda net: (net.version, net))
    return [str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net) for net in rows]


class Firewall:
    """Our rules.  ``put`` and ``mend`` in any thread, one at a time; ``look`` on the loop.  ``machine``: the registry."""

    def __init__(self, machine: Hive, run: Run) -> None:
        self._machine = machine
        self._run = run
        self._lock = threading.Lock()
        self._script: str | None = None
        """What was put; ``None`` before the first time."""
        self._names: tuple[str, ...] = ()
        self._kept: dict[str, Value | None] = {}
        """What Windows has of each of our rules when all is well."""
        self._stamp: int | None = None
        self._looked: Millis | None = None
        self._verified: Millis = 0
        self._mended: list[Mended] = []
        self._why = ""
        self.troubles: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """What is missing for the ways around to be closed; empty when nothing is."""
        return self._why

    def put(self, sids: Collection[str], doh: Collection[str]) -> None:
        """Close the ways for these accounts and for nobody else.  ``HostError`` when that cannot be."""
        with self._lock:
            wanted = script(sids, doh) if sids else ""
            if wanted == self._script and not self._why:
                return
            self._script, self._names = wanted, names(sids, doh)
            try:
                if not wanted and not self._ours():
                    self._why, self.troubles = "", ()
                    return
                self._apply()
            except (HostError, OSError) as error:
                self._why = _title(error)
                self.troubles = (f"{self._why}. {_ADVICE}",)
                raise HostError(self._why, _ADVICE) from error

    def restore(self) -> None:
        """No rule of ours, whoever put it there.  ``HostError`` when that cannot be."""
        with self._lock:
            self._script, self._names = "", ()
            if self._ours():
                self._apply()

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Microseconds, at most once in two seconds."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        if not self._names:
            return False
        if now - self._verified >= VERIFY_EVERY:
            self._verified = now
            return True
        return not self._why and self._machine.stamp(RULES) != self._stamp

    def mend(self, now: Millis) -> None:
        """Compare what Windows keeps with what should be, and put it right."""
        del now
        with self._lock:
            if not self._names:
                return
            try:
                stamp = self._machine.stamp(RULES)
                if not self._why and self._kept == self._have():
                    self._stamp = stamp
                    return
                known = not self._why
                # The name alone may still be there, with another rule under it.
                self._run(removal())
                self._apply()
            except (HostError, OSError) as error:
                why = _title(error)
                if why != self._why:
                    self._mended.append(Mended(path=NAME, what="changed", why=why))
                self._why = why
                self.troubles = (f"{why}. {_ADVICE}",)
                return
            if known:
                self._mended.append(Mended(path=NAME, what="changed"))

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        found, self._mended = tuple(self._mended), []
        return found

    def findings(self) -> tuple[Finding, ...]:
        """Networks for which the firewall is switched off."""
        if not self._names:
            return ()
        off = [one for one in PROFILES if as_number(self._machine.value(rf"{POLICY}\{one}", "EnableFirewall")) == 0]
        if not off:
            return ()
        return (
            Finding(
                "firewall-off", "weak", f"Windows' firewall is switched off ({', '.join(off)})",
                "Switch it on in Windows Security: until then children's programs may ask any server for names.",
            ),
        )  # fmt: skip

    def _apply(self) -> None:
        self._run(self._script or removal())
        self._stamp = self._machine.stamp(RULES)
        self._kept = self._have()
        missing = [name for name, value in self._kept.items() if value is None]
        if missing:
            raise HostError("Windows took the firewall's rules and does not have them", _ADVICE)
        self._why, self.troubles = "", ()

    def _have(self) -> dict[str, Value | None]:
        return {name: self._machine.value(RULES, name) for name in self._names}

    def _ours(self) -> bool:
        """Whether Windows has a rule of ours, maybe from a service that ran before."""
        node = self._machine.node(RULES)
        return node is not None and any(name.casefold().startswith(_PREFIX) for name in node.values)


def _title(error: HostError | OSError) -> str:
    return error.title if isinstance(error, HostError) else f"The registry cannot be read: {error.strerror or error}"
