"""What the service asks of jobs that have the lists, and the answers."""

from __future__ import annotations

from msgspec import Struct

from agent.model.site import SitePlan, SiteVerdict


class WhySite(Struct, frozen=True, kw_only=True):
    """``host`` is a host or an address, as somebody wrote it; ``book`` is empty where there are no compiled lists."""

    plan: SitePlan
    host: str
    book: str = ""


class Because(Struct, frozen=True, kw_only=True):
    """The verdict, and the groups that rules name and no list has; or what is wrong with the question."""

    verdict: SiteVerdict | None = None
    missing: tuple[str, ...] = ()
    title: str = ""
    advice: str = ""


class ShortGroups(Struct, frozen=True, kw_only=True):
    """Which of these groups have ``most`` names at most, and which names these are."""

    book: str
    groups: tuple[str, ...]
    most: int
