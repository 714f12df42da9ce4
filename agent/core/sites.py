"""Which rule of a child's plan decides on a host: the most specific name that covers it, whoever wrote it.

The resolver asks ``SiteMatcher`` for every question, ``fairtime why`` and the tests for single hosts; the browsers' policies
and the firewall are written from the same plan and are held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from agent.core.hosts import canonical, is_address
from agent.model.site import HostRule, Said, SiteAction, SitePlan, SiteVerdict

REMEMBERED = 256
"""Hosts whose ruling is kept; a child that asks for more at random costs no more memory."""
STRICTNESS: Mapping[SiteAction, int] = {"allow": 0, "ask": 1, "block": 2}
HELPLINE = "helpline"
GIVEN = "grant/"
"""Begins the rule of what a guardian said on the day."""


class Names(Protocol):
    """The names of many lists, each with the groups it belongs to as a mask of bits."""

    @property
    def bits(self) -> Mapping[str, int]:
        """Group → its bit (a power of two)."""
        ...

    def covering(self, host: str) -> Iterable[tuple[str, int]]:
        """Every listed name that is ``host`` or a parent of it, the longest first, with the bits of its groups.

        A list's own exceptions have been applied: below an excepted name, names further up lack that group's bit.
        """
        ...


class FewNames:
    """Names held in a dictionary: for a handful, and for tests."""

    def __init__(self, groups: Mapping[str, Iterable[str]]) -> None:
        self.bits: Mapping[str, int] = {group: 1 << number for number, group in enumerate(groups)}
        self._names: dict[str, int] = {}
        for group, names in groups.items():
            for name in names:
                self._names[name] = self._names.get(name, 0) | self.bits[group]

    def covering(self, host: str) -> Iterator[tuple[str, int]]:
        for name in parents(host):
            mask = self._names.get(name)
            if mask:
                yield name, mask


NO_NAMES = FewNames({})


class Ruling(Struct, frozen=True):
    """What holds for a host, and all that a resolver needs to know of it."""

    action: SiteAction
    rule: str
    name: str = ""
    """The name that decided; empty when none covers the host, and the plan's ``otherwise`` holds."""
    group: str = ""
    """The group it was named in; empty for a rule's own host."""
    reason: str = ""
    watched: bool = False
    """Time spent there is counted against ``rule``: its answers are short-lived."""
    recorded: bool = True
    said: Said | None = None
    """The reason, where it is the rules' own."""
    led: bool = False
    """``name`` is not above the host itself, but above a name that the host leads to."""


_HELP = Ruling("allow", HELPLINE, HELPLINE, recorded=False)


def parents(host: str) -> Iterator[str]:
    """``host`` and every name above it, the longest first; an address has none above it."""
    yield host
    if is_address(host):
        return
    at = host.find(".")
    while at >= 0:
        yield host[at + 1 :]
        at = host.find(".", at + 1)


class SiteMatcher:
    """One child's plan with the lists' names, ready to be asked."""

    def __init__(self, plan: SitePlan, names: Names = NO_NAMES) -> None:
        self.plan = plan
        self.missing = tuple(sorted({rule.group for rule in plan.groups} - set(names.bits)))
        """Groups that rules name and no list has: their rules do nothing, which must be told."""
        self._names = names
        watched = frozenset(plan.watched)
        self._hosts: dict[str, Ruling] = {}
        for rule in plan.hosts:
            kept = self._hosts.get(rule.host)
            if kept is None or STRICTNESS[rule.action] > STRICTNESS[kept.action]:
                self._hosts[rule.host] = _own(rule, watched)
        self._hosts |= dict.fromkeys(plan.always, _HELP)
        # The strictest first: the first whose bit a name has is the one that decides there.
        self._groups = tuple(
            (
                names.bits[rule.group],
                Ruling(rule.action, rule.rule, "", rule.group, rule.reason, rule.rule in watched, said=rule.said),
            )
            for rule in sorted(plan.groups, key=lambda rule: -STRICTNESS[rule.action])
            if rule.group in names.bits
        )
        self._strictest: dict[int, Ruling] = {}
        """Bits → the group's ruling that decides among them; as few as there are combinations in the lists."""
        self._mask = 0
        for bit, _ in self._groups:
            self._mask |= bit
        unnamed = f"{plan.child}/sites"
        self._unnamed = Ruling(plan.otherwise, unnamed)
        self._address = Ruling("allow" if plan.addresses and plan.otherwise == "allow" else "block", unnamed)
        self._seen: dict[str, Ruling] = {}

    def action(self, host: str) -> SiteAction:
        """What may happen with a host, which is canonical."""
        return self.ruling(host).action

    def ruling(self, host: str) -> Ruling:
        """The ruling on a host, which is canonical; remembered."""
        found = self._seen.get(host)
        if found is None:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            found = self._seen[host] = self._find(host)
        return found

    def led(self, ruling: Ruling, targets: Iterable[str]) -> Ruling:
        """The ruling on a host with this ``ruling`` that leads (CNAME) to ``targets``, which are canonical.

        What a rule or a list closes is closed by another name, too, and a rule's minutes are used by it.  Nothing is closed
        because the target is on no list (most sites lie at some carrier's), and what a rule opens by its own name is open
        wherever it leads."""
        if ruling.action != "allow" or (ruling.name and not ruling.group):
            return ruling
        named = [found for target in targets if (found := self.ruling(target)).name]
        found = max(named, key=lambda one: (STRICTNESS[one.action], one.watched), default=ruling)
        if found.action == "allow" and not (found.watched and not ruling.watched):
            return ruling
        return Ruling(
            found.action, found.rule, found.name, found.group, found.reason, found.watched, said=found.said, led=True
        )

    def refused(self, host: str) -> bool:
        """Whether a guardian's word on a canonical host, or on the nearest name above it, is a no for today: then it cannot be
        asked for again (``siteanswers.answer``)."""
        words = (found for name in parents(host) if (found := self._hosts.get(name)) and found.rule.startswith(GIVEN))
        word = next(words, None)
        return word is not None and word.action != "allow"

    def decide(self, host: str) -> SiteVerdict:
        """The verdict on a host or an address as people write it.  Raises ``PolicyError`` when there is no host in it."""
        host = canonical(host)
        ruling = self.ruling(host)
        return SiteVerdict(
            action=ruling.action, host=host, rule=ruling.rule, sentence=sentence(ruling, host), groups=self.groups(host)
        )

    def groups(self, host: str) -> tuple[str, ...]:
        """The groups of the lists that a canonical host belongs to, whether or not a rule names them."""
        mask = 0
        for _, bits in self._covering(host):
            mask |= bits
        return tuple(sorted(group for group, bit in self._names.bits.items() if mask & bit))

    def _find(self, host: str) -> Ruling:
        # On the way of every new name that a child's PC asks for: no generator and no copy that can be spared.
        address = is_address(host)
        named = self._hosts
        own: Ruling | None = None
        name = host
        while True:
            found = named.get(name)
            if found is not None:
                if found is _HELP:
                    return _HELP
                own = own or found
            at = -1 if address else name.find(".")
            if at < 0:
                break
            name = name[at + 1 :]
        mask = self._mask
        if mask and (own is None or len(own.name) < len(host)):
            least = 0 if own is None else len(own.name)
            for name, bits in self._names.covering(host):
                if len(name) <= least:
                    break
                if bits & mask and (not address or name == host):
                    return self._in_groups(name, bits & mask)
        return own or (self._address if address else self._unnamed)

    def _in_groups(self, name: str, bits: int) -> Ruling:
        ruling = self._strictest.get(bits)
        if ruling is None:
            ruling = self._strictest[bits] = next(ruling for bit, ruling in self._groups if bits & bit)
        return Ruling(ruling.action, ruling.rule, name, ruling.group, ruling.reason, ruling.watched, said=ruling.said)

    def _covering(self, host: str) -> Iterable[tuple[str, int]]:
        found = self._names.covering(host)
        return (pair for pair in found if pair[0] == host) if is_address(host) else found


def sentence(ruling: Ruling, host: str) -> str:
    """The ruling on ``host`` in words for the child."""
    if ruling.rule == HELPLINE:
        return f"{host} is always open."
    name = ruling.name
    if not name:
        match ruling.action:
            case "allow":
                return f"{host} is open."
            case "ask":
                return f"{host} is new here. Ask a guardian for it."
            case "block":
                return f"{host} is not on your list yet. You can ask for it."
    belongs = f"{name} is in “{ruling.group}”, which" if ruling.group else name
    if ruling.led:
        inside = f" in “{ruling.group}”" if ruling.group else ""
        belongs = f"{host} leads to {name}{inside}, which"
    why = f" {ruling.reason}" if ruling.reason else ""
    match ruling.action:
        case "allow":
            return ruling.reason or (f"{belongs} is open." if ruling.group else f"{name} is on your list.")
        case "ask":
            return f"{belongs} is opened when you ask for it.{why}"
        case "block":
            if ruling.rule.startswith(GIVEN):  # a guardian's no
                return f"{ruling.reason} You can ask again tomorrow."
            return f"{belongs} is not open for you.{why} You can ask for it."


def _own(rule: HostRule, watched: frozenset[str]) -> Ruling:
    return Ruling(rule.action, rule.rule, rule.host, "", rule.reason, rule.rule in watched, said=rule.said)
