"""Signed grants: what the service asks the job that signs and checks them, and its answers.  Light imports.

A grant's *seal* is a DSSE envelope whose payload is the grant itself, with the machine it holds on.  It is signed with this
PC's key, which only the system can read and which ``root.json`` names in TUF's ``timestamp`` role, or with a guardian's own.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.grant import Grant

GRANT_TYPE = "application/vnd.fairtime.grant+json"
MOST_GRANTS = 20_000
"""Grants that are checked in one go: years of them."""


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: this grant was given, on this machine."""

    schema: Literal["fairtime-grant/1"] = "fairtime-grant/1"
    device: str
    grant: Grant


class Given(Struct, frozen=True, kw_only=True):
    """A row of the ledger with its seal."""

    grant: Grant
    seal: bytes


class Seal(Struct, frozen=True, kw_only=True, tag="seal"):
    """Sign this grant with ``key`` (PKCS#8, PEM), and see that ``root`` would believe it."""

    root: bytes
    key: bytes
    device: str
    grant: Grant


class Check(Struct, frozen=True, kw_only=True, tag="check"):
    """Which of these rows were truly given?"""

    root: bytes
    device: str
    given: tuple[Given, ...]


class Sealed(Struct, frozen=True, kw_only=True):
    """The seal; or which rows do not hold, by id, with the reason; or why nothing could be done."""

    seal: bytes = b""
    refused: dict[str, str] = {}
    title: str = ""
    advice: str = ""
    reason: str = ""
