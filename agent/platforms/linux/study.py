"""What takes longer than a tick may: hashes of files, checks of packages' files, the lists of packages and menus.

All of it happens in one thread; when programs may be known better than before, ``better`` is called on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.linux.identity import Identifier
from agent.platforms.linux.packages import Content, Owned

log = logging.getLogger(__name__)

MOST = 32
"""Files waiting to be read; more than that is no child starting programs but a flood."""


class Study:
    """Looks into programs for ``identifier``, which asks it through ``hash_later`` and ``verify_later``."""

    def __init__(self, identifier: Identifier, better: Callable[[], None]) -> None:
        self._identifier = identifier
        self._better = better
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._jobs: set[asyncio.Future[bool]] = set()
        self._verifying: set[str] = set()
        self._put_off = False
        self._rebuilding = False

    async def open(self) -> None:
        """Read the lists (a fraction of a second)."""
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="identity")
        self._identifier.hash_later = self._hash_later
        self._identifier.verify_later = self._verify_later
        await self._loop.run_in_executor(self._thread, self.build)

    async def close(self) -> None:
        """End, and leave no file open; may be called twice, and without ``open``."""
        self._identifier.hash_later = self._identifier.verify_later = None
        self._loop = None
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def build(self) -> bool:
        """Read the lists here and now."""
        self._identifier.packages.build()
        self._identifier.launchers.build()
        return True

    def refresh(self) -> None:
        """Read the lists again when packages or menus changed."""
        stale = self._identifier.packages.stale() or self._identifier.launchers.stale()
        if stale and not self._rebuilding and self._thread is not None:
            self._rebuilding = True
            self._begin(self.build)

    def aside(self, work: Callable[[], None]) -> None:
        """Other work for the thread, after which nothing is known better."""
        if self._thread is not None:
            self._thread.submit(work)

    async def hash_of(self, fd: int) -> str:
        """The SHA-256 of an open file; empty when it cannot be read or the host closes."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return ""
        own = os.dup(fd)

        def work() -> str:
            try:
                return self._identifier.hashes.of_open(own)
            finally:
                os.close(own)

        return await loop.run_in_executor(thread, work)

    def _hash_later(self, fd: int) -> None:
        def work() -> bool:
            try:
                return bool(self._identifier.hashes.of_open(fd))
            finally:
                os.close(fd)

        if self._thread is None or len(self._jobs) >= MOST:
            os.close(fd)
        else:
            self._begin(work)

    def _verify_later(self, fd: int, path: str, owned: Owned) -> None:
        def work() -> bool:
            try:
                content = self._identifier.packages.verify(fd, path, owned)
                return content in (Content.CHANGED, Content.UNRECORDED)
            finally:
                os.close(fd)
                self._verifying.discard(path)

        full = len(self._jobs) >= MOST
        if self._thread is None or full or path in self._verifying:
            os.close(fd)
            self._put_off = self._put_off or full
        else:
            self._verifying.add(path)
            self._begin(work)

    def _begin(self, work: Callable[[], bool]) -> None:
        """Do it in the thread; it says whether programs may be known better than before."""
        assert self._loop is not None, "the thread and the loop come and go together"
        future = self._loop.run_in_executor(self._thread, work)
        self._jobs.add(future)
        future.add_done_callback(self._done)

    def _done(self, job: asyncio.Future[bool]) -> None:
        self._jobs.discard(job)
        self._rebuilding = False
        if job.cancelled() or self._loop is None:
            return
        error = job.exception()
        if error is not None:
            log.error("looking into a program failed: %s", error)
        elif job.result() or (self._put_off and not self._jobs):
            self._put_off = False
            self._better()
