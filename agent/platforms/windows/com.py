"""COM, for as long as a block runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.com is for Windows")

import pythoncom


@contextmanager
def begun() -> Iterator[None]:
    """Begin it on this thread, and end it again.

    It is counted for each thread, and Python begins it only on the one that first loads pythoncom (CoInitialize)."""
    pythoncom.CoInitialize()
    try:
        yield
    finally:
        pythoncom.CoUninitialize()
