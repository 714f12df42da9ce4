"""What a child may not start in any case, as long as things stand as they do: for systems that deny by rules of their own.

``core.floor`` makes it from the policy and the grants.  It is a floor below the service's own judging, never instead of it:
whatever it denies, the service would stop; much that the service stops (hours, minutes, what must be asked for) it lets run.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

TraitKind = Literal["sha256", "signer", "package", "path", "name", "protected"]


class Trait(Struct, frozen=True, kw_only=True, array_like=True):
    """Something about a program: ``value`` of ``ProgramId``'s field of that name.

    ``path``: also everything below it where it ends as a folder does.  ``signer``: with ``product`` or ``name``, of that product
    or file name alone.  ``protected``: what lies where the account cannot write; without a value.
    """

    kind: TraitKind
    value: str = ""
    product: str = ""
    name: str = ""


class Denial(Struct, frozen=True, kw_only=True):
    """Programs with one of ``traits`` are denied, but for those with one of ``unless``."""

    rule: str
    traits: tuple[Trait, ...]
    unless: tuple[Trait, ...] = ()


class ProgramFloor(Struct, frozen=True, kw_only=True):
    """One child's; every denial holds for itself."""

    child: str
    accounts: tuple[str, ...]
    denials: tuple[Denial, ...] = ()
    others: Denial | None = None
    """Also everything else but ``unless``, ``traits`` being empty; ``None``: what no denial names may start."""
