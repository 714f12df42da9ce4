"""A menu as data: rows, and the act that a chosen row asks for.  Pure; ``panel`` and ``live`` show it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.model.grant import Lasting

EXTRA_MINUTES = (15, 30, 60)
LONGEST_LIST = 12


@dataclass(frozen=True, slots=True)
class Act:
    """What a chosen row asks for.  ``name`` is one of ``ACTS``; the rest is what it needs.  Seconds."""

    name: str
    child: str = ""
    seconds: int = 0
    subject: str = ""
    lasting: Lasting | None = None
    """How long a yes to a program lasts."""


ACTS = frozenset(
    ("state", "agreement", "ask", "ask-why", "ask-site", "week", "recorded", "learned", "help", "protection")
    + ("time", "pause", "lock", "release", "grant", "refuse", "limits", "summary")
)
GUARDED = frozenset(("time", "pause", "lock", "release", "grant", "refuse"))
"""Acts that need a guardian's PIN."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the menu: an act, a submenu, or (neither) words only.

    Panels draw words only in pale grey, so what is worth reading has an act that says more about it.
    """

    label: str
    act: Act | None = None
    rows: tuple[Row, ...] = ()
    enabled: bool = True


SEPARATOR = Row("-", enabled=False)
