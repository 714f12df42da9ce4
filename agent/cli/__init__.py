"""The command line: ``fairtime``.  One module a theme; a command imports its own, and what is heavy inside itself.

Exit codes: 0 done, 1 refused or failed with a reason, 2 usage.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from agent.bundle import give_back_environment, version
from agent.errors import FairtimeError

COMMANDS = {
    "trial": ("trial",),
    "setup": ("setup",),
    "asking": ("status", "why", "agreement", "doctor", "request"),
    "guardian": ("grant", "grants", "lock", "pause", "release", "pin", "clock"),
    "learn": ("learn",),
    "lists": ("lists",),
    "summary": ("summary",),
    "policy": ("policy",),
    "keys": ("keys",),
    "audit": ("audit",),
    "simulate": ("simulate",),
    "service": ("service", "tray", "dialog", "resolver"),
    "job": ("job",),
}
"""The modules of commands, in the order of the help, and what each adds."""
_LESS = re.compile(r"-\d[\dhms]*")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    given = sys.argv[1:] if argv is None else argv
    give_back_environment()
    # argparse takes “-15m” for an option, but nothing with a space in it.
    options = parser(given).parse_args([f" {one}" if _LESS.fullmatch(one) else one for one in given])
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except FairtimeError as error:
        print(f"fairtime: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain at exit (bpo-11380).
        sys.stderr.close()
        return 1
    except EOFError:
        print("fairtime: There was no answer\n  Nothing more was done.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def parser(given: Sequence[str] = ()) -> argparse.ArgumentParser:
    """What understands ``given``; all commands when nothing is given.  The manual and the completions are made of it."""
    made = argparse.ArgumentParser(
        prog="fairtime", description="Screen-time limits for the family PC, fair and in the open."
    )
    made.add_argument("--version", action=_Version, nargs=0, help="show the version and end")
    sub = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _themes(given):
        module.add_parser(sub)
    return made


def _themes(given: Sequence[str]) -> list[_Theme]:
    """The one module that the command is in: every other costs its start, and memory for good what stays running.

    All of them for the help, and to name the commands there are when it is none of them.
    """
    if given and given[0] == "--version":
        return []
    named = [module for module, commands in COMMANDS.items() if given and given[0] in commands]
    return [cast(_Theme, import_module(f"agent.cli.{module}")) for module in named or COMMANDS]


class _Theme(Protocol):
    """A module of commands."""

    def add_parser(self, sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None: ...


class _Version(argparse.Action):
    """Looks the version up when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"fairtime {version()}")
        parser.exit()
