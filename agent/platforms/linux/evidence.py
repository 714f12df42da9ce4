"""Evidence of use that a child's session does not write itself: input, sound, processor.

*Input* is seen without being read.  The event devices are opened and only ever asked by ``poll`` whether *something* is
waiting; when it is, the device is closed and opened again, which empties the kernel's queue for us.  No call to ``read``
exists in this module, so that no key can be learnt here, by design and by anybody who audits it.

*Sound* is a playback stream of the sound system in state RUNNING whose owner is the account.  *Busy* is the processor time
of the account's slice, as the kernel charges it.
"""

from __future__ import annotations

import os
import re
import select
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from msgspec.structs import replace

from agent.clock import SECOND, Millis
from agent.model.snapshot import Session
from agent.platforms.linux import procfs

BUSY_SHARE = 0.25
"""Of one core, over ``BUSY_SPAN``: above a desktop at rest with an editor open, below any moving picture."""
BUSY_SPAN: Millis = 10 * SECOND
RESCAN: Millis = 5 * SECOND
"""Devices that were plugged in are found within this."""

_QUIET: Millis = 60 * SECOND
_ACCELEROMETER = 1 << 6  # INPUT_PROP_ACCELEROMETER, linux/input-event-codes.h: it moves with the table
_EVENT = re.compile(r"^event\d+$")


class InputWatch:
    """When a key, pointer, touch or gamepad last did anything; ``None`` where there is no such device."""

    def __init__(
        self,
        folder: Path = Path("/dev/input"),
        classes: Path = Path("/sys/class/input"),
        opener: Callable[[str], int] | None = None,
    ) -> None:
        self._folder = folder
        self._classes = classes
        self._open = opener or _open
        self._devices: dict[str, int] = {}
        self._poll = select.poll()
        self._last: Millis | None = None
        self._scanned: Millis | None = None

    @property
    def present(self) -> bool:
        return bool(self._devices)

    def idle(self, now: Millis) -> Millis | None:
        """Milliseconds since the last event, as of ``now`` (boot milliseconds), to the accuracy of the calls."""
        if self._scanned is None or now - self._scanned >= RESCAN:
            self._scan(now)
        if not self._devices:
            return None
        for fd, flags in self._poll.poll(0):
            name = next((name for name, held in self._devices.items() if held == fd), None)
            if name is None:
                continue
            self._forget(name)
            if flags & select.POLLIN:
                self._last = now
            if not flags & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self._hold(name)
        return now - self._last if self._last is not None else None

    def close(self) -> None:
        for name in list(self._devices):
            self._forget(name)
        self._scanned = None

    def _scan(self, now: Millis) -> None:
        first = self._scanned is None
        self._scanned = now
        try:
            names = {name for name in os.listdir(self._folder) if _EVENT.match(name)}
        except OSError:
            names = set()
        for name in set(self._devices) - names:
            self._forget(name)
        for name in names - set(self._devices):
            if self._is_for_people(name):
                self._hold(name)
                if not first:
                    self._last = now  # someone plugged it in
        if first and self._devices:
            # What was before we looked is unknown; the moment of looking is the latest it can have been.
            self._last = now

    def _is_for_people(self, name: str) -> bool:
        device = self._classes / name / "device"
        keys = procfs.read(str(device / "capabilities" / "key"), 4096).split()
        moves = procfs.read(str(device / "capabilities" / "rel"), 4096).split()
        properties = procfs.read(str(device / "properties"), 4096).split()
        still = not (properties and int(properties[-1], 16) & _ACCELEROMETER)
        return still and any(int(word, 16) for word in (*keys, *moves))

    def _hold(self, name: str) -> None:
        try:
            fd = self._open(str(self._folder / name))
        except OSError:
            return
        self._devices[name] = fd
        self._poll.register(fd, select.POLLIN)

    def _forget(self, name: str) -> None:
        fd = self._devices.pop(name)
        self._poll.unregister(fd)
        os.close(fd)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


class SoundWatch:
    """Whose sound is playing (ALSA; PipeWire and PulseAudio end in it too)."""

    def __init__(self, folder: Path = Path("/proc/asound")) -> None:
        self._folder = folder
        self._cards = b""
        """The kernel's list of sound devices: only when it changes is there anything to look for."""
        self._streams: tuple[str, ...] = ()
        self._scanned: Millis | None = None

    @property
    def present(self) -> bool:
        return bool(self._streams)

    def look(self, now: Millis) -> None:
        """Find the sound cards, every ``RESCAN``."""
        if self._scanned is not None and now - self._scanned < RESCAN:
            return
        self._scanned = now
        cards = procfs.read(f"{self._folder}/pcm", 65_536)
        if cards != self._cards:
            self._cards = cards
            self._streams = tuple(str(path) for path in self._folder.glob("card*/pcm*p/sub*/status"))

    def playing(self, now: Millis) -> frozenset[int] | None:
        """The uids that own a running playback stream; ``None`` where there is no sound card."""
        self.look(now)
        if not self._streams:
            return None
        found = set()
        for stream in self._streams:
            text = procfs.read(stream, 4096).decode("ascii", "replace")
            if "state: RUNNING" not in text:
                continue
            owner = re.search(r"^owner_pid\s*:\s*(\d+)", text, re.MULTILINE)
            uid = procfs.owner(int(owner.group(1))) if owner else None
            if uid is not None:
                found.add(uid)
        return frozenset(found)


class BusyWatch:
    """Whether an account uses the processor as only a program in use does."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._samples: dict[int, deque[tuple[Millis, int]]] = {}

    def busy(self, uid: int, now: Millis) -> bool | None:
        """``None`` until ten seconds have been seen, and where the kernel does not account per user."""
        used = self._used(uid)
        if used is None:
            self._samples.pop(uid, None)
            return None
        samples = self._samples.setdefault(uid, deque(maxlen=64))
        if samples and used < samples[-1][1]:
            samples.clear()  # logged out and in again: a new slice counts from zero
        if not samples or now - samples[-1][0] >= SECOND:
            samples.append((now, used))
        while len(samples) > 2 and now - samples[1][0] >= BUSY_SPAN:
            samples.popleft()
        since, before = samples[0]
        if now - since < BUSY_SPAN:
            return None
        return (used - before) / 1000 > BUSY_SHARE * (now - since)

    def _used(self, uid: int) -> int | None:
        """Microseconds of processor time of user-UID.slice (cgroup v2 cpu.stat)."""
        words = procfs.read(f"{self._root}/user.slice/user-{uid}.slice/cpu.stat", 4096).split(None, 2)
        return int(words[1]) if len(words) > 1 and words[0] == b"usage_usec" else None  # always its first line


class Evidence:
    """All three, put to sessions."""

    def __init__(self) -> None:
        self.input = InputWatch()
        self.sound = SoundWatch()
        self.busy = BusyWatch()

    def close(self) -> None:
        self.input.close()

    def of(self, session: Session, uid: int, *, seated: bool, now: Millis) -> Session:
        """The session with what is seen of its use; ``seated``: it is at a seat, whose input counts."""
        idle = self.input.idle(now) if seated and session.active else None
        # Whether sound plays only matters against a hint, or where nobody has touched anything for a while.
        matters = session.locked_hint or session.idle_hint or (idle is not None and idle >= _QUIET)
        playing = self.sound.playing(now) if matters else None
        return replace(
            session,
            input_idle=idle,
            # A sound server of the system plays for whoever is there.
            playing=None if playing is None else any(owner == uid or owner < 1000 for owner in playing),
            busy=self.busy.busy(uid, now),
        )
