"""pywin32's errors as Python's own: callers catch ``OSError`` and its children, with the system's number in ``winerror``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.winerrors is for Windows")

import pywintypes

FILE_NOT_FOUND = 2
ACCESS_DENIED = 5
BROKEN_PIPE = 109
PIPE_BUSY = 231
NO_DATA = 232
PIPE_NOT_CONNECTED = 233
OPERATION_ABORTED = 995
IO_PENDING = 997
NOT_FOUND = 1168
CANNOT_IMPERSONATE = 1368
SERVICE_DOES_NOT_EXIST = 1060
SERVICE_ALREADY_RUNNING = 1056
SERVICE_NOT_ACTIVE = 1062
SERVICE_MARKED_FOR_DELETE = 1072
SERVICE_TAKES_NO_CONTROL = frozenset({1052, 1061})
"""ERROR_INVALID_SERVICE_CONTROL, ERROR_SERVICE_CANNOT_ACCEPT_CTRL."""


def os_error(error: pywintypes.error) -> OSError:
    """The same error; Python chooses the class by its number (``FileNotFoundError``, ``BrokenPipeError`` …)."""
    return OSError(0, error.strerror or error.funcname or "", None, error.winerror)


@contextmanager
def told() -> Iterator[None]:
    """Within it, what pywin32 raises becomes ``OSError``."""
    try:
        yield
    except pywintypes.error as error:
        raise os_error(error) from error
