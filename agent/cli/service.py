"""Commands that become another process: the service, the tray."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agent import bundle
from agent.errors import HostError
from agent.service import command


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = sub.add_parser("service", help="the service itself (systemd starts it)")
    deeper = one.add_subparsers(dest="what", required=True, metavar="run")
    run = deeper.add_parser("run", help="serve until told to stop")
    command.add_options(run)
    run.add_argument("--only", metavar="FOLDER", type=Path, help="a trial: see and touch this folder's programs only")
    run.set_defaults(run=_serve)
    if sys.platform == "win32":
        from agent.cli import windows

        windows.add_parsers(deeper)
    one = sub.add_parser("tray", help="the tray icon (the desktop starts it)")
    one.add_argument("--show", action="store_true", help="where it runs already, show the time left in a window")
    one.set_defaults(run=_tray)
    # The tray, the service and systemd start these in a bundle, which has no “python -m”.
    one = sub.add_parser("dialog")
    one.add_argument("kind")
    one.set_defaults(run=_dialog)
    one = sub.add_parser("resolver")
    one.add_argument("socket", type=int)
    one.set_defaults(run=_resolver)


def _serve(options: argparse.Namespace) -> int:
    if options.only:
        from agent import platforms
        from agent.cli.accounts import own_account

        return command.run(options, platforms.trial_host(options.only, own_account()))
    if bundle.bundled() and sys.platform != "win32":
        # As itself, and without the commands for people and the tray in its memory.
        program = bundle.program(command.NAME)
        os.execv(program, [program, *sys.argv[2:]])
    return command.run(options)


def _tray(options: argparse.Namespace) -> int:
    from agent.tray.app import run

    return run(show=options.show)


def _dialog(options: argparse.Namespace) -> int:
    from agent.tray.dialogs import main

    return main([options.kind])


def _resolver(options: argparse.Namespace) -> int:
    if sys.platform != "linux":
        raise HostError("The resolver is for Linux")
    from agent.filter.command import command as resolver

    # As itself, too.
    words = resolver(options.socket)
    os.execv(words[0], words)
