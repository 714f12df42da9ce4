"""Who may do what with a file or folder, from its security descriptor in words (SDDL, MS-DTYP 2.5.1).

Pure, and on the safe side: an entry with a condition counts as one that allows, and what cannot be understood may be written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

ADD_FILE, ADD_FOLDER, DELETE_CHILD, DELETE, WRITE_DAC, WRITE_OWNER = 0x2, 0x4, 0x40, 0x10000, 0x40000, 0x80000
"""Of a folder; of a file the first two are: write, and append."""
CHANGE = ADD_FILE | ADD_FOLDER | DELETE_CHILD | DELETE | WRITE_DAC | WRITE_OWNER
"""Whoever has any of these may put something else in the place of what is there."""
ANYBODY = ("S-1-1-0", "S-1-5-11", "S-1-5-4", "S-1-5-32-545", "S-1-2-0", "S-1-5-113")
"""What every standard account that logs in at the screen is: everyone, authenticated, interactive, a user, local."""
_WORDS = {
    "GA": 0x1F01FF, "GR": 0x120089, "GW": 0x120116, "GX": 0x1200A0,
    "FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0,
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
    "SD": 0x10000, "RC": 0x20000, "WD": 0x40000, "WO": 0x80000,
}  # fmt: skip
_NAMES = {
    "WD": "S-1-1-0", "AU": "S-1-5-11", "IU": "S-1-5-4", "BU": "S-1-5-32-545", "BA": "S-1-5-32-544", "SY": "S-1-5-18",
    "LS": "S-1-5-19", "NS": "S-1-5-20", "CO": "S-1-3-0", "CG": "S-1-3-1", "BG": "S-1-5-32-546", "PU": "S-1-5-32-547",
    "AN": "S-1-5-7", "OW": "S-1-3-4", "AC": "S-1-15-2-1", "NU": "S-1-5-2", "SU": "S-1-5-6",
}  # fmt: skip
_GENERIC = ((0x10000000, "GA"), (0x80000000, "GR"), (0x40000000, "GW"), (0x20000000, "GX"))
_ACE = re.compile(r"\((?P<kind>[A-Z]+);(?P<flags>[A-Z]*);(?P<rights>[^;]*);[^;]*;[^;]*;(?P<who>[^;)]*)(?:;.*?)?\)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a DACL: allows or denies ``mask`` to ``who`` (a SID)."""

    allows: bool
    mask: int
    who: str


def may(sddl: str, sids: Collection[str], wanted: int = CHANGE) -> bool:
    """Whether somebody who is all of ``sids`` has any of the ``wanted`` rights.  The first entry about a right decides it."""
    found = re.fullmatch(r"(?:O:(?P<owner>[^:]*?))?(?:G:[^:]*?)?(?:D:(?P<dacl>.*?))?(?:S:.*)?", sddl, re.S)
    if found is None or found["dacl"] is None or "NO_ACCESS_CONTROL" in found["dacl"]:
        return True
    owner = _NAMES.get(found["owner"] or "", found["owner"] or "")
    if owner in sids and wanted & WRITE_DAC:
        return True  # whoever owns it may change the rights
    open_ = wanted
    for entry in entries(found["dacl"]):
        if entry.who in sids and entry.mask & open_:
            if entry.allows:
                return True
            open_ &= ~entry.mask
    return False


def entries(dacl: str) -> Iterator[Entry]:
    """The entries that hold for the object itself, not only for what will be in it."""
    for ace in _ACE.finditer(dacl):
        flags = {ace["flags"][at : at + 2] for at in range(0, len(ace["flags"]), 2)}
        if "IO" in flags or ace["kind"] not in ("A", "D", "XA", "XD", "OA", "OD"):
            continue
        if ace["kind"] == "XD":
            continue  # under its condition only
        yield Entry(ace["kind"] in ("A", "XA", "OA"), mask(ace["rights"]), _NAMES.get(ace["who"], ace["who"]))


def mask(rights: str) -> int:
    """A number, or words of two letters, as one mask without generic rights; every right where it cannot be understood."""
    try:
        found = int(rights, 0)
    except ValueError:
        found = 0
        for at in range(0, len(rights), 2):
            known = _WORDS.get(rights[at : at + 2])
            if known is None:
                return _WORDS["FA"]
            found |= known
    for bit, word in _GENERIC:
        if found & bit:
            found = found & ~bit | _WORDS[word]
    return found
