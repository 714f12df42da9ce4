"""What is true of the PC itself."""

from __future__ import annotations

import hashlib
import hmac
import socket
import sys
import winreg

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.machine is for Windows")

_CRYPTOGRAPHY = r"SOFTWARE\Microsoft\Cryptography"


def machine_id() -> str:
    """Derived from the id that Windows' setup gives each PC, which is not shown itself."""
    try:
        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, _CRYPTOGRAPHY, access=winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        ) as key:
            name = str(winreg.QueryValueEx(key, "MachineGuid")[0])
    except OSError:
        name = socket.gethostname()
    return hmac.new(name.encode(), b"fairtime machine", hashlib.sha256).hexdigest()[:32]
