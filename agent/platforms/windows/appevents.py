"""What AppLocker says when it has denied a program: events 8004 and 8007 of its logs, as XML.

Pure.  The words for the child come from the service, so it is told which program it was and asked why: AppLocker denies only
what the service would block.  An event is written by Windows, with names in it that a child has chosen, so it is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

LOGS = ("Microsoft-Windows-AppLocker/EXE and DLL", "Microsoft-Windows-AppLocker/MSI and Script")
DENIED = (8004, 8007)
"""A program, and a script or installer, were not let start."""
QUERY = f"*[System[{' or '.join(f'EventID={one}' for one in DENIED)}]]"
_LONGEST = 64 * 1024
_EVENT = "{http://schemas.microsoft.com/win/2004/08/events/event}"
_DATA = "{http://schemas.microsoft.com/schemas/event/Microsoft.Windows/1.0.0.0}"


@dataclass(frozen=True, slots=True)
class Denied:
    """One program that Windows did not let start."""

    sid: str
    path: str
    """In capitals, as AppLocker writes it, but for a variable that was filled in."""
    pid: int
    """Of the process that wanted to start it, or was about to become it."""
    rule: str
    """The name of AppLocker's rule; empty where no rule let it."""


def denied(event: str, variables: Mapping[str, str]) -> Denied | None:
    """What an event says; ``None`` for another event, and for what makes no sense.  ``variables``: see ``unfolded``."""
    if len(event) > _LONGEST or "<!" in event:
        return None
    try:
        root = Tree.fromstring(event)
    except Tree.ParseError:
        return None
    number = root.findtext(f"{_EVENT}System/{_EVENT}EventID", "").strip()
    data = root.find(f"{_EVENT}UserData/{_DATA}RuleAndFileData")
    if number not in map(str, DENIED) or data is None:
        return None
    said = {one.tag.removeprefix(_DATA): (one.text or "").strip() for one in data}
    sid, path, pid = said.get("TargetUser", ""), said.get("FilePath", ""), said.get("TargetProcessId", "")
    if not sid.startswith("S-1-") or not path or not (pid.isascii() and pid.isdecimal()):
        return None
    rule = said.get("RuleName", "")
    return Denied(sid, unfolded(path, variables), int(pid), "" if rule == "-" else rule)


def unfolded(path: str, variables: Mapping[str, str]) -> str:
    r"""A path without AppLocker's names for places: ``variables`` has ``%OSDRIVE%`` → ``C:`` and so on.

    ``%PROGRAMFILES%`` may be either of two folders; whoever asks looks where the file is.
    """
    for name, place in variables.items():
        if path.upper().startswith(f"{name}\\"):
            return place + path[len(name) :]
    return path
