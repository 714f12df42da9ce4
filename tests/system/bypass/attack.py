"""What an attack is, and the list of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.bypass.lab import Lab


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the limit held, and what was seen."""

    held: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One way around.  ``rows`` are those of the threat model's table that it covers."""

    id: str
    title: str
    rows: tuple[int, ...]
    run: Callable[[Lab], Outcome]
    limit: str = ""
    """The line of docs/limits.md that names it, for an attack that software cannot hold."""
    kid: str | None = None
    """Limits (TOML) of a child that exists for this attack alone, with an account ``kid-ID``."""
    calm: bool = False
    """It measures the processor's load, which a busy PC would hide: only with its like."""
    alone: bool = False
    """It takes so much of the PC that nothing else can be measured meanwhile."""
    net: bool = False
    """It wants the container's Internet."""


ATTACKS: dict[str, Attack] = {}


def attack(
    id_: str,
    title: str,
    *rows: int,
    limit: str = "",
    kid: str | None = None,
    calm: bool = False,
    alone: bool = False,
    net: bool = False,
) -> Callable[[Callable[[Lab], Outcome]], Callable[[Lab], Outcome]]:
    """Enter the function below as an attack."""

    def enter(run: Callable[[Lab], Outcome]) -> Callable[[Lab], Outcome]:
        assert id_ not in ATTACKS, id_
        ATTACKS[id_] = Attack(id_, title, rows, run, limit, kid, calm, alone, net)
        return run

    return enter
