"""The kernel's permission events, as far as the gate needs them: fanotify(7), fanotify_init(2), fanotify_mark(2).

An event (struct fanotify_event_metadata, linux/fanotify.h) is 24 bytes: length, version, reserved, length of the fixed
part, mask, an open descriptor of the file, and the process that asks.  It waits until an answer (descriptor, verdict) is
written, or until the last descriptor of the group is closed, which allows everything.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.gate is for Linux")

ALLOW, DENY = 1, 2
"""FAN_ALLOW and FAN_DENY; a denied ``exec`` fails with EPERM before the new program's first instruction."""

OPEN_EXEC_PERM = 0x40000
Q_OVERFLOW = 0x4000
MOUNT, FILESYSTEM = 0x10, 0x100

_CLOEXEC, _NONBLOCK, _CLASS_CONTENT = 0x1, 0x2, 0x4
_UNLIMITED_QUEUE = 0x10
# Beyond fs.fanotify.max_queued_events the kernel allows what it cannot queue (fanotify_handle_event), so a flood would
# open the gate.  Each queued event is a process that waits, so the number of processes limits the queue anyway.
_MARK_ADD, _MARK_REMOVE, _MARK_FLUSH = 0x1, 0x2, 0x80
_IGNORED_MASK, _EVICTABLE = 0x20, 0x200
_VERSION = 3

_EVENT = struct.Struct("=IBBHQii")
_ANSWER = struct.Struct("=iI")
READ = 4096
"""Bytes read at once: at most 170 events, each of which is an open file until it is answered."""

Event = tuple[int, int, int]
"""``(mask, descriptor, pid)``; the pid is 0 when the process is outside of our pid namespace."""


class BadEvent(ValueError):
    """The kernel speaks another version of the interface: nothing can be answered safely."""


def events(data: bytes) -> list[Event]:
    """The events of one read.  Raises ``BadEvent`` for what this version does not understand."""
    found = []
    at = 0
    while at < len(data):
        if at + _EVENT.size > len(data):
            raise BadEvent("an event is cut short")
        length, version, _, _, mask, fd, pid = _EVENT.unpack_from(data, at)
        if version != _VERSION or length < _EVENT.size or at + length > len(data):
            raise BadEvent(f"an event of version {version} and {length} bytes")
        found.append((mask, fd, pid))
        at += length
    return found


def answer(fd: int, verdict: int) -> bytes:
    """What to write to the group for the event with descriptor ``fd``."""
    return _ANSWER.pack(fd, verdict)


_libc = ctypes.CDLL(None, use_errno=True)
_init = _libc.fanotify_init
_init.argtypes = [ctypes.c_uint, ctypes.c_uint]
_mark = _libc.fanotify_mark
_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]


def group() -> int:
    """A new group without marks; its descriptor.  ``OSError`` without CAP_SYS_ADMIN or without kernel support."""
    flags = _CLOEXEC | _NONBLOCK | _CLASS_CONTENT | _UNLIMITED_QUEUE
    fd: int = _init(flags, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def mark(fd: int, what: int, path: str) -> None:
    """Ask about every ``exec`` from the mount (``MOUNT``) or the whole file system (``FILESYSTEM``) that ``path`` is on.

    Doing so again changes nothing.  May block as long as looking up ``path`` does.
    """
    if _mark(fd, _MARK_ADD | what, OPEN_EXEC_PERM, -100, os.fsencode(path)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def ignore(fd: int, file: int) -> bool:
    """From now on the kernel lets everybody start this open file without asking, until it is written to or ``heed_all``.

    The mark does not keep the inode in memory (FAN_MARK_EVICTABLE, Linux 5.19; before that the answer is False): what it
    forgets is asked about again.  That writing ends it is the kernel's doing (FAN_MARK_IGNORED_MASK without _SURV_MODIFY);
    writing through a shared mapping does not, so this is only for files that no child can write.
    """
    flags = _MARK_ADD | _IGNORED_MASK | _EVICTABLE
    return bool(_mark(fd, flags, OPEN_EXEC_PERM, -100, b"/proc/self/fd/%d" % file) == 0)


def heed(fd: int, file: int) -> None:
    """Take back ``ignore`` for one file."""
    _mark(fd, _MARK_REMOVE | _IGNORED_MASK, OPEN_EXEC_PERM, -100, b"/proc/self/fd/%d" % file)


def heed_all(fd: int) -> None:
    """Take back every ``ignore``: the marks of mounts and file systems stay.  ``OSError`` when the kernel refuses."""
    if _mark(fd, _MARK_FLUSH, 0, -100, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


_alarm = _libc.alarm
_alarm.argtypes = [ctypes.c_uint]


def alarm(seconds: int) -> None:
    """alarm(2): SIGALRM's default is to end the process, which no state of this program can prevent.  0 calls it off."""
    _alarm(seconds)


def name_process(name: bytes) -> None:
    """prctl(PR_SET_NAME), at most 15 bytes: what ``ps`` and ``top`` show."""
    _libc.prctl(15, ctypes.c_char_p(name[:15]), 0, 0, 0)
