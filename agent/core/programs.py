"""From what is known of a program to the rule that judges it, most specific first.

A browser that keeps no rules for sites is closed where site rules close anything, unless a rule names it (``core.browsers``).

Precedence: SHA-256 → signer → package → path that the child cannot write → name (restrictions only) → group → default.
A rule for a catalogue ``program`` matches by the strongest of these that the catalogue knows.  A *strong* match rests on
something the child cannot change; a weak one (a bare file name) may restrict a program, but never allow it, never free it
from counting: anything can be renamed.

The default applies to programs people start, and to anything in a place the child can write.  The protected plumbing of
the desktop (shells, buses, panels) is allowed and not recorded: it is not what anybody means by a program.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.core import browsers
from agent.core.rules import ChildRules, Plan, ProgramLimit, hours_on
from agent.core.saying import say
from agent.core.schedule import Span, spans
from agent.model.policy import Action, CatalogueEntry
from agent.model.program import ProgramId
from agent.model.site import Said
from agent.model.verdict import ProgramVerdict

_REASONS: dict[Action, Said] = {
    "block": Said("{title} is not on your list of programs."),
    "ask": Said("{title} is new here. Ask a guardian for it."),
    "warn": Said("{title}: talk about this one with a guardian."),
    "inform": Said("{title} is allowed."),
    "allow": Said("{title} is allowed."),
}
_STRICTNESS: dict[Action, int] = {"allow": 0, "inform": 1, "warn": 2, "ask": 3, "block": 4}

SHA256, SIGNER, PACKAGE, PATH, NAME, GROUP, DEFAULT = range(7)


@dataclass(frozen=True, slots=True)
class Match:
    """Who a program is under a plan: everything about it that does not change from second to second."""

    key: str
    """The ledger's name for it; empty for plumbing, which is not recorded."""
    verdict: ProgramVerdict
    """What is decided unless a grant, hours or used up minutes say otherwise; ``counts``: time in it counts
    (``count = "all"``), or is listed to count (``count = "listed"``)."""
    strong: bool
    limits: tuple[ProgramLimit, ...] = ()
    """The rules whose hours or minutes can still shut an allowed program, the one that names it best first."""


@dataclass(slots=True)
class Matcher:
    """Matches programs for one child on one date, remembering each identity it has seen."""

    rules: ChildRules
    plan: Plan
    _seen: dict[ProgramId, Match] = field(default_factory=dict)
    _hours: dict[str, tuple[Span, ...]] = field(default_factory=dict)

    def hours(self, limit: ProgramLimit) -> tuple[Span, ...] | None:
        """When a rule's own hours are open, from the day before on; ``None`` when it has none."""
        table = limit.hours
        if not table:
            return None
        found = self._hours.get(limit.id)
        if found is None:
            first = self.plan.date - dt.timedelta(days=1)
            found = self._hours[limit.id] = spans(lambda date: hours_on(table, date), first, 9, self.rules.zone)
        return found

    def match(self, program: ProgramId) -> Match:
        found = self._seen.get(program)
        if found is None:
            if len(self._seen) >= 4096:  # a child can make identities without end
                self._seen.clear()
            found = self._seen[program] = _match(self.rules, self.plan, program)
        return found


@dataclass(slots=True)
class Matchers:
    """One matcher per child, renewed when its plan changes."""

    _by_child: dict[str, Matcher] = field(default_factory=dict)

    def of(self, rules: ChildRules, date: dt.date) -> Matcher:
        plan = rules.plan(date)
        found = self._by_child.get(rules.name)
        if found is None or found.plan is not plan or found.rules is not rules:
            found = self._by_child[rules.name] = Matcher(rules, plan)
        return found


def needs_hash(plan: Plan) -> bool:
    """Some rule names a program by its SHA-256, so hosts must be asked for it before a default is applied."""
    return any(limit.source.sha256 for limit in plan.programs)


def _match(rules: ChildRules, plan: Plan, program: ProgramId) -> Match:
    entry, strong_entry = _catalogue(rules, program)
    groups = _groups(rules, program, entry)
    best: tuple[int, ProgramLimit, bool] | None = None
    group_limits: list[ProgramLimit] = []
    for limit in plan.programs:
        level, strong = _level(limit, program, entry, strong_entry, groups)
        if level is None:
            continue
        if level == GROUP:
            group_limits.append(limit)
        if best is None or level < best[0]:
            best = (level, limit, strong)
    known = entry is not None or best is not None
    plumbing = not known and program.protected and not program.application
    default: Action = "allow" if plumbing else plan.unknown
    key = entry.id if entry else program.package.partition(":")[2] or program.name
    title = entry.name if entry else program.name
    named = best is not None and (best[0] < NAME or best[1].action == "block")
    if entry is not None and not named and not browsers.keeps_rules(entry, program) and browsers.closes(plan.sites):
        rule = f"{rules.name}/{browsers.RULE}"
        verdict = _said(key, title, rule, "block", not plan.count_listed, groups, "")
        why = browsers.said(title)
        return Match(key, replace(verdict, sentence=say(why), said=why), strong_entry)
    if best is None:
        action = default
        if entry is not None and entry.group == "system" and strong_entry:
            action = "allow"
        rule = (
            "system"
            if plumbing or (entry and entry.group == "system" and strong_entry)
            else f"{rules.name}/unknown-programs"
        )
        recorded = "" if rule == "system" else key
        return Match(
            recorded,
            _said(recorded or program.name, title, rule, action, not plan.count_listed, groups, ""),
            strong_entry,
        )
    level, limit, strong = best
    action = limit.action
    counts = limit.counts if limit.counts is not None else not plan.count_listed
    if not strong:
        # A name proves nothing: the rule may only make matters stricter than the default would.
        action = max(action, default, key=_STRICTNESS.__getitem__)
        counts = counts or not plan.count_listed
    title = entry.name if entry else (limit.title or title if level not in (GROUP, NAME) else title)
    if entry is None and level != GROUP and limit.source.name is None:
        key = limit.source.program or limit.source.id or key
    # Group rules that also apply count for their budgets and hours; what blocks the group is overruled by the better match.
    others = (other for other in group_limits if other is not limit and other.action != "block")
    limits = () if action in ("block", "ask") else tuple(one for one in (limit, *others) if one.passing)
    verdict = _said(key or program.name, title, limit.id, action, counts, groups, limit.source.reason or "")
    return Match(key, verdict, strong, limits)


def _said(
    key: str, title: str, rule: str, action: Action, counts: bool, groups: tuple[str, ...], reason: str
) -> ProgramVerdict:
    said = None if reason else Said(_REASONS[action].text, (("title", title),))
    return ProgramVerdict(
        action=action,
        rule=rule,
        sentence=say(said) if said is not None else reason,
        program=key,
        title=title,
        counts=counts,
        groups=groups,
        said=said,
    )


def _level(
    limit: ProgramLimit, program: ProgramId, entry: CatalogueEntry | None, strong_entry: bool, groups: tuple[str, ...]
) -> tuple[int | None, bool]:
    """How specifically a rule names this program, and whether on evidence the child cannot change."""
    source = limit.source
    if source.sha256:
        return (SHA256, True) if program.sha256 == source.sha256 else (None, False)
    if source.signer:
        return (SIGNER, True) if program.signer and program.signer == source.signer else (None, False)
    if source.package:
        return (PACKAGE, True) if _same_package(program.package, source.package) else (None, False)
    if source.path:
        if not is_at(program.path, source.path):
            return None, False
        return (PATH, True) if program.protected else (NAME, False)
    if source.program:
        if entry is not None and entry.id == source.program:
            return (PACKAGE, True) if strong_entry else (NAME, False)
        return (NAME, False) if _is_called(program, source.program) else (None, False)
    if source.name:
        return (NAME, False) if _is_called(program, source.name) else (None, False)
    if source.group in groups:
        return GROUP, strong_entry
    return None, False


def _catalogue(rules: ChildRules, program: ProgramId) -> tuple[CatalogueEntry | None, bool]:
    """The catalogue entry this program is, and whether more than its file name says so."""
    placed: CatalogueEntry | None = None
    weak: CatalogueEntry | None = None
    kind, _, package = program.package.partition(":")
    # Its package first: an application of another maker's may bring a file of a well-known name (Flatpaks of Chromium do).
    if package:
        for entry in rules.catalogue.values():
            if package in _packages(entry, kind):
                return entry, True
    for entry in rules.catalogue.values():
        linux, windows, mac = entry.linux, entry.windows, entry.macos
        if linux is not None and program.name in linux.binary:
            if program.protected:
                return entry, True
            weak = weak or entry
        if windows is not None:
            known = any(_is_called(program, name) for name in windows.binary)
            mine = known or (program.product and program.product == windows.product)
            if mine and program.signer and windows.publisher == program.signer:
                return entry, True  # signed, so also under another name what it was
            if known and program.protected and _is_windows(program.path):
                placed = placed or entry  # unless a signature knows better
            elif known:
                weak = weak or entry
        if mac is not None and program.name in mac.binary:
            if program.signer and mac.team == program.signer:
                return entry, True
            weak = weak or entry
    return (placed, True) if placed is not None else (weak, False)


def _packages(entry: CatalogueEntry, kind: str) -> Collection[str]:
    """The names it has among packages of a kind."""
    linux, windows = entry.linux, entry.windows
    if kind in ("deb", "rpm"):
        return linux.package if linux is not None else ()
    if kind == "flatpak":
        return linux.flatpak if linux is not None else ()
    if kind == "snap":
        return linux.snap if linux is not None else ()
    return (windows.appx,) if windows is not None and windows.appx else ()


def _groups(rules: ChildRules, program: ProgramId, entry: CatalogueEntry | None) -> tuple[str, ...]:
    own = entry.id if entry else program.name
    return tuple(
        name for name, members in rules.groups.items() if own in members or (entry is not None and entry.group == name)
    )


def _same_package(have: str, want: str) -> bool:
    return bool(have) and (have == want or have.partition(":")[2] == want)


def is_at(path: str, place: str) -> bool:
    """Whether a program's path is ``place``, or below it where that ends as a folder does."""
    if _is_windows(place):
        path, place = path.casefold(), place.casefold()
    return path == place or (place.endswith(("/", "\\")) and path.startswith(place))


def _is_called(program: ProgramId, name: str) -> bool:
    if _is_windows(program.path):
        return program.name.casefold() == name.casefold()
    return program.name == name


def _is_windows(path: str) -> bool:
    """Whether capitals do not matter in it."""
    return path[1:3] == ":\\" or path.startswith("\\\\")
