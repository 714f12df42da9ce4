"""Where the browsers of a Linux PC look for rules, and which browsers take none.

A browser is known by what lies on the disk, not by what packages say, so that one from a vendor's archive counts too.  All
paths are below the root, without the first slash.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.filter.chromium import Brand

Kind = Brand | Literal["firefox"]
_FLATPAK = "var/lib/flatpak/app"
_PACKAGES = {_FLATPAK: "flatpak", "snap": "snap"}
_EXTENSION = f"var/lib/flatpak/extension/{{}}/{os.uname().machine}"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that a browser reads its rules from, and what tells that the browser is there."""

    name: str
    kind: Kind
    folder: str
    signs: tuple[str, ...]


PLACES = (
    Place("Chromium", "chromium", "etc/chromium/policies/managed", ("usr/bin/chromium", "usr/lib/chromium", "snap/chromium")),
    Place(
        "Chromium", "chromium", "etc/chromium-browser/policies/managed",
        ("usr/bin/chromium-browser", "usr/lib/chromium-browser", "snap/chromium"),
    ),
    Place(
        "Chromium (Flatpak)", "chromium",
        _EXTENSION.format("org.chromium.Chromium.Extension.fairtime") + "/1/policies/managed",
        (f"{_FLATPAK}/org.chromium.Chromium",),
    ),
    Place("Chrome", "chrome", "etc/opt/chrome/policies/managed", ("opt/google/chrome", f"{_FLATPAK}/com.google.Chrome")),
    Place("Edge", "edge", "etc/opt/edge/policies/managed", ("opt/microsoft/msedge",)),
    Place("Brave", "brave", "etc/brave/policies/managed", ("opt/brave.com",)),
    # Vivaldi's builds differ in where they look.
    Place("Vivaldi", "vivaldi", "etc/vivaldi/policies/managed", ("opt/vivaldi",)),
    Place("Vivaldi", "vivaldi", "etc/opt/vivaldi/policies/managed", ("opt/vivaldi",)),
    Place("Vivaldi", "vivaldi", "etc/chromium/policies/managed", ("opt/vivaldi",)),
    Place(
        "Firefox", "firefox", "etc/firefox/policies",
        ("usr/lib/firefox-esr", "usr/lib/firefox", "usr/lib64/firefox", "opt/firefox", "snap/firefox"),
    ),
    Place(
        "Firefox (Flatpak)", "firefox", _EXTENSION.format("org.mozilla.firefox.systemconfig") + "/stable/policies",
        (f"{_FLATPAK}/org.mozilla.firefox",),
    ),
)  # fmt: skip

UNCOVERED = {
    "usr/bin/epiphany": "GNOME Web",
    "usr/bin/epiphany-browser": "GNOME Web",
    "usr/bin/falkon": "Falkon",
    "usr/bin/konqueror": "Konqueror",
    "usr/bin/midori": "Midori",
    "usr/bin/qutebrowser": "qutebrowser",
    "usr/bin/luakit": "luakit",
    "usr/bin/surf": "surf",
    "usr/bin/nyxt": "Nyxt",
    "usr/bin/angelfish": "Angelfish",
    "usr/bin/vimb": "vimb",
    "usr/bin/badwolf": "BadWolf",
    "usr/bin/otter-browser": "Otter",
    "usr/bin/morph-browser": "Morph",
    "usr/bin/netsurf-gtk": "NetSurf",
    "usr/bin/netsurf-fb": "NetSurf",
    "usr/bin/lynx": "Lynx",
    "usr/bin/links": "Links",
    "usr/bin/links2": "Links",
    "usr/bin/elinks": "ELinks",
    "usr/bin/w3m": "w3m",
    "usr/bin/edbrowse": "edbrowse",
    "usr/bin/dillo": "Dillo",
    "usr/bin/seamonkey": "SeaMonkey",
    "usr/bin/palemoon": "Pale Moon",
    "usr/bin/librewolf": "LibreWolf",
    "usr/bin/waterfox": "Waterfox",
    "usr/bin/torbrowser-launcher": "Tor Browser",
    "usr/bin/opera": "Opera",
    "usr/bin/yandex-browser": "Yandex Browser",
    # Snaps see of /etc what their interfaces name: Chromium's and Firefox' name their rules, these do not.
    "snap/brave": "Brave (Snap)",
    "snap/opera": "Opera (Snap)",
    "snap/vivaldi": "Vivaldi (Snap)",
    f"{_FLATPAK}/com.brave.Browser": "Brave (Flatpak)",
    f"{_FLATPAK}/com.microsoft.Edge": "Edge (Flatpak)",
    f"{_FLATPAK}/com.vivaldi.Vivaldi": "Vivaldi (Flatpak)",
    f"{_FLATPAK}/com.opera.Opera": "Opera (Flatpak)",
    f"{_FLATPAK}/io.github.ungoogled_software.ungoogled_chromium": "Ungoogled Chromium (Flatpak)",
    f"{_FLATPAK}/io.gitlab.librewolf-community": "LibreWolf (Flatpak)",
    f"{_FLATPAK}/net.waterfox.waterfox": "Waterfox (Flatpak)",
    f"{_FLATPAK}/app.zen_browser.zen": "Zen (Flatpak)",
    f"{_FLATPAK}/one.ablaze.floorp": "Floorp (Flatpak)",
    f"{_FLATPAK}/org.gnome.Epiphany": "GNOME Web (Flatpak)",
    f"{_FLATPAK}/org.kde.falkon": "Falkon (Flatpak)",
    f"{_FLATPAK}/org.kde.angelfish": "Angelfish (Flatpak)",
    f"{_FLATPAK}/org.qutebrowser.qutebrowser": "qutebrowser (Flatpak)",
    f"{_FLATPAK}/org.torproject.torbrowser-launcher": "Tor Browser (Flatpak)",
}
"""Browsers that take no rules of ours: programs, snaps and Flatpak applications.  The catalogue knows each of them (``site_rules``)."""


def present(root: Path) -> tuple[Place, ...]:
    """The places of the browsers that are there; each folder once."""
    found = {place.folder: place for place in PLACES if any(os.path.lexists(root / sign) for sign in place.signs)}
    return tuple(found.values())


def uncovered(root: Path) -> Iterator[tuple[str, str]]:
    """``(name, path or package)`` of the browsers that are there and take no rules."""
    for path, name in UNCOVERED.items():
        if os.path.lexists(root / path):
            folder, _, base = path.rpartition("/")
            yield name, f"{_PACKAGES[folder]}:{base}" if folder in _PACKAGES else f"/{path}"
