"""A script for Windows PowerShell, and whether it did what it was told.

Scripts are ASCII and go in on standard input: nothing depends on a code page, a file, or the policy for script files.  The
last line that comes back says that the script came to its end: an exit code alone proves nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from agent.errors import HostError

Run = Callable[[str], str]
"""Runs a script and returns what it wrote; ``HostError`` when it did not come to its end."""

PATIENCE = 60.0
"""Seconds; a PC that has just started takes twenty for its first PowerShell."""
DONE, FAILED = "fairtime: done", "fairtime: failed"
_ADVICE = "Look whether Windows PowerShell 5.1 runs on this PC; it is tried again when the rules change."
_READ = "& ([ScriptBlock]::Create([Console]::In.ReadToEnd()))"


def run(script: str) -> str:
    """What ``script`` wrote on its standard output.  Takes a second or two."""
    folder = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "WindowsPowerShell", "v1.0")
    command = [
        os.path.join(folder, "powershell.exe"), "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass",
        "-Command", _READ,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, input=wrapped(script).encode("ascii"), capture_output=True, timeout=PATIENCE, check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"Windows PowerShell cannot be used: {error}", _ADVICE) from error
    return understood(done.stdout.decode("utf-8", "replace"))


def wrapped(script: str) -> str:
    """The script with what lets its outcome be told; every error ends it."""
    return "\n".join(
        (
            "$ErrorActionPreference = 'Stop'",
            "$ProgressPreference = 'SilentlyContinue'",
            "[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false",
            "try {",
            script,
            f"[Console]::Out.WriteLine('{DONE}')",
            "} catch {",
            f"[Console]::Out.WriteLine('{FAILED} ' + ($_.Exception.Message -replace '\\s+', ' '))",
            "exit 1",
            "}",
            "",
        )
    )


def understood(said: str) -> str:
    """What a wrapped script wrote before its last line; ``HostError`` when that line does not say that it is done."""
    lines = said.splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    if last.strip() == DONE:
        return "\n".join(lines[: len(lines) - 1 - lines[::-1].index(last)])
    if last.startswith(FAILED):
        raise HostError(f"Windows says: {last.removeprefix(FAILED).strip()}", _ADVICE)
    raise HostError("Windows PowerShell did not come to the end of what it was told", _ADVICE)


def quoted(words: str) -> str:
    """A string for a script.  ``ValueError`` for what is not ASCII: PowerShell takes other quotation marks for its own."""
    if not words.isascii() or not words.isprintable():
        raise ValueError(f"not for a script: {words!r}")
    return "'" + words.replace("'", "''") + "'"


def block(text: str) -> str:
    """A longer text for a script, line by line, without a meaning to PowerShell."""
    return "(" + ",".join(f"\n{quoted(line)}" for line in text.splitlines()) + ') -join "`n"'
