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
from collections.abc import Iterator, Sequence
from typing import Any

from agent import bundle, platforms
from agent.errors import FairtimeError, HostError
from agent.service.job import AS, FILES, LIMITS, Limit

log = logging.getLogger(__name__)

MAX_ANSWER = 8 * 1024 * 1024
_KEPT = ("SYSTEMROOT", "PATH") if sys.platform == "win32" else ()
"""Of this process's environment: without SystemRoot no Python starts on Windows, and its DLLs are looked for in PATH."""
_BARE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **{name: os.environ[name] for name in _KEPT if name in os.environ}}


class JobFailed(FairtimeError):
    """A job did not answer; ``where`` names it."""

    code = "job"


async def run(name: str, request: bytes, *, files: Sequence[int] = (), uid: int | None = None) -> bytes:
    """The answer of job ``name``.  Raises ``JobFailed`` when it takes too long, answers too much or fails.

    It is given the open ``files`` under the same numbers, and does its work as the account ``uid`` where that is not this
    process's.
    """
    timeout = LIMITS.get(name, Limit()).seconds
    command = [bundle.program("fairtime")] if bundle.bundled() else [sys.executable, "-m", "agent"]
    try:
        with _given(files) as (words, named):
            process = await asyncio.create_subprocess_exec(
                *command,
                "job",
                name,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**_BARE, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **_account(uid), **named},
                start_new_session=True,
                limit=MAX_ANSWER,
                **words,
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


@contextlib.contextmanager
def _given(files: Sequence[int]) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """``(words, environment)`` that let the process that is started within have these files."""
    if sys.platform == "win32":
        with platforms.files_given(files) as (words, told):
            yield words, {FILES: told}
    else:
        yield {"pass_fds": files}, {}


def _account(uid: int | None) -> dict[str, str]:
    """What tells a job to go on with the rights of an account and nothing else.  ``HostError`` when there is none."""
    if sys.platform == "win32" or uid is None or uid == os.geteuid():
        return {}
    import pwd

    try:
        found = pwd.getpwuid(uid)
    except KeyError as error:
        raise HostError(f"There is no account with number {uid}", "Use an account of this PC.") from error
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    return {AS: f"{uid} {found.pw_gid} {' '.join(map(str, groups))}"}


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


def _failed(name: str, why: str) -> JobFailed:
    return JobFailed(
        f"A helper process of Fairtime failed: {why}", "Try again; if it stays, look at the service's log.", where=name
    )
