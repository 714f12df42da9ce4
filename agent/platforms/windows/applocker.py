"""AppLocker's text: each child's floor (``model.floor``) as rules for that child's SID, and everybody else as free as before.

Pure.  Two properties of AppLocker shape it (Microsoft's documentation, "Understanding AppLocker rule behavior"): a collection
that has a rule denies whatever no rule allows, and a denial comes before every allowance.  So everybody is allowed everything
by one rule, and what a child may not start is a denial with exceptions for that child alone: no mistake in a child's rules
can shut out a guardian.  Publishers are named as certificates name them, which a policy does not know: a denial for a signer
is written only where the full name is known, and an exception for a signer holds for any publisher of that product.

Rules of others stay; where they only count and do not close (audit), nothing of ours is added, for that would close theirs.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as Tree

from agent.errors import HostError
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.platforms.windows.images import Image

EVERYONE = "S-1-1-0"
OURS = "Fairtime: "
"""Begins the names of our rules."""
EXE, SCRIPT, APPX = "Exe", "Script", "Appx"
COLLECTIONS = (EXE, SCRIPT, APPX)
WRITABLE = (
    r"debug\WIA", r"Registration\CRMLog", r"System32\Com\dmp", r"System32\FxsTmp",
    r"System32\Microsoft\Crypto\RSA\MachineKeys", r"System32\spool\drivers\color", r"System32\spool\PRINTERS",
    r"System32\spool\SERVERS", r"System32\Tasks", r"System32\Tasks_Migrated", r"SysWOW64\Com\dmp", r"SysWOW64\FxsTmp",
    r"SysWOW64\Tasks", "Tasks", "Temp", "tracing",
)  # fmt: skip
"""Folders below Windows' own in which standard accounts may put files (Microsoft's and others' published lists)."""
_SPACE = uuid.UUID("b7f6d8a0-58cc-4d0c-9c4e-9b6e3f0d8c51")
_ADVICE = "Programs are stopped right after they have started instead."


@dataclass(frozen=True, slots=True)
class Places:
    """Where this PC has what standard accounts may not write."""

    windows: str = r"C:\Windows"
    programs: tuple[str, ...] = (r"C:\Program Files", r"C:\Program Files (x86)")
    others: tuple[str, ...] = ()
    """Folders elsewhere that an administrator has installed programs in."""


@dataclass(frozen=True, slots=True)
class Known:
    """What this PC knows of programs that a policy names."""

    images: Mapping[str, Image] = field(default_factory=dict)
    """SHA-256 of a file → how AppLocker names it."""
    publishers: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Signer → the full names of its certificates (``O=…, L=…, S=…, C=…``)."""


@dataclass(frozen=True, slots=True)
class Written:
    """A policy's text, and the rules of the family that could not be written into it."""

    xml: str
    ids: frozenset[str]
    left: tuple[str, ...]


# ---- the whole policy ------------------------------------------------------------------------------------------------


def policy(
    floors: Collection[tuple[ProgramFloor, Collection[str]]],
    before: str = "",
    places: Places = Places(),
    known: Known = Known(),
) -> Written:
    """``floors``: each with its child's SIDs.  ``before``: the local policy as it is now, ours in it or not.

    ``HostError`` when that cannot be understood: then it is left alone.
    """
    writer = _Writer(places, known)
    wanted: dict[str, list[Tree.Element]] = {name: [] for name in COLLECTIONS}
    for floor, sids in floors:
        for sid in sorted(sids):
            for where, rule in writer.rules(floor, sid):
                wanted[where].append(rule)
    root = _parsed(before)
    ids: set[str] = set()
    for name, denied in wanted.items():
        collection = _collection(root, name)
        mine = [one for one in collection if _is_ours(one)]
        for one in mine:
            collection.remove(one)
        theirs = [one for one in collection if one.tag.endswith("Rule")]
        if not denied:
            if mine and not theirs:
                collection.set("EnforcementMode", "NotConfigured")
                collection.text = None
            continue
        if theirs and collection.get("EnforcementMode") != "Enabled":
            writer.left[f"another program's rules for {name} only count, and ours would make them close"] = None
            continue
        collection.set("EnforcementMode", "Enabled")
        for rule in [*([] if theirs else [_everybody(name)]), *denied]:
            id_ = rule.get("Id", "")
            if id_ not in ids:  # the same denial by two rules is one
                collection.append(rule)
                ids.add(id_)
    return Written(_text(root), frozenset(ids), tuple(writer.left))


def without(before: str) -> str:
    """The local policy without rules of ours; empty collections are not configured, as before there were any."""
    return policy((), before).xml


def has_ours(before: str) -> bool:
    """Whether a policy has a rule of ours."""
    return any(_is_ours(rule) for collection in _parsed(before) for rule in collection)


def _parsed(text: str) -> Tree.Element:
    if not text.strip():
        return Tree.Element("AppLockerPolicy", Version="1")
    try:
        root = Tree.fromstring(text)
    except Tree.ParseError as error:
        raise HostError(f"This PC's AppLocker policy cannot be understood: {error}", _ADVICE) from error
    if root.tag != "AppLockerPolicy":
        raise HostError("This PC's AppLocker policy cannot be understood", _ADVICE)
    return root


def _is_ours(rule: Tree.Element) -> bool:
    return rule.get("Name", "").startswith(OURS)


def _collection(root: Tree.Element, name: str) -> Tree.Element:
    found = next((one for one in root if one.get("Type") == name), None)
    if found is None:
        found = Tree.SubElement(root, "RuleCollection", Type=name, EnforcementMode="NotConfigured")
    return found


def _text(root: Tree.Element) -> str:
    """ASCII, so that it goes through a script as it is."""
    Tree.indent(root)
    made: bytes = Tree.tostring(root, encoding="us-ascii", xml_declaration=False)
    return made.decode("ascii")


# ---- rules -----------------------------------------------------------------------------------------------------------


def _everybody(collection: str) -> Tree.Element:
    condition = _publisher("*", "*") if collection == APPX else _path("*")
    return _rule(condition, (), EVERYONE, "Allow", f"{OURS}everybody starts what nothing denies", collection)


def _rule(
    condition: Tree.Element, exceptions: Iterable[Tree.Element], sid: str, action: str, name: str, collection: str
) -> Tree.Element:
    kinds = {"FilePathCondition": "FilePathRule", "FilePublisherCondition": "FilePublisherRule"}
    rule = Tree.Element(kinds.get(condition.tag, "FileHashRule"))
    conditions = Tree.SubElement(rule, "Conditions")
    conditions.append(condition)
    if excepted := list(exceptions):
        Tree.SubElement(rule, "Exceptions").extend(excepted)
    what = Tree.tostring(rule, encoding="unicode")
    rule.set("Id", str(uuid.uuid5(_SPACE, "\n".join((collection, sid, action, what)))))
    rule.set("Name", name)
    rule.set("Description", "")
    rule.set("UserOrGroupSid", sid)
    rule.set("Action", action)
    return rule


def _path(path: str) -> Tree.Element:
    return Tree.Element("FilePathCondition", Path=path)


def _publisher(publisher: str, product: str) -> Tree.Element:
    made = Tree.Element("FilePublisherCondition", PublisherName=publisher, ProductName=product, BinaryName="*")
    Tree.SubElement(made, "BinaryVersionRange", LowSection="*", HighSection="*")
    return made


def _hash(image: Image) -> Tree.Element:
    made = Tree.Element("FileHashCondition")
    Tree.SubElement(
        made, "FileHash", Type="SHA256", Data=f"0x{image.sha256.upper()}", SourceFileName=image.name,
        SourceFileLength=str(image.length),
    )  # fmt: skip
    return made


Part = tuple[str, Callable[[], Tree.Element]]
"""A collection, and what makes a new condition for it: an element of a tree has one place."""


class _Writer:
    def __init__(self, places: Places, known: Known) -> None:
        self._places = places
        self._known = known
        self.left: dict[str, None] = {}

    def rules(self, floor: ProgramFloor, sid: str) -> Iterator[tuple[str, Tree.Element]]:
        """``(collection, rule)`` of one child."""
        for denial in floor.denials:
            yield from self._denial(denial, [part for trait in denial.traits for part in self._named(trait)], sid)
        if floor.others is not None:
            anything: list[Part] = [(collection, lambda: _path("*")) for collection in (EXE, SCRIPT)]
            yield from self._denial(floor.others, anything, sid)
            # Folders in Windows' own where the child can write are not the machine's.
            unless = tuple(trait for trait in floor.others.unless if trait.kind != "protected")
            inside = Denial(rule=floor.others.rule, traits=(), unless=unless)
            writable: list[Part] = [
                (collection, lambda path=path: _path(path))  # type: ignore[misc]  # a default argument, bound to this turn of the loop
                for collection in (EXE, SCRIPT)
                for path in (rf"%WINDIR%\{folder}\*" for folder in WRITABLE)
            ]
            yield from self._denial(inside, writable, sid)

    def _denial(self, denial: Denial, parts: Iterable[Part], sid: str) -> Iterator[tuple[str, Tree.Element]]:
        excepted = [self._excepted(trait) for trait in denial.unless]
        if any(some is None for some in excepted):
            # What must stay open has no name here, so the denial would close it.
            self.left[f"{denial.rule} (a program that is allowed by its SHA-256 was not seen here yet)"] = None
            return
        for collection, make in parts:
            if collection == APPX and any(trait.kind != "package" for trait in denial.unless):
                # Of an app from the shop AppLocker knows the package alone.
                self.left[f"{denial.rule} (an app of the shop; something else about it may allow it)"] = None
                continue
            condition = make()
            exceptions = [other() for some in excepted for where, other in some or () if where == collection]
            if exceptions and condition.tag == "FileHashCondition":
                # Such a rule takes none.
                self.left[f"{denial.rule} (while a guardian allows something)"] = None
                continue
            yield collection, _rule(condition, exceptions, sid, "Deny", f"{OURS}{denial.rule}", collection)

    def _named(self, trait: Trait) -> list[Part]:
        """Conditions for at most what has this trait; none where it cannot be said."""
        match trait.kind:
            case "sha256":
                image = self._known.images.get(trait.value)
                if image is None:
                    self.left[f"sha256 {trait.value[:12]}… (the file was not seen here yet)"] = None
                    return []
                return [(EXE, lambda: _hash(image)), (SCRIPT, lambda: _hash(image))]
            case "signer":
                names = self._known.publishers.get(trait.value, ())
                if not names or trait.name:
                    self.left[f"signer {trait.value} (no program of it was seen here yet)"] = None
                    return []
                product = trait.product.upper() or "*"
                return [
                    (collection, lambda name=name: _publisher(name, product))  # type: ignore[misc]  # bound to this turn
                    for collection in (EXE, SCRIPT)
                    for name in sorted(names)
                ]
            case _:
                return self._excepted(trait) or []

    def _excepted(self, trait: Trait) -> list[Part] | None:
        """Conditions for at least what has this trait; ``None`` where they cannot be told."""
        match trait.kind:
            case "sha256":
                image = self._known.images.get(trait.value)
                return None if image is None else [(EXE, lambda: _hash(image)), (SCRIPT, lambda: _hash(image))]
            case "signer" if trait.name:
                return _files(rf"*\{trait.name}")
            case "signer":
                product = trait.product.upper() or "*"
                return [(collection, lambda: _publisher("*", product)) for collection in (EXE, SCRIPT)]
            case "package":
                kind, _, name = trait.value.rpartition(":")
                return [(APPX, lambda: _publisher("*", name))] if kind in ("", "appx") else []
            case "name":
                return _files(rf"*\{trait.value}")
            case "path":
                return _files(self._place(trait.value))
            case "protected":
                places = [r"%WINDIR%\*", r"%PROGRAMFILES%\*", *(self._place(f"{one}\\") for one in self._places.others)]
                return [part for place in places for part in _files(place)]

    def _place(self, path: str) -> str:
        """A path as AppLocker writes it, with its own variables; empty for what is no path of Windows."""
        if path[1:3] != ":\\" and not path.startswith("\\\\"):
            return ""
        path += "*" if path.endswith("\\") else ""
        for place in self._places.programs:
            if path.casefold().startswith(f"{place}\\".casefold()):
                return "%PROGRAMFILES%" + path[len(place) :]
        windows = self._places.windows
        if path.casefold().startswith(f"{windows}\\".casefold()):
            return "%WINDIR%" + path[len(windows) :]
        if path[:2].casefold() == windows[:2].casefold():
            return "%OSDRIVE%" + path[2:]
        return path


def _files(path: str) -> list[Part]:
    """A path for programs and scripts; none where it could mean more than it says."""
    if not path or any(sign in path.removeprefix("*").removesuffix("*") for sign in '*?"<>|'):
        return []
    return [(collection, lambda: _path(path)) for collection in (EXE, SCRIPT)]
