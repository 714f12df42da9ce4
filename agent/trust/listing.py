"""What a publisher of lists signs, and what is asked of the job that checks it.  Light imports.

A list is far larger than an envelope may be, so the envelope holds a statement about it: the SHA-256 of each of its files.  It
lies beside the list, as ``LIST.dsse.json``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

LIST_TYPE = "application/vnd.fairtime.list+json;version=1"
PublicKey = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="an Ed25519 public key, as 64 hex digits")]


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """These files are this edition of this list."""

    schema: Literal["fairtime-list/1"] = "fairtime-list/1"
    list: Annotated[str, Meta(min_length=1, max_length=80)]
    """What its publisher calls it: nobody may put another list of the same publisher in its place."""
    version: Annotated[int, Meta(ge=1, le=2**53)]
    """Higher with each edition: nobody may put an older one in its place."""
    files: dict[str, str]
    """Path within the list (``""``: the list itself) → SHA-256."""


class Signed(Struct, frozen=True, kw_only=True):
    """Is this a statement that the owner of ``key`` signed?"""

    envelope: bytes
    key: PublicKey


class Said(Struct, frozen=True, kw_only=True):
    """What was signed; or why nothing was."""

    statement: Statement | None = None
    why: str = ""
