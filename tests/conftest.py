"""For all tests: how long something takes is measured by ``make bench``, and no test fails because the machine is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fairtime", deadline=None)
settings.load_profile("fairtime")
