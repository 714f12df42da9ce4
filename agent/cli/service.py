"""Commands that become another process: the service, the tray, a job."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent.errors import HostError


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = sub.add_parser("service", help="the service itself (systemd starts it)")
    deeper = one.add_subparsers(dest="what", required=True, metavar="run")
    run = deeper.add_parser("run", help="serve until told to stop")
    run.add_argument("--state", type=Path, help="state folder (default: /var/lib/fairtime)")
    run.add_argument("--socket", type=Path, help="socket (default: /run/fairtime/fairtime.sock)")
    run.add_argument("--only", metavar="FOLDER", type=Path, help="a trial: see and touch this folder's programs only")
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
    run.set_defaults(run=_serve)
    one = sub.add_parser("tray", help="the tray icon (the desktop starts it)")
    one.set_defaults(run=_tray)
    # The tray, the service and systemd start these in a bundle, which has no “python -m”.
    one = sub.add_parser("dialog")
    one.add_argument("kind")
    one.set_defaults(run=_dialog)
    one = sub.add_parser("resolver")
    one.add_argument("socket", type=int)
    one.set_defaults(run=_resolver)
    one = sub.add_parser("job")
    one.add_argument("name")
    one.set_defaults(run=_job)


def _serve(options: argparse.Namespace) -> int:
    import logging

    # The service speaks no TLS, and asyncio does without it (it asks for ``ssl`` in a ``try``): 1.3 MiB less for good.
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # how Python is told that a module is not there

    from agent import platforms
    from agent.cli.accounts import own_account
    from agent.service.app import Settings, serve

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    usual = Settings()
    # A service with a state folder of its own is a developer's: the PC's files and logins are not its business.
    installed = options.state is None and options.only is None
    settings = Settings(options.state or usual.state, options.socket or usual.socket, guard_logins=installed)
    # Only when asked for: a gate makes every start on the PC wait for it, which no trial and no test may do by accident.
    gate = [str(folder) for folder in options.gate_only or ()] if options.gate or options.gate_only else None
    if options.only:
        host = platforms.trial_host(options.only, own_account())
    else:
        host = platforms.host(guarded=installed, gate=gate)
    return serve(settings, host, platforms.supervisor())


def _tray(_: argparse.Namespace) -> int:
    from agent.tray.app import run

    return run()


def _dialog(options: argparse.Namespace) -> int:
    from agent.tray.dialogs import main

    return main([options.kind])


def _resolver(options: argparse.Namespace) -> int:
    import os

    if sys.platform != "linux":
        raise HostError("The resolver is for Linux")
    from agent.filter.command import command

    # As itself, and without the commands for people in its memory.
    words = command(options.socket)
    os.execv(words[0], words)


def _job(options: argparse.Namespace) -> int:
    from agent.service.jobs import serve

    return serve(options.name)
