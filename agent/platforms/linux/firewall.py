"""The firewall lane: one table of our own in the kernel's packet filter, put in force whole and kept as it should be.

Whether anybody changed the rules is one question to the kernel of some microseconds: each transaction raises the generation
of the whole rule set (linux/netfilter/nf_tables.h, NFT_MSG_GETGEN).  Only when it was raised, and once a minute, ``nft`` is
started to read our table; what differs is put in force again.  Tables of others are neither read nor touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.clock import MINUTE, SECOND, Millis
from agent.errors import HostError
from agent.filter import nft
from agent.model.snapshot import Mended

LOOK_EVERY: Millis = 2 * SECOND
VERIFY_EVERY: Millis = MINUTE
NAME = "firewall table"
_ADVICE = "Until then children's programs may ask any server for names, and only the browsers' own rules hold."
_PATIENCE = 10.0
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_NETFILTER = 12
_GETGEN = struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0)
"""nlmsghdr (length, NFNL_SUBSYS_NFTABLES | NFT_MSG_GETGEN, NLM_F_REQUEST) and an empty nfgenmsg."""
_NEWGEN = 10 << 8 | 15
_GEN_ID = 1


class Firewall:
    """Our table.  ``put`` and ``mend`` in any thread, one at a time; ``look`` on the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = ""
        """The script of what should be in force; empty when nothing should be."""
        self._listing = ""
        """What ``nft`` shows of our table when all is well."""
        self._generation: int | None = None
        self._looked: Millis | None = None
        self._verified: Millis = 0
        self._mended: list[Mended] = []
        self._why = ""
        self.troubles: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """What is missing for names to be filtered; empty when nothing is."""
        return self._why or _missing()

    def put(self, script: str) -> None:
        """Put a table in force in the place of ours (``nft.script``, ``nft.removal``).  ``HostError`` when that cannot be:
        then what was in force still is."""
        with self._lock:
            wanted = "" if script == nft.removal() else script
            if not wanted and not self._wanted and _missing():
                return  # nothing is to be taken away where nothing can have been put
            self._wanted = wanted
            try:
                self._apply()
            except HostError as error:
                self._why = error.title
                raise

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Microseconds, at most once in two seconds."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        if not self._wanted:
            return False
        if now - self._verified >= VERIFY_EVERY:
            self._verified = now
            return True
        return self._generation is None or generation() != self._generation

    def mend(self, now: Millis) -> None:
        """Compare what is in force with what should be, and put it right.  Some ten milliseconds."""
        del now
        with self._lock:
            if not self._wanted:
                return
            try:
                before = generation()
                if self._listing and _list() == self._listing:
                    self._generation, self._why, self.troubles = before, "", ()
                    return
                known = bool(self._listing)
                self._apply()
            except HostError as error:
                if error.title != self._why:
                    self._mended.append(Mended(path=NAME, what="changed", why=error.title))
                self._why = error.title
                self.troubles = (f"{error.title}. {_ADVICE}",)
                return
            if known:
                self._mended.append(Mended(path=NAME, what="changed"))

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        found, self._mended = tuple(self._mended), []
        return found

    def _apply(self) -> None:
        """One transaction, then a look at what the kernel made of it.  When somebody else changed rules in between, what is
        seen may be theirs: it is put in force again at the next look."""
        self._listing, self._generation = "", None
        if missing := _missing():
            raise HostError(f"The firewall cannot be set: {missing}", _ADVICE)
        before = generation()
        _nft("-f", "-", script=self._wanted or nft.removal())
        listing, after = _list() if self._wanted else "", generation()
        if before is None or after == before + 1:
            self._listing, self._generation = listing, after
        self._why, self.troubles = "", ()


def generation() -> int | None:
    """The rule set's generation; ``None`` where the kernel does not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as line:
            line.settimeout(0.5)
            line.sendto(_GETGEN, (0, 0))
            data = line.recv(4096)
    except OSError:
        return None
    if len(data) < 28 or struct.unpack_from("=H", data, 4)[0] != _NEWGEN:
        return None
    length, kind = struct.unpack_from("=HH", data, 20)
    return int(struct.unpack_from(">I", data, 24)[0]) if (length, kind & 0x3FFF) == (8, _GEN_ID) else None


def _missing() -> str:
    if shutil.which("nft", path=_PATH) is None:
        return "nftables is not installed (sudo apt install nftables)"
    if os.geteuid() != 0:
        return "only root may, and the service does not run as root"
    return ""


def _list() -> str:
    """Our table as the kernel has it, without counters; empty when there is none."""
    try:
        return _nft("-s", "list", "table", *nft.TABLE.split())
    except HostError:
        return ""


def _nft(*words: str, script: str = "") -> str:
    try:
        done = subprocess.run(
            ["nft", *words], input=script, capture_output=True, text=True, timeout=_PATIENCE, check=False,
            env={"PATH": _PATH, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"The firewall cannot be set: {error}", _ADVICE) from error
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), f"exit status {done.returncode}")
        raise HostError(f"The firewall cannot be set: nft says {said.strip()}", _ADVICE)
    return done.stdout
