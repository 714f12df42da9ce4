"""The service's command line: ``fairtime service run``, and the same as a program of its own in a bundle.

That program holds nothing of the tray, the commands for people and their libraries (build.spec): what stays in memory on
every PC, and what runs as root, is small.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent.platforms.base import Host, Supervisor

NAME = "fairtime-service"


def add_options(run: argparse.ArgumentParser) -> None:
    """What ``run`` understands."""
    run.add_argument("--state", type=Path, help="state folder (default: /var/lib/fairtime)")
    run.add_argument("--socket", type=Path, help="socket (default: /run/fairtime/fairtime.sock)")
    if sys.platform == "win32":
        run.add_argument("--windows-service", action="store_true", help="Windows starts it, and is told how it is")
    run.add_argument(
        "--gate", action="store_true", help="deny programs before they start (the system's unit asks for it)"
    )
    run.add_argument(
        "--gate-only",
        metavar="FOLDER",
        type=Path,
        action="append",
        help="the same, for what is mounted at or below only",
    )


def run(options: argparse.Namespace, trial: Host | None = None) -> int:
    """Serve until told to stop; with ``trial`` as the host, which sees and touches nothing else of this PC."""
    import logging

    # The service speaks no TLS, and asyncio does without it (it asks for ``ssl`` in a ``try``): 1.3 MiB less for good.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # how Python is told that a module is not there

    from agent import platforms
    from agent.service.app import Settings, serve

    usual = platforms.places()
    # A service with a state folder of its own is a developer's: the PC's files and logins are not its business.
    installed = options.state is None and trial is None
    settings = Settings(options.state or usual.state, options.socket or usual.socket, guard_logins=installed)
    # Only when asked for: a gate makes every start on the PC wait for it, which no trial and no test may do by accident.
    gate = [str(folder) for folder in options.gate_only or ()] if options.gate or options.gate_only else None

    def begin(supervisor: Supervisor) -> int:
        if installed:
            platforms.keep_to_itself(settings.state)
        host = trial if trial is not None else platforms.host(guarded=installed, gate=gate)
        return serve(settings, host, supervisor)

    if sys.platform == "win32" and options.windows_service:
        return platforms.supervised(begin)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    return begin(platforms.supervisor())
