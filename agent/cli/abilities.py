"""What each ability of a host (``agent.platforms.base.Capability``) means for a family, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

ABILITIES: Mapping[str, str] = {
    "scan": "programs are seen, and stopped when they may not run",
    "start-events": "a program is judged as it starts, not at the next look",
    "exec-gate": "a program is denied before its first instruction",
    "sessions": "who sits at the PC is known from the system",
    "login": "a login without time left is refused",
    "lock": "the screen is locked",
    "logout": "a session is logged out",
    "freeze": "a session stands still and loses nothing",
    "hold": "a new program stands still until a guardian answers",
    "input-evidence": "keys, pointer and gamepad tell use from idleness",
    "sound-evidence": "sound tells use from idleness",
    "sites-dns": "names of sites are answered for each child",
    "sites-browser": "browsers have each child's rules",
    "self-defence": "the service is started again and guards its files",
}
"""By the ability's name in a doctor's report; README's table of what works where says the same."""
