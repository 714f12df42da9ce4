"""Which form a list is in, seen from its first lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from agent.errors import ListError
from agent.model.sitelist import ListFormat

SAMPLE = 256 * 1024
"""Bytes that are looked at."""
_SIGNS: Mapping[ListFormat, re.Pattern[str]] = {
    "dnsmasq": re.compile(r"(address|local|server)=/.*/.*"),
    "adblock": re.compile(
        r"(@@)?\|\|.*|.*#[@?$%]?#.*|.*\^.*|.*\$(third-party|3p|script|image|domain=|important|document).*"
    ),
    "rpz": re.compile(r"(\$(TTL|ORIGIN)\b.*|\S+\s+(\d+\S*\s+)?(IN\s+)?(SOA|NS|CNAME)\s+\S+.*)", re.IGNORECASE),
    "hosts": re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%\w+)?|0)\s+\S.*"),
    "domains": re.compile(r"(\*?\.)?[^\s/|:=$^,;@*]{1,255}(\s*#.*)?"),
}
FORMS = (
    "hosts, plain domains, AdBlock (||name^), dnsmasq, RPZ, or a folder of categories (files called “domains”, or .txt), "
    "each of them also packed (.gz, .zip, .tar.gz)"
)


def guess(data: bytes, where: str) -> ListFormat:
    """The form of a list that begins with ``data``.  ``ListError`` when it is none."""
    if b"\0" in data:
        raise ListError("This is not a text file", f"A list is one of {FORMS}.  Unpack it first.", where=where)
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    if re.match(r"\s*<(!doctype|html|\?xml|head|body)", text, re.IGNORECASE):
        raise ListError(
            "This is a web page, not a list", "Download the list itself: the link to the plain text.", where=where
        )
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if re.match(r"\[(adblock|ublock|adguard)", lines[0] if lines else "", re.IGNORECASE):
        return "adblock"
    best, votes, told = _most(line for line in lines if line[0] not in "#!;")
    if not told and not any(line[0] in "#!;" for line in lines):
        raise ListError("The list is empty", "Check that it was downloaded whole.", where=where)
    if not told:
        raise ListError("The list holds nothing but comments", "Check that it is the right file.", where=where)
    if votes * 2 < told:
        raise ListError(
            "It cannot be seen what kind of list this is",
            f"A list is one of {FORMS}.  If it is one of these, say which with --format.",
            where=where,
        )
    return best


def _most(lines: Iterable[str]) -> tuple[ListFormat, int, int]:
    """The form that most lines have; of how many lines, of how many in all."""
    votes: dict[ListFormat, int] = dict.fromkeys(_SIGNS, 0)
    told = 0
    for line in lines:
        told += 1
        for form, sign in _SIGNS.items():
            if sign.fullmatch(line[:300]):
                votes[form] += 1
                break
    best = max(votes, key=lambda form: votes[form])
    return best, votes[best], told
