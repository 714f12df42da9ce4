"""Secrets of the machine, sealed with DPAPI: worth nothing on another PC, or in a copy of the disk.

The machine's scope, because the service has no profile whose key could be used (CryptProtectData, LOCAL_MACHINE).  Any
program of this PC that can read the sealed bytes could unseal them; who can is the folder's rights' matter
(``descriptors.STATE``).
"""

from __future__ import annotations

import sys

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.secrets is for Windows")

import pywintypes
import win32crypt

from agent.errors import StoreError

_MACHINE, _NO_WINDOW = 0x4, 0x1
"""CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN."""


def seal(secret: bytes, purpose: str) -> bytes:
    """Sealed bytes, which open for the same purpose alone.  ``StoreError`` when the system cannot."""
    try:
        return bytes(win32crypt.CryptProtectData(secret, purpose, _entropy(purpose), None, None, _MACHINE | _NO_WINDOW))
    except pywintypes.error as error:
        raise StoreError(
            f"A secret cannot be sealed: {error.strerror}", "Start the PC again and try once more."
        ) from error


def unseal(sealed: bytes, purpose: str) -> bytes:
    """What was sealed.  ``StoreError`` for what another PC sealed, what is damaged, and for another purpose's."""
    try:
        _, secret = win32crypt.CryptUnprotectData(sealed, _entropy(purpose), None, None, _MACHINE | _NO_WINDOW)
    except pywintypes.error as error:
        raise StoreError(
            f"A secret of this PC cannot be opened: {error.strerror}",
            "It was sealed on another PC, or is damaged: “fairtime keys device” makes a new one.",
        ) from error
    return bytes(secret)


def _entropy(purpose: str) -> bytes:
    return b"fairtime\0" + purpose.encode()
