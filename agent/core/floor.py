"""From a child's rules and grants to what that child may not start in any case (``model.floor``).

Whatever the floor denies, ``core.judge`` blocks, at any hour and whatever was used.  So what a denial names is never more than
the rule matches, and what it leaves out is never less than a more specific rule, an earlier one of the same rank, or a
guardian's permission may open.  A weak match (a bare file name) may block and never allow, here as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from agent.core import browsers
from agent.core.programs import GROUP, NAME, PACKAGE, PATH, SHA256, SIGNER, is_at
from agent.core.rules import ChildRules, Plan, ProgramLimit
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.model.grant import Grant
from agent.model.policy import CatalogueEntry
from agent.model.program import ProgramId

PROTECTED = Trait(kind="protected")
Traits = tuple[Trait, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """One rule at one rank."""

    rank: tuple[int, int]
    """Precedence, then the place in the policy: the smaller decides."""
    limit: ProgramLimit
    names: Traits
    """At most what it matches there."""
    opens: Traits
    """At least what it matches there."""
    admits: Traits = ()
    """At least what it matches on evidence the child cannot change, but for what is protected."""
    strong: bool = True
    """Whether anything there is matched on such evidence."""
    entries: frozenset[str] | None = None
    """The well-known programs that it is about; ``None`` where it does not matter who is well known."""

    @property
    def blocks(self) -> bool:
        return self.limit.action == "block"


def floor(rules: ChildRules, plan: Plan, permits: Iterable[Grant]) -> ProgramFloor:
    """What holds under this plan while these permissions for programs do (grants whose ``kind`` is ``program``)."""
    parts = [part for number, limit in enumerate(plan.programs) for part in _parts(rules, limit, number)]
    given = [trait for grant in permits for trait in _permitted(rules, plan, grant.subject)]
    closed = plan.unknown == "block"
    denials: list[Denial] = []
    for part in parts:
        if part.blocks:
            passed = [
                other for other in parts if other.rank < part.rank and not other.blocks and (other.strong or not closed)
            ]
            denials += _denials(rules, part.limit.id, part.names, part.entries, passed, given)
    denials += _browsers(rules, plan, parts, given)
    others = None
    if closed:
        allowed = [trait for part in parts if not part.blocks for trait in part.admits]
        system = [trait for entry in rules.catalogue.values() if entry.group == "system" for trait in _signs(entry)]
        unless = _once([PROTECTED], allowed, system, given)
        others = Denial(rule=f"{rules.name}/unknown-programs", traits=(), unless=unless)
    accounts = tuple(rules.child.accounts)
    return ProgramFloor(child=rules.name, accounts=accounts, denials=tuple(denials), others=others)


def denies(floor: ProgramFloor, program: ProgramId) -> str:
    """The rule by which a floor denies a program; empty when it lets it start."""
    for denial in floor.denials:
        if _any(denial.traits, program) and not _any(denial.unless, program):
            return denial.rule
    return floor.others.rule if floor.others is not None and not _any(floor.others.unless, program) else ""


def _denials(
    rules: ChildRules, rule: str, names: Traits, entries: frozenset[str] | None, passed: list[_Part], given: list[Trait]
) -> Iterator[Denial]:
    """A denial of ``names``: of well-known packages for itself, because nothing but their package says which program they are."""
    packages = _once(trait for entry in rules.catalogue.values() for trait in _marks(entry) if trait.kind == "package")
    packed = tuple(trait for trait in names if trait in packages)
    loose = tuple(trait for trait in names if trait not in packages)
    if packed:
        opened = (t for one in passed for t in one.opens if one.entries is None or t.kind == "package")
        permitted = (trait for trait in given if trait.kind in ("sha256", "path", "package"))
        yield Denial(rule=rule, traits=packed, unless=_once(opened, permitted))
    if loose:
        # Well-known programs that only carry the name or the publisher of another are who their signature says.
        elses = [] if entries is None else [e for e in rules.catalogue.values() if e.id not in entries]
        known = (trait for entry in elses for trait in _signs(entry))
        opened = (trait for one in passed for trait in one.opens)
        yield Denial(rule=rule, traits=loose, unless=_once(opened, given, known))


def _browsers(rules: ChildRules, plan: Plan, parts: list[_Part], given: list[Trait]) -> Iterator[Denial]:
    """Browsers without rules for sites, but for what a rule names by more than a file name or a group (``core.programs``)."""
    if not browsers.closes(plan.sites):
        return
    named = [part for part in parts if part.rank[0] < NAME and not part.blocks]
    rule = f"{rules.name}/{browsers.RULE}"
    for entry in rules.catalogue.values():
        if entry.site_rules is False:
            names = (*_own_signs(rules, entry), *_own_files(rules, entry))
            yield from _denials(rules, rule, names, frozenset({entry.id}), named, given)


# ---- what rules name -------------------------------------------------------------------------------------------------


def _parts(rules: ChildRules, limit: ProgramLimit, number: int) -> Iterator[_Part]:
    source = limit.source

    def same(level: int, trait: Trait) -> _Part:
        return _Part((level, number), limit, (trait,), (trait,), (trait,))

    if source.sha256:
        yield same(SHA256, Trait(kind="sha256", value=source.sha256))
    elif source.signer:
        yield same(SIGNER, Trait(kind="signer", value=source.signer))
    elif source.package:
        yield same(PACKAGE, Trait(kind="package", value=source.package))
    elif source.path:
        # Where the child can write it ranks as a name, and whatever comes before that may open it.
        yield same(NAME if limit.action == "block" else PATH, Trait(kind="path", value=source.path))
    elif source.name or (source.program and source.program not in rules.catalogue):
        name = (Trait(kind="name", value=source.name or source.program or ""),)
        yield _Part((NAME, number), limit, name, name, strong=False)
    elif source.program:
        entry = rules.catalogue[source.program]
        files, signs, only = _files(entry), _signs(entry), frozenset({entry.id})
        yield _Part((PACKAGE, number), limit, _own_signs(rules, entry), (*signs, *files), signs, entries=only)
        yield _Part((NAME, number), limit, _own_files(rules, entry), files, strong=False, entries=only)
    elif source.group:
        entries, bare = _members(rules, source.group)
        signs = tuple(trait for entry in entries for trait in _signs(entry))
        files = (*bare, *(trait for entry in entries for trait in _files(entry)))
        certain = tuple(trait for entry in entries for trait in (*_own_signs(rules, entry), *_own_files(rules, entry)))
        ids = frozenset(entry.id for entry in entries)
        yield _Part((GROUP, number), limit, (*bare, *certain), (*signs, *files), signs, entries=ids)


def _members(rules: ChildRules, group: str) -> tuple[list[CatalogueEntry], Traits]:
    """``(well-known programs, bare names)`` of a group."""
    if group not in rules.groups:
        return [], ()
    named = rules.groups[group]
    entries = [entry for entry in rules.catalogue.values() if entry.id in named or entry.group == group]
    taken = {trait.value.casefold() for entry in rules.catalogue.values() for trait in _files(entry)}
    bare = sorted(name for name in named - rules.catalogue.keys() if name.casefold() not in taken)
    return entries, tuple(Trait(kind="name", value=name) for name in bare)


def _signs(entry: CatalogueEntry) -> Traits:
    """How a well-known program can be told by more than its name."""
    windows = entry.windows
    if windows is None:
        return ()
    publisher = windows.publisher
    named = [Trait(kind="signer", value=publisher, name=name) for name in windows.binary] if publisher else []
    return (*_marks(entry), *named)


def _own_signs(rules: ChildRules, entry: CatalogueEntry) -> Traits:
    """What only this program has: its package, and its product."""
    return tuple(trait for trait in _marks(entry) if _only_once(rules, entry, trait, _marks))


def _own_files(rules: ChildRules, entry: CatalogueEntry) -> Traits:
    """Its names as files, but for those that another well-known program has, too."""
    return tuple(trait for trait in _files(entry) if _only_once(rules, entry, trait, _files))


def _marks(entry: CatalogueEntry) -> Traits:
    windows = entry.windows
    if windows is None:
        return ()
    package = [Trait(kind="package", value=f"appx:{windows.appx}")] if windows.appx else []
    both = windows.publisher and windows.product
    signer = [Trait(kind="signer", value=windows.publisher or "", product=windows.product or "")] if both else []
    return (*package, *signer)


def _files(entry: CatalogueEntry) -> Traits:
    windows = entry.windows
    return tuple(Trait(kind="name", value=name) for name in windows.binary) if windows is not None else ()


def _only_once(rules: ChildRules, mine: CatalogueEntry, trait: Trait, of: Callable[[CatalogueEntry], Traits]) -> bool:
    low = trait.value.casefold()
    return not any(
        (one.value.casefold(), one.product) == (low, trait.product)
        for entry in rules.catalogue.values()
        if entry.id != mine.id
        for one in of(entry)
    )


def _permitted(rules: ChildRules, plan: Plan, subject: str) -> list[Trait]:
    """At least what ``core.judge.permitted`` says yes to."""
    kind, _, value = subject.partition(":")
    match kind:
        case "sha256" | "path":
            return [Trait(kind=kind, value=value)]
        case "program":
            limits = [limit for limit in plan.programs if value in (limit.source.id, limit.source.program)]
            found = [trait for limit in limits for part in _parts(rules, limit, 0) for trait in part.opens]
            entry = rules.catalogue.get(value)
            known = (*_signs(entry), *_files(entry)) if entry is not None else ()
            return [*found, *known, Trait(kind="name", value=value), Trait(kind="package", value=value)]
        case _:
            return [Trait(kind="package", value=subject)] if subject else []


# ---- what a program has ----------------------------------------------------------------------------------------------


def _once(*traits: Iterable[Trait]) -> Traits:
    return tuple(dict.fromkeys(trait for some in traits for trait in some))


def _any(traits: Iterable[Trait], program: ProgramId) -> bool:
    return any(_has(trait, program) for trait in traits)


def _has(trait: Trait, program: ProgramId) -> bool:
    match trait.kind:
        case "sha256":
            return bool(program.sha256) and program.sha256 == trait.value
        case "signer":
            called = trait.name.casefold() in ("", program.name.casefold())
            return (
                bool(program.signer)
                and program.signer == trait.value
                and called
                and trait.product in ("", program.product)
            )
        case "package":
            return bool(program.package) and trait.value in (program.package, program.package.partition(":")[2])
        case "path":
            return is_at(program.path, trait.value)
        case "name":
            return program.name.casefold() == trait.value.casefold()
        case "protected":
            return program.protected
