"""What a line of a published list says: whole hosts to list or to except, or why it says neither.

A rule here covers a host and all below it, so what is about a part of a site, about certain kinds of requests or about the
name alone with another answer is left out, and counted; ``*.d`` stands for ``d`` as well.  References: hosts(5); the filter
syntax of Adblock Plus and AdGuard's for DNS; dnsmasq(8), ``--address``, ``--local`` and ``--server``; the Internet-Draft
draft-vixie-dnsop-dns-rpz-00.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple

from agent.model.sitelist import ListFormat

Why = Literal[
    "about a part of a site",
    "about certain kinds of requests or pages",
    "gives another answer",
    "another setting",
    "cancels another rule",
    "cancelled by another rule",
    "not understood",
]


class Says(NamedTuple):
    """Texts of hosts, as they stand there; ``excepted``: they are not listed, whatever stands above them."""

    hosts: tuple[str, ...]
    excepted: bool = False


Parse = Callable[[str], "Says | Why | None"]
"""A line without white space around it; ``None`` when it says nothing (a comment)."""

_NOWHERE = re.compile(r"0\.0\.0\.0|127(?:\.\d{1,3}){3}|::1?|0|#?")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(?:%\w+)?|0")
_HOST_RULE = re.compile(r"(@@)?\|\|([^/^$*|#,]+|\*\.[^/^$*|#,]+)\^\|?(?:\$(.*))?")
_WHOLE = frozenset({"important", "all", "document", "doc"})
"""Options with which a rule still is about the whole host, visited by itself."""
_DNSMASQ = re.compile(r"(address|local|server)=/(.*)/([^/]*)")
_ZONE_LINE = re.compile(
    r"(\S+)\s+(?:\d+[smhdw]?\s+)?(?:IN\s+)?(?:\d+[smhdw]?\s+)?([A-Z][A-Z0-9-]*)\s+(.*)", re.IGNORECASE | re.ASCII
)
_TRIGGERS = (".rpz-ip", ".rpz-nsip", ".rpz-nsdname", ".rpz-client-ip")


def hosts(line: str) -> Says | Why | None:
    """``0.0.0.0 name name``: names without an address of their own.  An entry covers what is below it, too."""
    words = line.partition("#")[0].split()
    if not words:
        return None
    if len(words) == 1 or not _ADDRESS.fullmatch(words[0]):
        return "not understood"
    return Says(tuple(words[1:])) if _NOWHERE.fullmatch(words[0]) else "gives another answer"


def domains(line: str) -> Says | Why | None:
    """A name a line; ``*.name`` and ``.name`` mean the same."""
    words = line.partition("#")[0].split()
    if not words or words[0][0] in ";!":
        return None
    return Says((words[0],)) if len(words) == 1 else "not understood"


class Adblock:
    """``||name^`` and ``@@||name^``, with options that leave the rule about the whole host.

    A rule is ``cancelled`` by the same one with the option ``badfilter``, wherever that stands in the list.
    """

    def __init__(self, cancelled: Collection[Rule] = ()) -> None:
        self._cancelled = cancelled

    def __call__(self, line: str) -> Says | Why | None:
        if line[0] in "![" or (line[0] == "#" and line[1:2] in ("", " ", "#")):
            return None if not line.startswith("##") else "about a part of a site"
        found = _HOST_RULE.fullmatch(line)
        if found is None:
            return "about a part of a site"
        options = found[3].split(",") if found[3] is not None else ()
        if BADFILTER in options:
            return "cancels another rule"
        if options and not _WHOLE.issuperset(options):
            return "about certain kinds of requests or pages"
        if self._cancelled and _rule(found, options) in self._cancelled:
            return "cancelled by another rule"
        return Says((found[2],), found[1] is not None)


BADFILTER = "badfilter"
Rule = tuple[bool, str, frozenset[str]]
"""Whether it excepts, the host, its options."""


def cancelled(line: str) -> Rule | None:
    """The rule that a line cancels; ``None`` for most, and for those that cancel what is left out in any case."""
    found = _HOST_RULE.fullmatch(line)
    if found is None or found[3] is None:
        return None
    options = found[3].split(",")
    return _rule(found, options) if BADFILTER in options else None


def _rule(found: re.Match[str], options: Collection[str]) -> Rule:
    return found[1] is not None, found[2].lower(), frozenset(options) - {BADFILTER}


def dnsmasq(line: str) -> Says | Why | None:
    """``address=/name/`` (no address, or one that leads nowhere), ``local=/name/``, ``server=/name/``; ``server=/name/#`` excepts."""
    if line[0] == "#":
        return None
    found = _DNSMASQ.fullmatch(line.partition(" #")[0].rstrip())
    if found is None:
        return "another setting"
    what, names, answer = found[1], tuple(found[2].split("/")), found[3]
    if what != "address" and answer == "#":
        return Says(names, excepted=True)
    if answer and (what != "address" or not _NOWHERE.fullmatch(answer)):
        return "gives another answer"
    return Says(names)


class Zone:
    """A response policy zone: ``name CNAME .``; names are relative to ``$ORIGIN`` or end in it."""

    def __init__(self) -> None:
        self._origin = ""

    def __call__(self, line: str) -> Says | Why | None:
        line = line.partition(";")[0].rstrip()
        if not line:
            return None
        if line[0] == "$":
            word, _, rest = line.partition(" ")
            if word.upper() == "$ORIGIN":
                self._origin = f".{rest.strip().strip('.')}".lower()
            return None
        found = _ZONE_LINE.fullmatch(line)
        if found is None:
            return "another setting"
        owner, kind, data = found[1], found[2].upper(), found[3].strip().lower()
        if owner == "@" or kind in ("SOA", "NS"):
            return "another setting"
        if owner.endswith("."):
            owner = owner[:-1]
            if len(self._origin) > 1 and owner.lower().endswith(self._origin):
                owner = owner[: -len(self._origin)]
        if owner.lower().endswith(_TRIGGERS):
            return "another setting"
        if kind == "CNAME" and data in (".", "*.", "rpz-drop."):
            return Says((owner,))
        if kind == "CNAME" and data == "rpz-passthru.":
            return Says((owner,), excepted=True)
        if kind in ("A", "AAAA") and data and _NOWHERE.fullmatch(data):
            return Says((owner,))
        return "gives another answer"


PARSERS: Mapping[ListFormat, Callable[[], Parse]] = {
    "hosts": lambda: hosts,
    "domains": lambda: domains,
    "adblock": Adblock,
    "dnsmasq": lambda: dnsmasq,
    "rpz": Zone,
    "folder": lambda: domains,
}
"""A new parser for each file: a zone has a memory, and AdBlock's knows what is cancelled."""
