"""What this process may use from now on: a job object around it alone, and no privilege that it does not need.

There is no way back: a process cannot leave a job, and a privilege that was removed is gone (``SE_PRIVILEGE_REMOVED``).
"""

from __future__ import annotations

import sys
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.confining is for Windows")

import win32api
import win32con
import win32job
import win32security

from agent.platforms.windows import winerrors

_TICKS = 10_000_000
"""Of 100 ns in a second."""
_KEPT = "SeChangeNotifyPrivilege"
"""Without it every folder above a file is asked for its rights; everybody has it."""
_REMOVED = 0x4
"""SE_PRIVILEGE_REMOVED."""
LIMITS = (
    win32job.JOB_OBJECT_LIMIT_PROCESS_MEMORY
    | win32job.JOB_OBJECT_LIMIT_PROCESS_TIME
    | win32job.JOB_OBJECT_LIMIT_ACTIVE_PROCESS
    | win32job.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION
)


def confine(memory: int, seconds: float) -> None:
    """At most ``memory`` bytes and ``seconds`` of a processor, no other process, no privilege.  ``OSError`` where that cannot be."""
    with winerrors.told():
        jobs: Any = win32job  # the stub says that there is no job object in what it returns
        job = jobs.CreateJobObject(None, "")
        limits = jobs.QueryInformationJobObject(job, win32job.JobObjectExtendedLimitInformation)
        basic = limits["BasicLimitInformation"]
        basic["LimitFlags"] = LIMITS
        basic["ActiveProcessLimit"] = 1
        basic["PerProcessUserTimeLimit"] = int(seconds * _TICKS)
        limits["ProcessMemoryLimit"] = memory
        jobs.SetInformationJobObject(job, win32job.JobObjectExtendedLimitInformation, limits)
        jobs.AssignProcessToJobObject(job, win32api.GetCurrentProcess())
        token = win32security.OpenProcessToken(
            win32api.GetCurrentProcess(), win32con.TOKEN_ADJUST_PRIVILEGES | win32con.TOKEN_QUERY
        )
        kept = win32security.LookupPrivilegeValue("", _KEPT)
        there = win32security.GetTokenInformation(token, win32security.TokenPrivileges)
        away: Any = [(luid, _REMOVED) for luid, _ in there if luid != kept]
        win32security.AdjustTokenPrivileges(token, False, away)
