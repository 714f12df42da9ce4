"""The service as Windows runs it: started, told to stop, told of sessions, and watched over.

The main thread belongs to the service control manager, asyncio's loop to a thread of its own: under pywin32 the loop cannot
have the main one (pywin32 issue 1452).  A service that fails or hangs ends its process without a word to the manager,
which then takes it for crashed, and the recovery actions start it again (``installation``).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.service is for Windows")

import pywintypes
import servicemanager
import win32service
import win32serviceutil

from agent.errors import FairtimeError, HostError
from agent.platforms.windows.changes import CHANGES, Change
from agent.platforms.windows.eventlog import EventLog
from agent.platforms.windows.supervision import ALIVE_WITHIN, Supervision

log = logging.getLogger(__name__)

NAME = "fairtime"
START_WITHIN = 120_000
"""Milliseconds that a start may take before Windows takes it for hung: a policy is verified, a ledger checked."""
STOP_WITHIN = 30_000
_SESSION_CHANGE, _POWER_EVENT, _PRESHUTDOWN = 0x0E, 0x0D, 0x0F
_ACCEPT_POWER, _ACCEPT_SESSION, _ACCEPT_PRESHUTDOWN = 0x40, 0x80, 0x100
_RESUMED = (0x12, 0x07)
"""PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND."""

Run = Callable[[Supervision], int]


def dispatch(run: Run) -> int:
    """Be the service: ``run`` serves, in a thread of its own.  ``HostError`` when Windows has not started this process so."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(EventLog())
    _Service.run = run
    servicemanager.Initialize(NAME, None)
    servicemanager.PrepareToHostSingle(_Service)
    untyped: Any = servicemanager
    try:
        untyped.StartServiceCtrlDispatcher()
    except pywintypes.error as error:
        raise HostError(
            f"Windows did not start this as a service: {error.strerror}", "Start it with: sc start fairtime"
        ) from error
    return 0


class _Service(win32serviceutil.ServiceFramework):
    _svc_name_ = NAME
    _svc_display_name_ = "Fairtime"
    run: ClassVar[Run | None] = None

    def __init__(self, words: list[str]) -> None:
        super().__init__(words)
        self._supervision = Supervision(
            lambda: self.ReportServiceStatus(win32service.SERVICE_RUNNING),
            lambda: self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, STOP_WITHIN),
        )
        self._code = 1

    def GetAcceptedControls(self) -> int:
        usual: Any = super()
        return int(usual.GetAcceptedControls()) | _ACCEPT_POWER | _ACCEPT_SESSION | _ACCEPT_PRESHUTDOWN

    def SvcRun(self) -> None:
        """Until the end; pywin32's own says that the service runs before it does."""
        self.ReportServiceStatus(win32service.SERVICE_START_PENDING, START_WITHIN)
        CHANGES.heard = True
        thread = threading.Thread(target=self._serve, name="fairtime-service")
        thread.start()
        while thread.is_alive():
            thread.join(ALIVE_WITHIN)
            # Only waits count, not the clock: a PC that slept has not hung.
            if thread.is_alive() and self._supervision.hangs():
                log.critical("The service hangs, and is started again.")
                os._exit(3)
        if self._code:
            os._exit(self._code)

    def SvcStop(self) -> None:
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, STOP_WITHIN)
        self._supervision.ask_stop()

    def SvcShutdown(self) -> None:
        self._supervision.ask_stop()

    def SvcOtherEx(self, control: int, event: int, data: object) -> int | None:
        """HandlerEx: what is neither a stop nor a question for the state."""
        if control == _SESSION_CHANGE:
            CHANGES.tell(event, data[0] if isinstance(data, tuple) and isinstance(data[0], int) else 0)
        elif control == _POWER_EVENT:
            if event in _RESUMED:
                CHANGES.tell(Change.RESUMED, 0)
        elif control == _PRESHUTDOWN:
            self.SvcStop()
        return None

    def _serve(self) -> None:
        run = type(self).run
        assert run is not None  # ``dispatch`` sets it before there is a service
        try:
            self._code = run(self._supervision)
        except FairtimeError as error:
            log.critical("The service cannot run: %s", error)
        except BaseException:
            log.critical("The service failed.", exc_info=True)
            raise
