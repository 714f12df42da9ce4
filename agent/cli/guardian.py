"""A guardian's commands: grant, lock, pause, release.  Each asks for the PIN."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import sys
from contextlib import closing
from typing import get_args

import msgspec

from agent.cli import options as shared
from agent.cli.times import seconds
from agent.clock import SECOND
from agent.core.timewords import duration_words
from agent.errors import FairtimeError
from agent.ipc.answers import Done, Status
from agent.ipc.client import Client
from agent.ipc.protocol import AcceptClock, Body, GetStatus, Give, Prove, Release, SetPin
from agent.model.grant import Grant, Lasting


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    one = sub.add_parser("grant", help="give time (+30m, -15m) or allow a program or site for a while")
    one.add_argument("what", help="+30m, -15m, or a program or site together with --for")
    shared.child(one, required=True)
    one.add_argument(
        "--for",
        dest="time",
        metavar="TIME",
        help="how long it is allowed: 1h, today, good; a program also: once",
    )
    one.add_argument("--site", action="store_true", help="it is a site")
    one.add_argument("--note", default="", help="words for the child")
    one.set_defaults(run=_grant)
    one = sub.add_parser("grants", help="what guardians gave, said yes or no to, and has not ended")
    shared.child(one)
    shared.as_json(one)
    one.set_defaults(run=_grants)
    for name, text in (("lock", "lock a child's sessions now"), ("pause", "let a child's limits rest for a while")):
        one = sub.add_parser(name, help=text)
        shared.child(one, required=True)
        one.add_argument("--for", dest="time", metavar="TIME", required=name == "pause", help="such as 30m or 1h")
        one.add_argument("--note", default="", help="words for the child")
        one.set_defaults(run=_hold, kind=name)
    one = sub.add_parser("release", help="end a lock, a pause or a permission")
    one.add_argument("grant", metavar="ID", help="as “fairtime grants” shows it")
    one.set_defaults(run=lambda options: _do(Release(grant=options.grant)))
    one = sub.add_parser("pin", help="change the PIN")
    one.add_argument("--rescue", action="store_true", help="with the paper code instead of the old PIN")
    one.set_defaults(run=_pin)
    one = sub.add_parser("clock", help="confirm that the PC's clock is right")
    one.set_defaults(run=lambda _: _do(AcceptClock()))


def prove(client: Client, *, rescue: bool = False) -> None:
    """Ask for the PIN and open the guardian's rights on this client's connection."""
    client.call(Prove(pin=_secret("Paper code: " if rescue else "Guardian's PIN: "), rescue=rescue))


def how_long(text: str) -> tuple[int, Lasting | None]:
    """``once``, ``today``, ``good``, or seconds of ``1h``."""
    for lasting in get_args(Lasting):
        if text == lasting:
            return 0, lasting
    return seconds(text), None


def _grants(options: argparse.Namespace) -> int:
    with closing(Client()) as client:
        status = client.call(GetStatus(child=options.child))
    assert isinstance(status, Status)
    found = [grant for child in status.children for grant in child.grants]
    if options.json:
        print(msgspec.json.encode(found).decode())
        return 0
    for grant in found:
        print(f"{grant.id}  {grant.child}: {_said_of(grant)}  [{grant.by}]")
        if grant.kind in ("program", "refusal"):
            print(f"    {grant.subject}")
    if not found:
        print("Nothing is given now.")
    else:
        print("Withdraw one with “fairtime release ID”.")
    return 0


def _said_of(grant: Grant) -> str:
    name = grant.title or grant.subject
    until = dt.datetime.fromtimestamp(grant.until / 1000).astimezone().strftime(" until %H:%M") if grant.until else ""
    match grant.kind:
        case "time":
            return f"{duration_words(abs(grant.seconds) * SECOND)} {'more' if grant.seconds > 0 else 'fewer'}"
        case "refusal" | "site-refusal":
            return f"no to {name}{until}"
        case "program":
            return f"yes to {name}{until or (' until it is closed' if grant.once else ' from now on')}"
        case "site":
            return f"yes to {name}{until or ' from now on'}"
        case _:
            return f"{grant.kind} {name}".rstrip() + until


def _grant(options: argparse.Namespace) -> int:
    what = options.what.strip()
    if options.time is None and what[:1] in "+-0123456789":
        return _do(Give(child=options.child, kind="time", seconds=seconds(what), note=options.note))
    if options.time is None:
        raise FairtimeError("For how long?", "Say it with --for, such as --for 1h.")
    time, lasting = how_long(options.time)
    return _do(
        Give(
            child=options.child,
            kind="site" if options.site else "program",
            seconds=time,
            lasting=lasting,
            subject=what,
            note=options.note,
        )
    )


def _hold(options: argparse.Namespace) -> int:
    time = seconds(options.time) if options.time else 0
    return _do(Give(child=options.child, kind=options.kind, seconds=time, note=options.note))


def _pin(options: argparse.Namespace) -> int:
    with closing(Client()) as client:
        if options.rescue or client.role != "administrator":  # an administrator helps a family whose PIN is forgotten
            prove(client, rescue=options.rescue)
        new = _secret("New PIN: ")
        if sys.stdin.isatty() and new != _secret("Once more: "):
            raise FairtimeError("The two are not the same", "Nothing was changed; try again.")
        return _said(client.call(SetPin(pin=new)))


def _do(body: Body) -> int:
    with closing(Client()) as client:
        prove(client)
        return _said(client.call(body))


def _said(done: object) -> int:
    assert isinstance(done, Done)
    print(done.sentence + (f" [{done.id}]" if done.id else ""))
    return 0


def _secret(prompt: str) -> str:
    """From the terminal without echo; from a pipe, its next line."""
    secret = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not secret:
        raise FairtimeError("Nothing was entered", "Nothing was changed.")
    return secret
