"""When keyboard or mouse of this session were last touched (``GetLastInputInfo``).  A gamepad is not among that."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.lastinput is for Windows")

_AROUND = 1 << 32
"""Both counters are milliseconds since the start of Windows, in 32 bits."""


class _Info(ctypes.Structure):
    """LASTINPUTINFO."""

    _fields_ = (("size", wintypes.UINT), ("time", wintypes.DWORD))


def idle() -> int | None:
    """Seconds; ``None`` where Windows does not tell."""
    info = _Info(ctypes.sizeof(_Info), 0)
    if not ctypes.windll.user32.GetLastInputInfo(ctypes.byref(info)):
        return None
    now = ctypes.windll.kernel32.GetTickCount() % _AROUND
    return int((now - info.time) % _AROUND) // 1000
