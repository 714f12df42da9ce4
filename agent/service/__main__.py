"""``fairtime-service run``: the service as a program of its own, for a bundle; ``fairtime service run`` becomes it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.bundle import give_back_environment
from agent.errors import FairtimeError
from agent.service import command


def main(words: Sequence[str]) -> int:
    """Serve.  2 for a wrong call, 1 for what keeps it from starting."""
    parser = argparse.ArgumentParser(prog=command.NAME, description="Fairtime's service; systemd starts it.")
    deeper = parser.add_subparsers(required=True, metavar="run")
    command.add_options(deeper.add_parser("run", help="serve until told to stop"))
    options = parser.parse_args(words)
    give_back_environment()
    try:
        return command.run(options)
    except FairtimeError as error:
        print(f"{command.NAME}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
