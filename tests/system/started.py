"""A process that the hand started in the PC, with what the tests use of ``subprocess.Popen``."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import IO

AT_ONCE = 1 << 16


class Started:
    """One command.  ``answer`` is where the hand tells its exit code; ``end`` kills it with its process group."""

    def __init__(
        self, words: str, streams: tuple[IO[bytes], IO[bytes], IO[bytes]], answer: int, end: Callable[[], None]
    ) -> None:
        self.words = words
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._answer = answer
        self.end = end

    def __del__(self) -> None:
        if self._answer >= 0:
            os.close(self._answer)

    def poll(self) -> int | None:
        """The exit code (negative for a signal); None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended; raises ``subprocess.TimeoutExpired`` when it has not in ``timeout`` seconds."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.words, timeout or 0)
        return code

    def communicate(self, data: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write ``data``, read to the end of what it and its own write, wait; ``subprocess.TimeoutExpired`` as ``wait``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        found: dict[IO[bytes], list[bytes]] = self.__dict__.setdefault("_found", {self.stdout: [], self.stderr: []})
        rest = memoryview(data)
        with selectors.DefaultSelector() as watched:
            for stream in found:
                if not stream.closed:
                    watched.register(stream, selectors.EVENT_READ)
            if rest:
                watched.register(self.stdin, selectors.EVENT_WRITE)
            else:
                _close(self.stdin)
            while watched.get_map():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired(self.words, timeout or 0)
                for key, _ in watched.select(left):
                    stream = key.fileobj
                    assert not isinstance(stream, int)
                    if stream is self.stdin:
                        try:
                            rest = rest[os.write(key.fd, rest[:4096]) :]
                        except BrokenPipeError:
                            rest = rest[len(rest) :]
                        if not rest:
                            watched.unregister(self.stdin)
                            _close(self.stdin)
                        continue
                    piece = os.read(key.fd, AT_ONCE)
                    if piece:
                        found[self.stdout if stream is self.stdout else self.stderr].append(piece)
                    else:
                        watched.unregister(stream)
                        stream.close()
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return b"".join(found[self.stdout]), b"".join(found[self.stderr])

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as watched:
                watched.register(self._answer, selectors.EVENT_READ)
                if not watched.select(timeout):
                    return None
            told = os.read(self._answer, 16)
            if not told:
                raise RuntimeError(f"the lab's hand is gone, and with it: {self.words}")
            self.returncode = int(told)
            os.close(self._answer)
            self._answer = -1
        return self.returncode


def _close(stream: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stream.close()
