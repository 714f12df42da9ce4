"""What service and resolver say to each other: msgpack in frames with a 4-byte length, over a pair of stream sockets.

The service sends ``Serve`` and ``Lists`` first and whenever they change; each replaces what was said before.  Until both have
come, no name resolves: the resolver never fails open.  It ends when the service hangs up.
``line.Line`` is one end of it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.model.site import SiteLane, SiteUse, WatchedUse

MAX_TO_RESOLVER = 8 * 1024 * 1024
"""Bytes of a message: the plans of a family with some ten thousand rules."""
MAX_TO_SERVICE = 256 * 1024
MAX_WAITING = 2 * MAX_TO_RESOLVER
"""Bytes that may wait to be read by the other side; more means that it stands still."""
MAX_ASK_WAIT = 5.0
"""Seconds that the blocked page waits for ``Answered``."""

Outcome = Literal["asked", "already", "open", "no", "too-many", "refused"]
"""Asked now; asked before and not decided; open for the child already; refused for today by a guardian; too many questions are
open; it cannot be."""

# ---- from the service ------------------------------------------------------------------------------------------------


class Serve(Struct, frozen=True, kw_only=True, tag="serve"):
    """Every child that is to be served, with the ports that are wished for (0: any), and whom to ask.

    ``upstreams`` are addresses, best first: ``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1``, ``[2001:db8::1]:53``.
    """

    lanes: tuple[SiteLane, ...]
    upstreams: tuple[str, ...]


class Lists(Struct, frozen=True, kw_only=True, tag="lists"):
    """The compiled lists: this message carries the open file (the resolver may open none).  Without one: there are none."""

    name: str = ""
    """What the file is called in messages for people."""


class Answered(Struct, frozen=True, kw_only=True, tag="answered"):
    """What became of ``Ask`` number ``number``."""

    number: int
    outcome: Outcome


class Ping(Struct, frozen=True, kw_only=True, tag="ping"):
    """Is anybody there?"""

    number: int


# ---- from the resolver -----------------------------------------------------------------------------------------------


class Served(Struct, frozen=True, kw_only=True, array_like=True):
    """Where a child is served: not where it was wished for, if that port was taken; 0 is nowhere."""

    child: str
    dns_port: int
    page_port: int


class Serving(Struct, frozen=True, kw_only=True, tag="serving"):
    """The answer to each ``Serve``: only now may the firewall send questions there."""

    lanes: tuple[Served, ...]
    ipv6: bool
    """Whether ``::1`` is served as well."""


class Trouble(Struct, frozen=True, kw_only=True, array_like=True):
    """Something that is not as it should be.  ``about`` is the address, child, port or group that it is about."""

    kind: Literal["upstream", "no-upstream", "port", "no-port", "no-ipv6", "lists", "group"]
    """An upstream does not answer; none does; a port was taken (another is used); none can be had; this PC has no IPv6; the
    lists cannot be read (those before go on, if any); a group is in no list."""
    about: str
    text: str


class Troubles(Struct, frozen=True, kw_only=True, tag="troubles"):
    """All there is, whenever that changes; empty when all is well."""

    now: tuple[Trouble, ...]


class Used(Struct, frozen=True, kw_only=True, tag="used"):
    """What was seen since the last one: once a minute of the clock at most, just after it ended; not when nothing was."""

    minute: int
    """The minute since the epoch (UTC) that it is about."""
    sites: tuple[SiteUse, ...]
    watched: tuple[WatchedUse, ...] = ()
    """The rules with a time limit that decided on something asked for in this minute (``Ruling.watched``, action allow)."""


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """A child asks for a host, on the blocked page."""

    number: int
    child: str
    host: str


class Pong(Struct, frozen=True, kw_only=True, tag="pong"):
    """Here."""

    number: int


ToResolver = Serve | Lists | Answered | Ping
ToService = Serving | Troubles | Used | Ask | Pong
