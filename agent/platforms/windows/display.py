"""Whether a program keeps the display on, as players of films and games do (``SetThreadExecutionState``, ES_DISPLAY_REQUIRED)."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.display is for Windows")

_EXECUTION_STATE, _DISPLAY_REQUIRED = 16, 0x2
"""SystemExecutionState, ES_DISPLAY_REQUIRED."""

_power = ctypes.WinDLL("powrprof")
_power.CallNtPowerInformation.argtypes = [
    ctypes.c_int,
    ctypes.c_void_p,
    wintypes.ULONG,
    ctypes.c_void_p,
    wintypes.ULONG,
]


def kept_on() -> bool:
    """False also where Windows does not tell."""
    state = wintypes.ULONG()
    status = _power.CallNtPowerInformation(_EXECUTION_STATE, None, 0, ctypes.byref(state), ctypes.sizeof(state))
    return status == 0 and bool(state.value & _DISPLAY_REQUIRED)
