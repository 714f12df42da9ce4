"""The state of protection, in the open: what is there, what is missing, what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.core.timekeeper import disagreement
from agent.platforms.base import Ability, Capability, Finding, Host
from agent.service import startable
from agent.service.loop import Loop

TODAY = (
    Capability.SCAN,
    Capability.START_EVENTS,
    Capability.EXEC_GATE,
    Capability.SESSIONS,
    Capability.LOCK,
    Capability.LOGOUT,
    Capability.INPUT_EVIDENCE,
    Capability.SOUND_EVIDENCE,
    Capability.SITES_DNS,
    Capability.SITES_BROWSER,
)
"""What Fairtime uses now."""


@dataclass(slots=True)
class Doctor:
    """Looks at the host now and then (it may take a second), and remembers."""

    host: Host
    loop: Loop
    notes: Callable[[], Sequence[str]]
    more: Callable[[], Sequence[Finding]]
    """Findings that take the policy to tell."""
    findings: tuple[Finding, ...] = ()
    abilities: tuple[Ability, ...] = field(default_factory=tuple)

    async def look(self) -> None:
        """Look again, off the loop."""
        accounts = tuple(self.loop.engine.rules.accounts)
        found = await asyncio.to_thread(self.host.findings, accounts)
        self.findings = (*startable.told(found, self.host, self.loop.questions), *self.more())
        self.abilities = self.host.abilities()

    def all_findings(self) -> tuple[Finding, ...]:
        """What the host found, and what only the service knows."""
        keeper = self.loop.engine.keeper
        clock = disagreement(keeper) if keeper else None
        return (*self.findings, Finding("clock", "weak", *clock)) if clock else self.findings

    def verdict(self, child: str | None) -> tuple[str, tuple[str, ...]]:
        """``protected``, ``partly protected`` or ``not protected``, with the reasons."""
        accounts = self.loop.engine.rules.accounts
        mine = [f for f in self.all_findings() if child is None or not f.child or accounts.get(f.child) == child]
        notes = [*self.notes(), *self.loop.troubles.values(), *self.loop.snapshot.degraded]
        notes += [f.title for f in mine if f.severity in ("open", "weak")]
        missing = [a for a in self.abilities if a.capability in TODAY and not a.present]
        told = {f.advice for f in mine if f.severity in ("open", "weak")}
        notes += [a.why for a in missing if a.why and not any(advice.startswith(a.why) for advice in told)]
        if not self.loop.engine.rules.children or any(f.severity == "open" for f in mine):
            return "not protected", tuple(dict.fromkeys(notes))
        return ("partly protected" if notes or missing else "protected"), tuple(dict.fromkeys(notes))

    async def report(self) -> dict[str, Any]:
        """``fairtime doctor --json``."""
        await self.look()
        protection, notes = self.verdict(None)
        return {
            "protection": protection,
            "notes": list(notes),
            "findings": [
                {"id": f.id, "severity": f.severity, "title": f.title, "advice": f.advice, "child": f.child}
                for f in self.all_findings()
            ],
            "abilities": [
                {"capability": str(a.capability), "present": a.present, "why": a.why} for a in self.abilities
            ],
            "sessions": msgspec.to_builtins(self.loop.snapshot.sessions),
        }
