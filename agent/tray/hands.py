"""Tells the service how long nobody has touched keyboard and mouse, where the system says that to the session's programs only."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from agent.errors import FairtimeError
from agent.ipc.answers import Result
from agent.ipc.protocol import Body, Idle

log = logging.getLogger(__name__)

EVERY = 30.0
WORTH = 60
"""Seconds; nobody is away for less."""
_LONGEST = 86_400


class Hands:
    """``look`` gives seconds; ``None`` where the service sees more than this session could say."""

    def __init__(
        self,
        call: Callable[[Body], Result],
        look: Callable[[], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._look = look
        self._clock = clock
        self._next = 0.0
        self._told = False
        """The service takes the hands for at rest."""

    def tell(self) -> None:
        """As often as anything happens; says something twice a minute at most, and nothing while the hands are busy."""
        now = self._clock()
        if now < self._next:
            return
        idle = self._look()
        self._next = math.inf if idle is None else now + EVERY
        if idle is None or (idle < WORTH and not self._told):
            return
        try:
            self._call(Idle(seconds=min(idle, _LONGEST) if idle >= WORTH else 0))
            self._told = idle >= WORTH
        except FairtimeError as error:
            log.info("the service was not told of resting hands: %s", error.title)
