"""Fairtime in the container: its service, its policy, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.system.box import Box, Done

PIN = "258025"
PHRASE = "the lab's own phrase"
KEY = "/root/guardian.key"
UNIT = "fairtime.service"
FAMILY = Path(__file__).with_name("family.toml")
_ANSWERS = f"""
guardian = "ana"
guardian_account = "ana"
pin = "{PIN}"
zone = "UTC"
key = "{KEY}"
passphrase = "{PHRASE}"
children = [
  {{ name = "mia", account = "mia", preset = "preteen" }},
  {{ name = "leo", account = "leo", preset = "preteen" }},
]
"""


class Fairtime:
    """The service and the guardian's command line of one ``Box``."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._signed = ""

    def set_up(self) -> None:
        """``fairtime setup`` with answers, then the lab's own family in force."""
        answers = self._box.write("/root/answers.toml", _ANSWERS, mode=0o600)
        self._box.run(["fairtime", "setup", "--answers", answers]).check()
        self.wait()
        self.gated()
        self.policy(FAMILY.read_text(encoding="utf-8"))

    # ---- the service ---------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The service's main process as the container numbers it; 0 when it is down."""
        return int(self._box.run(["systemctl", "show", "--property=MainPID", "--value", UNIT]).out.strip() or 0)

    def control(self, verb: str) -> None:
        """``systemctl VERB``; with ``start`` and ``restart`` it is ready when this returns (Type=notify)."""
        self._box.run(["systemctl", verb, UNIT]).check()

    def wait(self, within: float = 20) -> float:
        """Seconds until the service answers."""
        return self._box.until("fairtime status --json --child mia", within=within)

    def gated(self, within: float = 30) -> float:
        """Seconds until the service says that its exec gate is there, which begins a moment after it answers."""
        there = '"capability":"exec-gate","present":true'
        return self._box.until(f"fairtime doctor --json | grep -q '{there}'", within=within, every=0.3)

    def log(self) -> str:
        """What the service wrote since boot."""
        return self._box.run(["journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}"]).out

    # ---- the policy ----------------------------------------------------------------------------------------------

    def policy(self, text: str) -> None:
        """Sign ``text`` (a family.toml) with the guardian's key and put it in force."""
        self._box.write("/etc/fairtime/family.toml", text)
        after = ["--after", "/var/lib/fairtime/policy.dsse.json"]
        sign = [
            "fairtime",
            "policy",
            "sign",
            "/etc/fairtime/family.toml",
            "--key",
            KEY,
            "--out",
            "/root/policy.json",
            *after,
        ]
        self._box.run(sign, env={"FAIRTIME_PASSPHRASE": PHRASE}).check()
        self._box.run(["fairtime", "policy", "install", "/root/policy.json"]).check()

    # ---- what it says --------------------------------------------------------------------------------------------

    def status(self, child: str = "mia") -> dict[str, Any]:
        """``fairtime status --json`` of a child."""
        found: dict[str, Any] = json.loads(
            self._box.run(["fairtime", "status", "--json", "--child", child]).check().out
        )
        return found

    def guardian(self, *words: str) -> Done:
        """A guardian's command with the PIN: ``guardian("grant", "+30m", "--child", "mia")``."""
        return self._box.run(["fairtime", *words], stdin=PIN + "\n")
