"""Who signed a program: Authenticode, as Windows itself verifies it (``WinVerifyTrust``), and its product from the version resource.

The signature must hold for the whole file and end at a root that this PC trusts.  Nothing is fetched for that
(``WTD_CACHE_ONLY_URL_RETRIEVAL``), so a certificate that was called back since is not noticed.  Windows' own programs are signed in
catalogues beside them, and not looked at here: they lie where nobody but the system writes.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from dataclasses import dataclass
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.authenticode is for Windows")

import pywintypes
import win32api

_NO_UI, _REVOKE_NONE, _OF_A_FILE = 2, 0, 1
_VERIFY, _CLOSE = 1, 2
_FLAGS = 0x10 | 0x1000
"""WTD_REVOCATION_CHECK_NONE, WTD_CACHE_ONLY_URL_RETRIEVAL."""
_ATTRIBUTE = 3
"""CERT_NAME_ATTR_TYPE."""
_NAME, _ORGANIZATION = b"2.5.4.3", b"2.5.4.10"
_PARTS = (("O", _ORGANIZATION), ("L", b"2.5.4.7"), ("S", b"2.5.4.8"), ("C", b"2.5.4.6"))
_LONGEST = 256


class _Guid(ctypes.Structure):
    _fields_ = (("a", wintypes.DWORD), ("b", wintypes.WORD), ("c", wintypes.WORD), ("d", ctypes.c_ubyte * 8))


class _File(ctypes.Structure):
    """WINTRUST_FILE_INFO."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("path", wintypes.LPCWSTR),
        ("handle", wintypes.HANDLE),
        ("kind", ctypes.c_void_p),
    )


class _Data(ctypes.Structure):
    """WINTRUST_DATA."""

    _fields_ = (
        ("size", wintypes.DWORD), ("policy", ctypes.c_void_p), ("subject", ctypes.c_void_p), ("ui", wintypes.DWORD),
        ("revocation", wintypes.DWORD), ("choice", wintypes.DWORD), ("file", ctypes.POINTER(_File)),
        ("action", wintypes.DWORD), ("state", wintypes.HANDLE), ("url", wintypes.LPCWSTR), ("flags", wintypes.DWORD),
        ("context", wintypes.DWORD), ("settings", ctypes.c_void_p),
    )  # fmt: skip


class _Certificate(ctypes.Structure):
    """The beginning of CRYPT_PROVIDER_CERT."""

    _fields_ = (("size", wintypes.DWORD), ("context", ctypes.c_void_p))


_GENERIC = _Guid(0x00AAC56B, 0xCD44, 0x11D0, (ctypes.c_ubyte * 8)(0x8C, 0xC2, 0x00, 0xC0, 0x4F, 0xC2, 0x95, 0xEE))
"""WINTRUST_ACTION_GENERIC_VERIFY_V2."""
_wintrust = ctypes.WinDLL("wintrust")
_crypt = ctypes.WinDLL("crypt32")
_wintrust.WinVerifyTrust.argtypes = [wintypes.HANDLE, ctypes.c_void_p, ctypes.c_void_p]
_wintrust.WinVerifyTrust.restype = wintypes.LONG
_wintrust.WTHelperProvDataFromStateData.restype = ctypes.c_void_p
_wintrust.WTHelperProvDataFromStateData.argtypes = [wintypes.HANDLE]
_wintrust.WTHelperGetProvSignerFromChain.restype = ctypes.c_void_p
_wintrust.WTHelperGetProvSignerFromChain.argtypes = [ctypes.c_void_p, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
_wintrust.WTHelperGetProvCertFromChain.restype = ctypes.POINTER(_Certificate)
_wintrust.WTHelperGetProvCertFromChain.argtypes = [ctypes.c_void_p, wintypes.DWORD]
_crypt.CertGetNameStringW.argtypes = [
    ctypes.c_void_p, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, wintypes.LPWSTR, wintypes.DWORD,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """Empty where nobody signed, or the signature does not hold."""

    signer: str = ""
    """The organization of the certificate, and its name where there is none."""
    full: str = ""
    """As AppLocker names it: ``O=…, L=…, S=…, C=…`` in capitals."""
    product: str = ""
    """What the signed file calls its product."""


NONE = Signature()


def signature(path: str, handle: int | None = None) -> Signature:
    """Of a file; ``handle``: of the same file, open to read, where it must be that very one.  Some milliseconds, and more for
    large ones."""
    file = _File(ctypes.sizeof(_File), path, handle, None)
    data = _Data(
        size=ctypes.sizeof(_Data), ui=_NO_UI, revocation=_REVOKE_NONE, choice=_OF_A_FILE, action=_VERIFY, flags=_FLAGS
    )
    data.file = ctypes.pointer(file)
    try:
        if _wintrust.WinVerifyTrust(None, ctypes.byref(_GENERIC), ctypes.byref(data)):
            return NONE
        certificate = _certificate(data.state)
        if certificate is None:
            return NONE
        signer = _part(certificate, _ORGANIZATION) or _part(certificate, _NAME)
        parts = [f"{word}={text.upper()}" for word, oid in _PARTS if (text := _part(certificate, oid))]
        return Signature(signer, ", ".join(parts), product(path)) if signer else NONE
    finally:
        data.action = _CLOSE
        _wintrust.WinVerifyTrust(None, ctypes.byref(_GENERIC), ctypes.byref(data))


def product(path: str) -> str:
    """From the first language of the version resource; empty where there is none."""
    untyped: Any = win32api.GetFileVersionInfo
    try:
        languages = untyped(path, r"\VarFileInfo\Translation")
        language, code = languages[0]
        found = untyped(path, rf"\StringFileInfo\{language:04x}{code:04x}\ProductName")
    except (pywintypes.error, TypeError, IndexError, ValueError):
        return ""
    return str(found or "").strip()[:_LONGEST]


def _certificate(state: int | None) -> int | None:
    """The signer's own, from what was verified."""
    known = _wintrust.WTHelperProvDataFromStateData(state)
    signer = _wintrust.WTHelperGetProvSignerFromChain(known, 0, False, 0) if known else None
    found = _wintrust.WTHelperGetProvCertFromChain(signer, 0) if signer else None
    return int(found.contents.context or 0) or None if found else None


def _part(certificate: int, oid: bytes) -> str:
    buffer = ctypes.create_unicode_buffer(_LONGEST)
    _crypt.CertGetNameStringW(certificate, _ATTRIBUTE, 0, ctypes.c_char_p(oid), buffer, _LONGEST)
    return buffer.value.strip()
