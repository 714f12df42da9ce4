"""Search engines that are asked to show only what suits children: which name stands for which (``policies/safesearch.toml``)."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.core.hosts import canonical, is_address
from agent.errors import PolicyError
from agent.model.site import SitePlan


class _Engine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    to: str
    hosts: list[str] = []
    prefix: str = ""
    endings: list[str] = []


class _YouTube(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    moderate: str
    strict: str
    hosts: list[str]


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    engine: list[_Engine]
    youtube: _YouTube


class SafeSearch:
    """What a name stands for: a host, or the four bytes of an address."""

    def __init__(self, engines: Mapping[str, str], youtube: Mapping[str, Mapping[str, str]]) -> None:
        self._engines = {host: _target(to) for host, to in engines.items()}
        self._youtube = {mode: {host: _target(to) for host, to in hosts.items()} for mode, hosts in youtube.items()}

    def table(self, plan: SitePlan) -> Mapping[str, str | bytes]:
        """Host → what to answer for instead, for one child."""
        return (self._engines if plan.safe_search else {}) | self._youtube.get(plan.youtube, {})

    def __len__(self) -> int:
        return len(self._engines)


def read(path: Path) -> SafeSearch:
    """Raises ``PolicyError`` when the file is not as it should be: without it there would be no safe search."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"The list of safe searches cannot be read: {error}", "Install Fairtime again.", where=str(path)
        ) from error
    engines: dict[str, str] = {}
    for engine in found.engine:
        for host in (*engine.hosts, *(engine.prefix + ending for ending in engine.endings)):
            engines[canonical(host)] = engine.to
    youtube = {
        "moderate": dict.fromkeys(map(canonical, found.youtube.hosts), found.youtube.moderate),
        "strict": dict.fromkeys(map(canonical, found.youtube.hosts), found.youtube.strict),
    }
    return SafeSearch(engines, youtube)


def _target(to: str) -> str | bytes:
    return ipaddress.IPv4Address(to).packed if is_address(to) else canonical(to)
