"""Public suffixes (https://publicsuffix.org/list/): names under which anybody may have a host of their own.

A list that names one would block a country; and what is one *site* for people is a name right below one.  The list itself
comes with the package ``publicsuffixlist``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from agent.core.hosts import read


@dataclass(frozen=True, slots=True)
class Suffixes:
    """Rules of the list, canonical; of ``*.ck`` and ``!www.ck`` the name without the mark."""

    plain: frozenset[str]
    wild: frozenset[str]
    never: frozenset[str]

    def holds(self, name: str) -> bool:
        """Whether ``name`` is a public suffix, or only has some below it.  An unknown top level is one, as browsers have it."""
        if name in self.plain or name in self.wild:
            return True
        parent = name.partition(".")[2]
        return not parent or (parent in self.wild and name not in self.never)


def of_registries() -> Suffixes:
    """Suffixes that registries sell names under; not those of companies (``github.io``), which may be blocked whole."""
    return _suffixes(rule for rule, registry in rules() if registry)


@cache
def rules() -> tuple[tuple[str, bool], ...]:
    """Every rule in A-labels, with its mark; and whether it is a registry's."""
    return tuple(_read())


def _read() -> Iterator[tuple[str, bool]]:
    from publicsuffixlist import PSLFILE

    registry = True
    with open(PSLFILE, encoding="utf-8") as file:
        for line in file:
            if line.startswith("//"):
                registry = registry and "END ICANN DOMAINS" not in line
                continue
            text = line.strip()
            mark = text[: 2 if text.startswith("*.") else 1 if text.startswith("!") else 0]
            name = read(text[len(mark) :]) if text else None
            if name is not None:
                yield mark + name, registry


def _suffixes(found: Iterable[str]) -> Suffixes:
    kept = list(found)
    return Suffixes(
        plain=frozenset(rule for rule in kept if rule[0] not in "*!"),
        wild=frozenset(rule[2:] for rule in kept if rule[0] == "*"),
        never=frozenset(rule[1:] for rule in kept if rule[0] == "!"),
    )
