"""What the service asks the job that verifies signatures, and its answer.  Light imports."""

from __future__ import annotations

from msgspec import Struct


class Question(Struct, frozen=True, kw_only=True):
    """Do these bytes hold?  ``rotations`` are the roots after ``root``, oldest first."""

    root: bytes
    rotations: tuple[bytes, ...] = ()
    policy: bytes | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """``sha256`` of the policy's bytes that were verified; or why not."""

    sha256: str = ""
    root_version: int = 0
    title: str = ""
    advice: str = ""
    reason: str = ""
