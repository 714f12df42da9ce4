"""Jobs: throw-away processes for whatever is heavy or reads hostile bytes.  Bytes in, bytes out, within limits.

A job gets its request on standard input and answers on standard output.  It has no network of its own to speak of, a
bare environment, a limit on memory, processor time and answer, and its whole process group dies with its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping

from agent.errors import FairtimeError

log = logging.getLogger(__name__)

TIMEOUT = 30.0
MAX_ANSWER = 8 * 1024 * 1024
MEMORY = 1024 * 1024 * 1024
NAMES: Mapping[str, str] = {
    "verify": "agent.trust.verify",
    "summary": "agent.summary.job",
    "calendar": "agent.service.calendar",
    "grants": "agent.trust.grants",
}
"""Jobs, and the modules whose ``run(request: bytes) -> bytes`` does them; imported in the job's process only."""


class JobFailed(FairtimeError):
    """A job did not answer; ``where`` names it."""

    code = "job"


async def run(name: str, request: bytes, timeout: float = TIMEOUT) -> bytes:
    """The answer of job ``name``.  Raises ``JobFailed`` when it takes too long, answers too much or fails."""
    command = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "agent"]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "job",
            name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            start_new_session=True,
            limit=MAX_ANSWER,
        )
    except OSError as error:
        raise _failed(name, f"it could not be started ({error.strerror})") from error
    try:
        async with asyncio.timeout(timeout):
            answer, errors = await _talk(process, request, name)
            code = await process.wait()
    except TimeoutError as error:
        raise _failed(name, f"it took longer than {timeout:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                _kill_all(process)
            await process.wait()
    if code != 0:
        log.error("job %s ended with %s: %s", name, code, errors.decode(errors="replace")[-2000:])
        raise _failed(name, f"it ended with code {code}")
    return answer


def _kill_all(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


async def _talk(process: asyncio.subprocess.Process, request: bytes, name: str) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None

    async def give() -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(request)
            await process.stdin.drain()
        process.stdin.close()

    _, answer, errors = await asyncio.gather(
        give(), _read(process.stdout, MAX_ANSWER, name), _read(process.stderr, MAX_ANSWER, name)
    )
    return answer, errors


async def _read(stream: asyncio.StreamReader, most: int, name: str) -> bytes:
    parts, size = [], 0
    while part := await stream.read(65536):
        size += len(part)
        if size > most:
            raise _failed(name, "its answer is too long")
        parts.append(part)
    return b"".join(parts)


def serve(name: str) -> int:
    """Be the job: the other end of ``run``."""
    from importlib import import_module

    if name not in NAMES:
        raise FairtimeError(f"There is no job “{name}”", "Jobs are started by the service, not by people.")
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(TIMEOUT), int(TIMEOUT)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = sys.stdin.buffer.read()
    answer: bytes = import_module(NAMES[name]).run(request)
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def _failed(name: str, why: str) -> JobFailed:
    return JobFailed(
        f"A helper process of Fairtime failed: {why}", "Try again; if it stays, look at the service's log.", where=name
    )
