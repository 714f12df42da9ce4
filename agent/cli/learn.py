"""``fairtime learn``: a week in which unknown programs may run and are written down, and the rules made of it."""

from __future__ import annotations

import argparse
import re
from contextlib import closing

from agent.cli import options as shared
from agent.cli.guardian import prove
from agent.cli.times import seconds
from agent.errors import FairtimeError
from agent.ipc.answers import Done, Text
from agent.ipc.client import Client
from agent.ipc.protocol import GetLearned, Learn


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("learn", help="find out which programs a child uses, before you decide on them")
    deeper = one.add_subparsers(dest="what", required=True, metavar="start|show|propose|stop")
    start = deeper.add_parser("start", help="let unknown programs run for a while and write them down")
    shared.child(start, required=True)
    start.add_argument("--for", dest="time", default="7d", metavar="TIME", help="such as 1h or 7d (default: a week)")
    start.set_defaults(run=_start)
    stop = deeper.add_parser("stop", help="end it before its time; the list stays")
    shared.child(stop, required=True)
    stop.set_defaults(run=lambda options: _do(Learn(child=options.child, seconds=0)))
    for name, form, text in (("show", "list", "the list so far"), ("propose", "rules", "rules for family.toml")):
        look = deeper.add_parser(name, help=text)
        shared.child(look)
        look.set_defaults(run=_look, form=form)


def length(text: str) -> int:
    """Seconds of ``7d``, ``1h``, ``1d12h``."""
    match = re.fullmatch(r"(\d{1,2})d(.*)", text.strip())
    if match is None:
        return seconds(text)
    return int(match[1]) * 86_400 + (seconds(match[2]) if match[2] else 0)


def _start(options: argparse.Namespace) -> int:
    wanted = length(options.time)
    if not 60 <= wanted <= 28 * 86_400:
        raise FairtimeError(f"{options.time} is no time to learn in", "Write a time from 1m to 28d, such as 7d.")
    return _do(Learn(child=options.child, seconds=wanted))


def _do(body: Learn) -> int:
    with closing(Client()) as client:
        prove(client)
        done = client.call(body)
    assert isinstance(done, Done)
    print(done.sentence)
    return 0


def _look(options: argparse.Namespace) -> int:
    with closing(Client()) as client:
        found = client.call(GetLearned(child=options.child, form=options.form))
    assert isinstance(found, Text)
    print(found.text)
    return 0
