"""One process, held by a handle: while it is open, its pid is nobody else's (``CloseHandle``, Microsoft's documentation).

Who opens one says which start time it must have, so that a pid that was used again is never touched.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes
from types import TracebackType

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.handles is for Windows")

TERMINATE, SUSPEND, QUERY, SYNCHRONIZE = 0x1, 0x800, 0x1000, 0x100000
"""Rights of a process (winnt.h); QUERY is PROCESS_QUERY_LIMITED_INFORMATION, which protected processes grant, too."""
SET_QUOTA = 0x100
_INVALID_PARAMETER = 87
_TOKEN_QUERY, _TOKEN_USER = 0x8, 1
_LONGEST = 32_768
_SIGNALLED = 0
_IMAGE_FILE_MAPPING = 44
"""ProcessImageFileMapping: is this file what the process was made from?"""
_NOT_TOLD = frozenset({0xC0000002, 0xC0000003, 0xC0000022})
"""STATUS_NOT_IMPLEMENTED, STATUS_INVALID_INFO_CLASS, STATUS_ACCESS_DENIED."""

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_advapi = ctypes.WinDLL("advapi32", use_last_error=True)
_ntdll = ctypes.WinDLL("ntdll")
_kernel.OpenProcess.restype = wintypes.HANDLE
_kernel.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
_kernel.CloseHandle.argtypes = [wintypes.HANDLE]
_kernel.GetProcessTimes.argtypes = [wintypes.HANDLE, *[ctypes.POINTER(ctypes.c_ulonglong)] * 4]
_kernel.QueryFullProcessImageNameW.argtypes = [
    wintypes.HANDLE, wintypes.DWORD, wintypes.LPWSTR, ctypes.POINTER(wintypes.DWORD),
]  # fmt: skip
_kernel.TerminateProcess.argtypes = [wintypes.HANDLE, wintypes.UINT]
_kernel.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
_kernel.LocalFree.argtypes = [ctypes.c_void_p]
_advapi.OpenProcessToken.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE)]
_advapi.GetTokenInformation.argtypes = [
    wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD, ctypes.POINTER(wintypes.DWORD),
]  # fmt: skip
_advapi.ConvertSidToStringSidW.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
for _name in ("NtSuspendProcess", "NtResumeProcess"):
    getattr(_ntdll, _name).argtypes = [wintypes.HANDLE]
_ntdll.NtQueryInformationProcess.argtypes = [
    wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p,
]  # fmt: skip
_family = getattr(_kernel, "GetPackageFamilyName", None)
if _family is not None:
    _family.argtypes = [wintypes.HANDLE, ctypes.POINTER(ctypes.c_uint32), wintypes.LPWSTR]


class Handle:
    """Closed by ``close`` or at the end of ``with``."""

    def __init__(self, pid: int, raw: int) -> None:
        self.pid = pid
        self.raw = raw

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.raw:
            _kernel.CloseHandle(self.raw)
            self.raw = 0

    def created(self) -> int:
        """When it was started, as ``systemlist.Entry.created``."""
        times = [ctypes.c_ulonglong() for _ in range(4)]
        if not _kernel.GetProcessTimes(self.raw, *map(ctypes.byref, times)):
            raise ctypes.WinError(ctypes.get_last_error())
        return times[0].value

    def ended(self) -> bool:
        """Whether it runs no more; asks for SYNCHRONIZE."""
        return int(_kernel.WaitForSingleObject(self.raw, 0)) == _SIGNALLED

    def path(self) -> str:
        """Its image file, with the drive letters of this process and links followed; empty where Windows does not tell."""
        length = wintypes.DWORD(_LONGEST)
        buffer = ctypes.create_unicode_buffer(_LONGEST)
        if not _kernel.QueryFullProcessImageNameW(self.raw, 0, buffer, ctypes.byref(length)):
            return ""
        return buffer.value

    def package(self) -> str:
        """The shop's name of the package that it belongs to (``Microsoft.Paint``); empty for a program of another kind."""
        if _family is None:
            return ""
        length = ctypes.c_uint32(256)
        buffer = ctypes.create_unicode_buffer(256)
        if _family(self.raw, ctypes.byref(length), buffer):
            return ""
        # The rest of a family's name is a hash of its publisher.
        return buffer.value.rpartition("_")[0]

    def runs(self, file: int) -> bool | None:
        """Whether it was made from this open file, wherever that was moved since; ``None`` where Windows does not tell."""
        handle = wintypes.HANDLE(file)
        status = _ntdll.NtQueryInformationProcess(
            self.raw, _IMAGE_FILE_MAPPING, ctypes.byref(handle), ctypes.sizeof(handle), None
        )
        return None if status & 0xFFFFFFFF in _NOT_TOLD else status == 0

    def sid(self) -> str:
        """Whose it is.  ``OSError`` where Windows does not tell."""
        token = wintypes.HANDLE()
        if not _advapi.OpenProcessToken(self.raw, _TOKEN_QUERY, ctypes.byref(token)):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            # TOKEN_USER: a pointer to the SID, which follows in the same buffer (at most 68 bytes).
            buffer = ctypes.create_string_buffer(256)
            length = wintypes.DWORD()
            if not _advapi.GetTokenInformation(token, _TOKEN_USER, buffer, len(buffer), ctypes.byref(length)):
                raise ctypes.WinError(ctypes.get_last_error())
            return _text(ctypes.c_void_p.from_buffer(buffer).value or 0)
        finally:
            _kernel.CloseHandle(token)

    def terminate(self) -> None:
        """End it at once; success when it has ended.  Asks for TERMINATE and SYNCHRONIZE."""
        if not _kernel.TerminateProcess(self.raw, 1):
            error = ctypes.get_last_error()
            # A process that is ending already says that access is denied.
            if not self.ended():
                raise ctypes.WinError(error)

    def suspend(self) -> None:
        """Let each of its threads stand still, once more; asks for SUSPEND."""
        _ntdll.NtSuspendProcess(self.raw)

    def resume(self) -> None:
        """Take back one ``suspend``."""
        _ntdll.NtResumeProcess(self.raw)


def opened(pid: int, created: int | None, rights: int = QUERY) -> Handle | None:
    """This very process, whatever its pid stands for by now; ``None`` when it is gone.  ``OSError``: it may not be opened."""
    raw = _kernel.OpenProcess(rights | QUERY, False, pid)
    if not raw:
        error = ctypes.get_last_error()
        if error == _INVALID_PARAMETER:
            return None
        raise ctypes.WinError(error)
    handle = Handle(pid, raw)
    try:
        if created is not None and handle.created() != created:
            handle.close()
            return None
    except OSError:
        handle.close()
        raise
    return handle


@contextmanager
def handled(pid: int, created: int, rights: int = QUERY) -> Iterator[Handle | None]:
    """The same for a block; ``None`` also where it may not be opened."""
    try:
        handle = opened(pid, created, rights)
    except OSError:
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            handle.close()


def _text(sid: int) -> str:
    text = ctypes.c_void_p()
    if not sid or not _advapi.ConvertSidToStringSidW(sid, ctypes.byref(text)):
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        return ctypes.wstring_at(text.value or 0)
    finally:
        _kernel.LocalFree(text)
