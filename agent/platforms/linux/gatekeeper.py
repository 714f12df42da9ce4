"""Keeps an exec gate running: starts it, listens to it, sees that it lives, and starts the next one when it does not.

The gate (``agent.gate``) is a process of its own.  It is pinged once a second; one that does not answer within a second is
killed, at which the kernel lets go of what waited, and the next one is started.  The pauses between two starts grow to a
minute, and it never gives up.  While there is none, ``why`` says so and starts are judged right after they happened.
"""

from __future__ import annotations

import array
import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent import bundle
from agent.gate import wire
from agent.gate.table import Row

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between two pings, and within which each must be answered."""
READY = 15.0
"""Seconds that a new gate has to place its marks; a disk that wakes up takes some."""
PAUSES = (0.0, 0.2, 1.0, 5.0, 15.0, 60.0)
"""Seconds before the next gate is started, after so many that did not last."""
LASTED = 60.0
"""Seconds after which a gate counts as one that lasted."""
STRAIN = 60.0
"""Seconds that it is shown that a start was answered by default or lost."""
_BATCH = 256
_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from agent.gate.process import main; raise SystemExit(main(sys.argv[2:]))"


@dataclass(frozen=True, slots=True)
class Question:
    """A program that waits to start.  ``file`` is its open descriptor; whoever gets the question closes it."""

    gate: int
    number: int
    pid: int
    uid: int
    file: int


class Gatekeeper:
    """``asked`` gets every question and calls ``answer`` in its own time, ``started`` the pids of programs that the gate let
    in or turned away by itself.  ``lost`` is called when starts may have gone unseen, ``changed`` when ``why`` or
    ``left_out`` did.  ``name`` tells gates of several services apart; ``only`` limits the gate to mounts at or below."""

    def __init__(
        self,
        asked: Callable[[Question], None],
        started: Callable[[Iterable[int]], None],
        lost: Callable[[], None],
        changed: Callable[[], None],
        *,
        name: str = "main",
        only: Sequence[str] = (),
    ) -> None:
        self._asked = asked
        self._started = started
        self._lost = lost
        self._changed = changed
        self._words = [name, *only]
        self._classes = wire.classes(())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._gone: asyncio.Event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._gate = 0
        self._born = 0.0
        self._short = 0
        self._pinged: int | None = None
        self._serial = 0
        self._counts = (0, 0, 0)
        self._strained = float("-inf")
        self._failure = ""
        self.why = "The exec gate has not started yet."
        """Why there is no gate now, in words for a guardian; empty when there is one."""
        self.there = asyncio.Event()
        """Set while there is a gate."""
        self.left_out: tuple[str, ...] = ()
        """File systems that are not watched, as ``type place``."""

    @property
    def present(self) -> bool:
        return not self.why

    @property
    def pid(self) -> int | None:
        """The running gate's."""
        return self._process.pid if self._process is not None else None

    @property
    def strained(self) -> bool:
        """Whether starts were lately answered by default, or their report was lost."""
        return self._loop is not None and self._loop.time() - self._strained < STRAIN

    # ---- life ----------------------------------------------------------------------------------------------------

    def open(self, rows: Sequence[Row], *, tell: bool) -> None:
        """Begin to keep a gate, with these uid ranges; returns at once.  ``tell``: of starts that it answers by itself."""
        self._loop = asyncio.get_running_loop()
        self._classes = wire.classes(rows, tell=tell)
        self._begin()

    async def close(self) -> None:
        """End the gate, so that programs start as without it; returns when it is gone."""
        loop, self._loop = self._loop, None
        if self._timer is not None:
            self._timer.cancel()
        if loop is not None and self._process is not None:
            self._send(wire.STOP_NOW)
            try:
                async with asyncio.timeout(BEAT):
                    await self._gone.wait()
            except TimeoutError:
                self._process.kill()
                await self._gone.wait()
        self._hang_up()
        self.why = "The exec gate is closed."
        self.there.clear()

    def classify(self, rows: Sequence[Row], *, tell: bool) -> None:
        """As ``open``, for a gate that runs; also forgets what was settled, as ``flush``."""
        self._classes = wire.classes(rows, tell=tell)
        self._send(self._classes)

    def flush(self) -> None:
        """What was settled must be asked about again."""
        self._send(wire.FLUSH_NOW)

    def answer(self, question: Question, verdict: int, holds: int) -> None:
        """Answer a question of the gate that is there now; an answer to an earlier one comes too late."""
        if question.gate == self._gate:
            self._send(wire.answer(question.number, verdict, holds))

    # ---- one gate ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._gate += 1
        self._born = loop.time()
        self._pinged = None
        self._counts = (0, 0, 0)
        self._failure = ""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = subprocess.Popen(
                command(theirs.fileno(), self._words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # A traceback must not wait for a logger that waits for the gate.
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            self._absent(f"The exec gate could not be started ({error.strerror}).")
            self._again()
            return
        finally:
            theirs.close()
        self._socket = ours
        self._gone = asyncio.Event()
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._ended)
        loop.add_reader(ours, self._hear)
        self._send(self._classes)
        self._timer = loop.call_later(BEAT, self._beat)

    def _ended(self) -> None:
        """The gate's process is gone."""
        process, loop = self._process, self._loop
        if process is None:
            return
        self._hear()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = process.wait()
        self._hang_up()
        self._process, self._pidfd = None, -1
        self._gone.set()
        if loop is None:
            return
        how = self._failure or (f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}")
        self._short = 0 if loop.time() - self._born >= LASTED else self._short + 1
        self._absent(f"The exec gate does not run: {how}. Programs are judged right after their start until it does.")
        # Whatever started since its last word may never have been asked about.
        self._lost()
        self._again()

    def _again(self) -> None:
        loop = self._loop
        if loop is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_later(PAUSES[min(self._short, len(PAUSES)) - 1], self._begin)

    def _hang_up(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _kill(self, why: str) -> None:
        """``_ended`` follows as soon as the kernel is done with it."""
        self._failure = why
        if self._process is not None:
            self._process.kill()

    def _absent(self, why: str) -> None:
        if self.why != why:
            log.warning("%s", why)
            self.why = why
            self.there.clear()
            self._changed()

    # ---- health --------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        loop = self._loop
        if loop is None or self._process is None:
            return
        self._hear()  # this loop may have been late itself; the answer is then here
        if self._pinged is not None:
            self._kill("it did not answer and was ended")
        elif not self.present and loop.time() - self._born > READY:
            self._kill("it was not ready in time and was ended")
        else:
            self._serial = (self._serial + 1) & 0xFFFFFFFF
            self._pinged = self._serial
            self._send(wire.ping(self._serial))
        self._timer = loop.call_later(BEAT, self._beat)

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(data)
        except BlockingIOError:
            # Hundreds of datagrams wait to be read: it stands still.
            self._kill("it did not read and was ended")
        except OSError:
            return  # it has just died, which the descriptor of its process tells

    # ---- listening -----------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        for _ in range(_BATCH):
            sock = self._socket
            if sock is None:
                return
            try:
                data, rights, _, _ = sock.recvmsg(wire.LARGEST, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, rights = b"", []
            if not data:
                self._hang_up()
                if self._process is not None and self._loop is not None:
                    self._process.kill()  # it ends by itself; this only makes sure
                return
            files = [fd for level, kind, raw in rights if (level, kind) == _RIGHTS for fd in _descriptors(raw)]
            try:
                self._understand(data, files)
            except wire.Malformed as error:
                self._kill(f"it said what makes no sense ({error})")
            finally:
                for fd in files:
                    os.close(fd)

    def _understand(self, data: bytes, files: list[int]) -> None:
        kind = wire.kind(data)
        if kind == wire.QUESTION:
            number, pid, uid, _ = wire.read_question(data)
            if len(files) != 1:
                raise wire.Malformed(f"a question with {len(files)} files")
            self._asked(Question(self._gate, number, pid, uid, files.pop()))
        elif kind == wire.TOLD:
            starts, lost = wire.read_told(data)
            self._started({pid for pid, _ in starts})
            if lost:
                self._strain("more programs started at once than the gate could tell of")
                self._lost()
        elif kind == wire.PONG:
            number, *counts = wire.read_pong(data)
            if number == self._pinged:
                self._pinged = None
            self._count(tuple(counts))
        elif kind == wire.MARKS:
            _, _, names = wire.read_marks(data)
            self._marked(tuple(names))
        elif kind == wire.FAILED:
            _, self._failure = wire.read_failed(data)
        else:
            raise wire.Malformed(f"kind {kind}")

    def _marked(self, left_out: tuple[str, ...]) -> None:
        first = not self.present
        if first:
            log.info("the exec gate is in place")
            self.why = ""
            self.there.set()
        if first or left_out != self.left_out:
            self.left_out = left_out
            self._changed()
        if first:
            # What started while there was no gate was seen by the events, if the kernel has any to give.
            self._lost()

    def _count(self, counts: tuple[int, ...]) -> None:
        overflows, guessed, lost = (new - old for new, old in zip(counts, self._counts, strict=True))
        self._counts = (counts[0], counts[1], counts[2])
        if overflows:
            self._strain("the kernel's queue of program starts ran over")
            self._lost()
        if guessed:
            self._strain(f"{guessed} program starts were answered by default")
        if lost:
            self._strain("reports of program starts were lost")

    def _strain(self, what: str) -> None:
        if not self.strained:
            log.warning("exec gate: %s", what)
        if self._loop is not None:
            self._strained = self._loop.time()


_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


def command(fd: int, words: Sequence[str]) -> list[str]:
    """The gate's command line.  Isolated and without ``site``: it needs the standard library and one folder."""
    if bundle.bundled():
        return [bundle.program("fairtime-gate"), str(fd), *words]
    root = str(Path(__file__).resolve().parents[3])
    return [sys.executable, "-I", "-S", "-B", "-c", _CODE, root, str(fd), *words]


def _descriptors(raw: bytes) -> list[int]:
    found = array.array("i")
    found.frombytes(raw[: len(raw) // found.itemsize * found.itemsize])
    return list(found)
