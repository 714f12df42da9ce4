"""What only Windows' installer calls: ``fairtime service put | remove | start | stop``."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from contextlib import closing
from pathlib import Path

from agent.errors import ConnectionFailed, FairtimeError, Refused
from agent.ipc.client import Client
from agent.ipc.protocol import Prove

ASKS = 3
"""Exit code of ``remove --see`` where a guardian's PIN is asked for."""
PIN = "FAIRTIME_PIN"
"""In this variable the uninstaller hands on what was typed: an argument could be read by every process of the PC."""


def add_parsers(deeper: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = deeper.add_parser("put", help="let the program in a folder be this PC's service (as administrator)")
    one.add_argument("--folder", type=Path, default=Path(sys.executable).parent)
    one.set_defaults(run=_put)
    one = deeper.add_parser("remove", help="take back what Fairtime changed; a child's account is asked for the PIN")
    one.add_argument("--see", action="store_true", help=f"only see whether a PIN is asked for (exit code {ASKS})")
    one.add_argument("--forget", action="store_true", help="policy, keys and what was recorded go, too")
    one.set_defaults(run=_remove)
    one = deeper.add_parser("start", help="start the service and wait until it runs, once there is a household")
    one.set_defaults(run=_start)
    one = deeper.add_parser("stop", help="stop the service and its other programs, and wait for their end")
    one.add_argument("--folder", type=Path, default=Path(sys.executable).parent)
    one.set_defaults(run=_stop)


def _put(options: argparse.Namespace) -> int:
    from agent import platforms

    _needs_administrator()
    platforms.put_in_place(options.folder.resolve())
    return 0


def _remove(options: argparse.Namespace) -> int:
    from agent import platforms
    from agent.cli.accounts import own_account

    _needs_administrator()
    # Not where the environment says: whoever wants to be rid of Fairtime could name a service that knows no children.
    with closing(Client(str(platforms.places().socket))) as client:
        asks = _asks(client)
        if options.see:
            return ASKS if asks else 0
        if asks:
            _prove(client)
    for sentence in platforms.take_away(Path(sys.executable).parent, own_account(), forget=options.forget):
        print(sentence)
    kept = (
        "" if options.forget else "  Policy, keys and what it recorded are still there, in its folder in ProgramData."
    )
    print(f"Fairtime is removed.{kept}")
    return 0


def _start(_: argparse.Namespace) -> int:
    from agent import platforms

    _needs_administrator()
    if platforms.founded():
        platforms.start_service()
    else:
        print("Fairtime is in place.  Now, in a terminal “as administrator”: fairtime setup")
    return 0


def _stop(options: argparse.Namespace) -> int:
    from agent import platforms

    _needs_administrator()
    platforms.stop_service(options.folder)
    return 0


def _needs_administrator() -> None:
    from agent import platforms

    if not platforms.privileged():
        raise Refused("This needs an administrator", "Run it in a terminal “as administrator”.")


def _asks(client: Client) -> bool:
    """An administrator may; in a child's account, which may be an administrator's by mistake, only with the PIN.

    Without a running service there is nobody to ask: then an administrator may, as root may on Linux.
    """
    try:
        return client.role == "child"
    except ConnectionFailed:
        return False


def _prove(client: Client) -> None:
    pin = os.environ.get(PIN) or (getpass.getpass("A guardian's PIN: ") if sys.stdin.isatty() else "")
    if not pin:
        raise FairtimeError("In a child's account this needs a guardian's PIN", "Ask a guardian.")
    client.call(Prove(pin=pin))
