"""What installing and running change on this PC besides the program's folder, and how it is taken back.

Each step says what it puts and takes away exactly that; a second installation does the same once more, so an interrupted
one is mended by starting it again.  The installer (installer/windows) copies the files, and calls this.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.installation is for Windows")

import pywintypes
import win32api
import win32con
import win32event
import win32security
import win32service

from agent.errors import HostError
from agent.platforms.windows import (
    descriptors,
    eventlog,
    healthfacts,
    inuse,
    lanes,
    paths,
    profiles,
    rights,
    safeboot,
    shortcut,
    tokens,
    winerrors,
)
from agent.platforms.windows.service import NAME

if TYPE_CHECKING:
    from _win32typing import PySC_HANDLE

log = logging.getLogger(__name__)

DISPLAY = "Fairtime"
DESCRIPTION = "Keeps to the family's signed limits for screen time. What it is doing: fairtime status."
PATIENCE = 60.0
"""Seconds that a service may take to start or to stop."""
RESTARTS = ((1, 2_000), (1, 10_000), (1, 60_000))
"""SC_ACTION_RESTART with milliseconds before it: after the first, the second and every further failure."""
FORGIVEN = 86_400
"""Seconds without a failure after which the first counts as first again."""
TOMBSTONE = "removed"
"""In the state folder, as on Linux: whoever installs again is told when limits ended, and by whom."""
FOUNDED = "root.json"
"""In the state folder once there is a household (``service.policies.ROOT``).  Before, there is nothing to hold and nothing to
keep, and a service that runs would have locked the folder that setup writes to."""
_ALL_ACCESS = 0xF003F


def put(folder: Path) -> None:
    """Let the program in ``folder`` be this PC's service.  ``HostError`` with what Windows refuses; as administrator.

    Where it was not this PC's service before, a refusal leaves nothing behind.  It starts with the PC from its first start on.
    """
    program, service = folder / "fairtime.exe", folder / "fairtime-service.exe"
    open_ = open_above(folder)
    if open_ is not None:
        raise HostError(
            "The program cannot be kept from being changed there: others than administrators may rename folders on the way",
            r"Install it below C:\Program Files.",
            where=str(open_),
        )
    known = True
    try:
        known = _known()
        paths.secure(folder, descriptors.PROGRAM)
        paths.secure(paths.places().state)
        eventlog.register()
        _make_service(f'"{service}" run --windows-service', automatic=founded())
        safeboot.register(NAME)
        shortcut.make(folder / "fairtime-tray.exe", "tray", program)
    except OSError as error:
        if not known:
            _back_out()
        raise _refused("Fairtime cannot be put in place", error) from error


def founded() -> bool:
    """Whether there is a household on this PC, whose limits are to hold."""
    return (paths.places().state / FOUNDED).exists()


def open_above(folder: Path) -> Path | None:
    """A folder on the way to ``folder`` that a standard account could rename or give other contents, whatever is in it.

    The service runs with the system's rights; whoever moves its folder away and puts another there would have them, too.
    """
    for above in folder.parents:
        wanted = rights.DELETE_CHILD | rights.WRITE_DAC | rights.WRITE_OWNER
        if above != above.parent:
            wanted |= rights.DELETE  # nobody renames a drive's root
        found = healthfacts.descriptor(str(above))
        if found is None or rights.may(found, rights.ANYBODY, wanted):
            return above
    return None


def take_away(folder: Path, by: str = "", *, forget: bool = False) -> tuple[str, ...]:
    """Stop the service and take back what ``put`` and the service did; the state folder stays, with a tombstone in it, unless
    everything is to be forgotten.

    The tombstone first: a service that ends and finds it makes its end the audit's last line.  What rules of children could
    not be taken back is in the answer, in words: it must not keep a family from being rid of the rest.
    """
    try:
        state = paths.places().state
        if state.is_dir():
            when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            (state / TOMBSTONE).write_text(f"{when} {by or tokens.own().account}\n", encoding="utf-8")
        stop()
        inuse.end(folder)
        left = _put_rules_back()
        _forget()
        if forget and state.is_dir():
            shutil.rmtree(state)  # it follows no link and no junction
        elif state.is_dir() and not founded():
            (state / TOMBSTONE).unlink(missing_ok=True)
            if not any(state.iterdir()):
                state.rmdir()
    except OSError as error:
        raise _refused("Fairtime cannot be taken away", error) from error
    return left


def _put_rules_back() -> tuple[str, ...]:
    """Browsers', the firewall's, the name servers' and AppLocker's, also of children who are not logged in."""
    sites = lanes.sites(lambda _: None)
    programs = lanes.programs(lambda _: None, lambda _: None, lambda _: ())
    back: tuple[Callable[[], None], ...] = (partial(sites.restore, profiles.loaded), programs.restore)
    left = []
    for put_back in back:
        try:
            put_back()
        except HostError as error:
            left.append(str(error))
    return tuple(left)


def _known() -> bool:
    with _service(win32service.SERVICE_QUERY_STATUS) as service:
        return service is not None


def _back_out() -> None:
    try:
        _forget()
    except OSError as error:
        log.warning("What was begun is still there: %s", error.strerror)


def _forget() -> None:
    """What ``put`` writes besides folders."""
    _drop_service()
    safeboot.forget(NAME)
    shortcut.forget()
    eventlog.forget()


def start() -> None:
    """Start the service, now and with the PC, and wait until it runs; success when it does already."""
    with _service(_ALL_ACCESS) as service:
        if service is None:
            raise HostError("Fairtime's service is not installed", "Run the installer again.")
        _change(service, win32service.SERVICE_AUTO_START)
        try:
            win32service.StartService(service, None)
        except pywintypes.error as error:
            if error.winerror != winerrors.SERVICE_ALREADY_RUNNING:
                raise _refused("Fairtime's service does not start", winerrors.os_error(error)) from error
        _wait(service, win32service.SERVICE_RUNNING, "start")


def stop() -> None:
    """Stop the service and wait for its end; success when there is none."""
    with _service(_ALL_ACCESS) as service:
        if service is None:
            return
        process = _process(service)
        if process is None or _ended(process):
            return
        try:
            _tell_stop(service, process)
            # It says that it has stopped before its end; its files are free after it.
            if win32event.WaitForSingleObject(process, int(PATIENCE * 1000)) != win32event.WAIT_OBJECT_0:
                raise HostError("Fairtime's service does not stop", "Start the PC again, then try once more.")
        finally:
            win32api.CloseHandle(process)


def running() -> bool:
    """Whether the service runs."""
    with _service(win32service.SERVICE_QUERY_STATUS) as service:
        if service is None:
            return False
        return int(win32service.QueryServiceStatus(service)[1]) == win32service.SERVICE_RUNNING


def _make_service(command: str, *, automatic: bool) -> None:
    """Make it, or let the one that is there be like this."""
    when = win32service.SERVICE_AUTO_START if automatic else win32service.SERVICE_DEMAND_START
    kind, serious = win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_ERROR_NORMAL
    with winerrors.told():
        manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_ALL_ACCESS)
        try:
            with _service(_ALL_ACCESS) as there:
                if there is None:
                    made = win32service.CreateService(
                        manager, NAME, DISPLAY, _ALL_ACCESS, kind, when, serious, command, None, False, None, None, None
                    )  # fmt: skip
                    win32service.CloseServiceHandle(made)
                else:
                    _change(there, when, command)
            with _service(_ALL_ACCESS) as service:
                assert service is not None
                change = win32service.ChangeServiceConfig2
                change(service, win32service.SERVICE_CONFIG_DESCRIPTION, DESCRIPTION)
                recovery = {"ResetPeriod": FORGIVEN, "RebootMsg": "", "Command": "", "Actions": RESTARTS}
                change(service, win32service.SERVICE_CONFIG_FAILURE_ACTIONS, recovery)
                rights = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
                    descriptors.SERVICE, win32security.SDDL_REVISION_1
                )
                win32service.SetServiceObjectSecurity(service, win32security.DACL_SECURITY_INFORMATION, rights)
        finally:
            win32service.CloseServiceHandle(manager)


def _change(service: PySC_HANDLE, when: int, command: str | None = None) -> None:
    kind, serious = win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_ERROR_NORMAL
    win32service.ChangeServiceConfig(service, kind, when, serious, command, None, False, None, None, None, DISPLAY)


def _drop_service() -> None:
    """Windows forgets it when the last handle of it is closed, its own process's and those of the services' window included."""
    with _service(_ALL_ACCESS) as service:
        if service is None:
            return
        try:
            win32service.DeleteService(service)
        except pywintypes.error as error:
            if error.winerror != winerrors.SERVICE_MARKED_FOR_DELETE:
                raise
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with _service(win32service.SERVICE_QUERY_STATUS) as service:
            if service is None:
                return
        time.sleep(0.2)
    log.warning("Windows forgets the service when the PC starts again: another program holds it.")


def _process(service: PySC_HANDLE) -> int | None:
    """A handle of the service's process to wait for; ``None`` when there is none."""
    status: Any = win32service.QueryServiceStatusEx(service)  # a dictionary, whatever its types say
    pid = int(status["ProcessId"])
    if pid == 0:
        return None
    try:
        return win32api.OpenProcess(win32con.SYNCHRONIZE, False, pid)
    except pywintypes.error:
        return None  # gone already


@contextmanager
def _service(access: int) -> Iterator[PySC_HANDLE | None]:
    """A handle of the service; ``None`` when it is not there."""
    with winerrors.told():
        manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
        try:
            try:
                service = win32service.OpenService(manager, NAME, access)
            except pywintypes.error as error:
                if error.winerror != winerrors.SERVICE_DOES_NOT_EXIST:
                    raise
                yield None
                return
            try:
                yield service
            finally:
                win32service.CloseServiceHandle(service)
        finally:
            win32service.CloseServiceHandle(manager)


def _wait(service: PySC_HANDLE, wanted: int, what: str) -> None:
    process = _process(service)
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state = int(win32service.QueryServiceStatus(service)[1])
            if state == wanted:
                return
            if what == "start" and (state == win32service.SERVICE_STOPPED or _ended(process)):
                break
            time.sleep(0.1)
    finally:
        if process is not None:
            win32api.CloseHandle(process)
    raise HostError(f"Fairtime's service does not {what}", "The event log says why (Windows Logs, Application).")


def _tell_stop(service: PySC_HANDLE, process: int) -> None:
    """A service that is just starting takes no controls."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
        except pywintypes.error as error:
            if error.winerror == winerrors.SERVICE_NOT_ACTIVE or _ended(process):
                return
            if error.winerror not in winerrors.SERVICE_TAKES_NO_CONTROL or time.monotonic() > end:
                raise winerrors.os_error(error) from error
            time.sleep(0.2)
            continue
        return


def _ended(process: int | None) -> bool:
    return process is not None and win32event.WaitForSingleObject(process, 0) == win32event.WAIT_OBJECT_0


def _refused(title: str, error: OSError) -> HostError:
    advice = (
        "Run this as an administrator."
        if error.winerror == winerrors.ACCESS_DENIED
        else "Start the PC again, then try once more."
    )
    return HostError(f"{title}: {error.strerror or os.strerror(error.errno or 0)}", advice)
