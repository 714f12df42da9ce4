"""The other end of ``jobs``: be a job, within its limits.  A fresh process loads this, so it needs next to nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

from agent.errors import FairtimeError, HostError

MAX_FILE = 1024 * 1024 * 1024
"""Bytes of a file that a job may write to: one that was opened for it."""


class Limit(NamedTuple):
    """What a job may use.  ``memory`` is address space, of which a fresh Python takes some 60 MiB."""

    seconds: float = 30.0
    memory: int = 1024 * 1024 * 1024


LIMITS: Mapping[str, Limit] = {
    # Six million names, and a PC that does other things besides; the processor's time is limited to as much.
    "list": Limit(seconds=300.0, memory=256 * 1024 * 1024),
    "book": Limit(seconds=600.0, memory=512 * 1024 * 1024),
}
"""Of jobs that need more time or less memory than usual."""
AS = "FAIRTIME_JOB_AS"
"""Where a job is told whose rights to go on with."""
FILES = "FAIRTIME_JOB_FILES"
"""Where it is told which files it was given, if not by their numbers alone."""
NAMES: Mapping[str, str] = {
    "verify": "agent.trust.verify",
    "summary": "agent.summary.job",
    "calendar": "agent.service.calendar",
    "grants": "agent.trust.grants",
    "publisher": "agent.trust.publisher",
    "list": "agent.filter.lists.reading",
    "book": "agent.filter.lists.binding",
    "why-site": "agent.filter.why",
    "short-groups": "agent.filter.short",
}
"""Jobs, and the modules whose ``run(request: bytes) -> bytes`` does them; imported in the job's process only."""


def serve(name: str) -> int:
    """Be the job: the other end of ``run``."""
    if name not in NAMES:
        raise FairtimeError(f"There is no job “{name}”", "Jobs are started by the service, not by people.")
    limit = LIMITS.get(name, Limit())
    if sys.platform == "win32":
        from agent import platforms

        platforms.take_files(os.environ.get(FILES, ""))
        platforms.confine(limit.memory, limit.seconds)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit.memory, limit.memory))
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit.seconds), int(limit.seconds)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = sys.stdin.buffer.read()
    module = import_module(NAMES[name])
    if AS in os.environ:
        # What comes from this program's own files is loaded before: the account need not be able to read them.
        module.prepare()
        _become(os.environ[AS])
    answer: bytes = module.run(request)
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def _become(account: str) -> None:
    """Give up every right but those of the account; there is no way back (setresuid(2), capabilities(7))."""
    if sys.platform != "linux":
        raise HostError("A job cannot change its account here", "Run the service as this account.")
    uid, gid, *groups = map(int, account.split())
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
