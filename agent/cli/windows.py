"""What only Windows' installer calls: ``fairtime service put | remove | start | stop``."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from agent.errors import ConnectionFailed, FairtimeError, Refused


def add_parsers(deeper: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = deeper.add_parser("put", help="let the program in a folder be this PC's service (as administrator)")
    one.add_argument("--folder", type=Path, default=Path(sys.executable).parent)
    one.add_argument("--demand", action="store_true", help="do not start it with the PC")
    one.set_defaults(run=_put)
    one = deeper.add_parser("remove", help="take back what “put” did; a child's account is asked for the PIN")
    one.set_defaults(run=_remove)
    one = deeper.add_parser("start", help="start the service and wait until it runs")
    one.set_defaults(run=_start)
    one = deeper.add_parser("stop", help="stop the service and wait for its end")
    one.set_defaults(run=_stop)


def _put(options: argparse.Namespace) -> int:
    from agent import platforms

    _needs_administrator()
    platforms.put_in_place(options.folder.resolve(), automatic=not options.demand)
    return 0


def _remove(_: argparse.Namespace) -> int:
    from agent import platforms
    from agent.cli.accounts import own_account

    _needs_administrator()
    _ask_guardian()
    platforms.take_away(own_account())
    print("Fairtime is removed.  What it recorded is still there; remove its folder in ProgramData to forget it.")
    return 0


def _start(_: argparse.Namespace) -> int:
    from agent import platforms

    platforms.start_service()
    return 0


def _stop(_: argparse.Namespace) -> int:
    from agent import platforms

    platforms.stop_service()
    return 0


def _needs_administrator() -> None:
    from agent import platforms

    if not platforms.privileged():
        raise Refused("This needs an administrator", "Run it in a terminal “as administrator”.")


def _ask_guardian() -> None:
    """An administrator may; in a child's account, which may be an administrator's by mistake, only with the PIN.

    Without a running service there is nobody to ask: then an administrator may, as root may on Linux.
    """
    from contextlib import closing

    from agent.ipc.client import Client
    from agent.ipc.protocol import Prove

    with closing(Client()) as client:
        try:
            role = client.role
        except ConnectionFailed:
            return
        if role != "child":
            return
        pin = os.environ.get("FAIRTIME_PIN") or (getpass.getpass("A guardian's PIN: ") if sys.stdin.isatty() else "")
        if not pin:
            raise FairtimeError("In a child's account this needs a guardian's PIN", "Ask a guardian.")
        client.call(Prove(pin=pin))
