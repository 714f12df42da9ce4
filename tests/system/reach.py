"""The way into the PC: one process of the lab's own stays in there (``inside/hand.py``) and starts what is asked for.

Entering with ``nsenter`` for each command costs six programs, each asked about by the gate under test, and the command line
half a second of a processor to load; there are some thousand commands a run.
"""

from __future__ import annotations

import array
import itertools
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.system.started import Started

HERE = Path(__file__).parent / "inside"
PLACE = "usr/local/lib/lab"
"""Where the lab's own programs lie in the PC."""
DOOR = "/run/lab-hand"
PYTHON = "/usr/lib/fairtime/bin/python"
SHORT = ("root", "ana")
"""Accounts whose ``fairtime`` the hand runs by itself.  A child's is a program that the service judges, as on any PC."""
WHOLE = ("service", "tray", "dialog", "resolver", "job", "trial")
"""Commands that stay, or start others: always programs of their own."""


def put(root: Path) -> None:
    """The lab's programs on the PC's disk, before it boots."""
    place = root / PLACE
    (place / "bin").mkdir(parents=True)
    (place / "hand.py").write_bytes((HERE / "hand.py").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made")
        for name in ("bin/fairtime", "start"):
            source = HERE / f"{Path(name).name}.c"
            words = ["gcc", "-O1", "-Wall", "-Werror", "-static", f'-DDOOR="{DOOR}"', "-o", str(made), str(source)]
            subprocess.run(words, check=True)
            (place / name).write_bytes(made.read_bytes())
            (place / name).chmod(0o755)


class Reach:
    """The line to the hand in one PC.  From any thread."""

    def __init__(self, enter: Sequence[str], stack: ExitStack) -> None:
        """``enter`` are the words that put a program into the PC."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, side, 1 << 20)
        self._line = ours
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        with theirs:
            # Not in a process group that a test ends.
            self._hand = subprocess.Popen(
                [*enter, PYTHON, f"/{PLACE}/hand.py", str(theirs.fileno()), DOOR],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        stack.callback(self._close)

    def start(
        self, words: Sequence[str], user: str, *,
        folder: str, env: Mapping[str, str], cgroup: str, groups: Sequence[Path] = (),
    ) -> Started:  # fmt: skip
        """Start a program as ``user`` in a cgroup of the PC, and in ``groups`` of the host (their folders there)."""
        number = next(self._numbers)
        wish = {
            "number": number,
            "words": list(words),
            "user": user,
            "folder": folder,
            "env": dict(env),
            "cgroup": cgroup,
        }
        wish["inside"] = words[0] == "fairtime" and user in SHORT and words[1:2] and words[1] not in WHOLE
        pipes = [os.pipe() for _ in range(4)]
        (their_in, our_in), (our_out, their_out), (our_err, their_err), (answer, told) = pipes
        theirs = [their_in, their_out, their_err, told]
        try:
            theirs += [os.open(group / "cgroup.procs", os.O_WRONLY) for group in groups]
            self._send(wish, theirs)
        finally:
            for end in theirs:
                os.close(end)
        streams = (os.fdopen(our_in, "wb", 0), os.fdopen(our_out, "rb", 0), os.fdopen(our_err, "rb", 0))
        return Started(" ".join(words), streams, answer, lambda: self._send({"kill": number}, []))

    def _send(self, wish: Mapping[str, object], ends: list[int]) -> None:
        data = json.dumps(wish).encode()
        with self._lock:
            self._line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", ends))] if ends else [])

    def _close(self) -> None:
        self._line.close()
        self._hand.wait(30)
