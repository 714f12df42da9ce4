"""Errors that a person can act on.

Every error that Fairtime raises on purpose carries a ``title`` (what is wrong, one sentence) and ``advice`` (what to do
about it); ``where`` names the file, line or key path when there is one.  Faces print these three and never a traceback.
This module imports nothing, so that every part can afford it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.model.site import Said


class FairtimeError(Exception):
    """Base of every deliberate error; ``code`` is the stable word that programs and the wire use."""

    code = "error"

    def __init__(self, title: str, advice: str = "", *, where: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.advice = advice
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.title}" + (f"\n  {self.advice}" if self.advice else "")


class PolicyError(FairtimeError):
    """A family file or policy that cannot be used; nothing was changed."""

    code = "policy"


class TrustError(FairtimeError):
    """A signed file that must not be believed; ``reason`` is one word of ``trust.verify.REASONS``."""

    code = "trust"

    def __init__(self, title: str, advice: str = "", *, where: str = "", reason: str = "invalid") -> None:
        super().__init__(title, advice, where=where)
        self.reason = reason


class StoreError(FairtimeError):
    """The ledger or state folder cannot be read or written."""

    code = "store"


class ListError(FairtimeError):
    """A list of hosts that cannot be used; the one before, if there was one, stays in force."""

    code = "list"


class HostError(FairtimeError):
    """The operating system refused or lacks something."""

    code = "host"


class ProtocolError(FairtimeError):
    """A frame or message that breaks the wire rules; the connection ends."""

    code = "protocol"


class ConnectionFailed(FairtimeError):
    """The service cannot be reached, or is not who it should be."""

    code = "connection"


class Refused(FairtimeError):
    """A well-formed request that this peer may not make now (rights, PIN, backoff, limits).

    ``retry_after``: seconds; ``said``: the title for other languages, where it has places to fill.
    """

    code = "refused"

    def __init__(
        self,
        title: str,
        advice: str = "",
        *,
        where: str = "",
        retry_after: int | None = None,
        said: Said | None = None,
    ) -> None:
        super().__init__(title, advice, where=where)
        self.retry_after = retry_after
        self.said = said


class NotFound(FairtimeError):
    """A child, program, grant or request that the policy or ledger does not know."""

    code = "unknown"
