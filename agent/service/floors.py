"""What each child may not start in any case, kept in step with policy, day and permissions, where the system itself denies it.

After each tick the floors are looked at again; when one is another, the host gets them all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from agent.core.floor import floor
from agent.core.rules import Plan
from agent.errors import HostError
from agent.model.floor import ProgramFloor
from agent.model.grant import Grant
from agent.platforms.base import Host
from agent.service.engine import Child
from agent.service.loop import Loop

FLOORS = "program-floors"
"""Under which trouble the loop keeps what does not work."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A child's floor, and what it was made of."""

    plan: Plan
    permits: tuple[Grant, ...]
    floor: ProgramFloor


@dataclass(slots=True)
class Floors:
    """Keeps them for as long as the service runs; what the host was told last holds on."""

    host: Host
    loop: Loop
    _made: dict[str, _Made] = field(default_factory=dict)
    _put: tuple[ProgramFloor, ...] | None = None
    _task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """No more; what is under way is not waited for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self) -> None:
        """After each tick.  Quick; nothing is done while nothing changes."""
        children = {name: child for name, child in self.loop.engine.children.items() if child.moment is not None}
        self._made = {name: self._of(name, child) for name, child in children.items()}
        if self._task is None and self._wanted() != self._put:
            self._task = asyncio.create_task(self._follow(), name="fairtime-floors")

    def _of(self, name: str, child: Child) -> _Made:
        assert child.moment is not None, "asked before the first tick"
        wall, plan = child.moment.wall, child.moment.plan
        permits = tuple(g for g in child.grants if g.kind == "program" and (g.until is None or g.until > wall))
        made = self._made.get(name)
        if made is not None and made.plan is plan and made.permits == permits:
            return made
        return _Made(plan, permits, floor(child.rules, plan, permits))

    def _wanted(self) -> tuple[ProgramFloor, ...]:
        return tuple(made.floor for made in self._made.values())

    async def _follow(self) -> None:
        try:
            while self._put != (wanted := self._wanted()):
                self._put = wanted
                try:
                    await self.host.put_programs(wanted)
                except HostError as error:
                    self.loop.stumbled(FLOORS, f"{error.title}.", error.advice)
                else:
                    self.loop.recovered(FLOORS)
        finally:
            self._task = None
