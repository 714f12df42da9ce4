"""``fairtime lists``: site lists, handed in by guardians from files and folders of their own."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

from agent.cli import options as shared
from agent.cli.calling import ask
from agent.errors import FairtimeError
from agent.ipc.answers import Document, Done
from agent.ipc.client import Client
from agent.ipc.protocol import AcceptList, Body, GetLists, PutList, RemoveList, TrustPublisher
from agent.model.sitelist import ListFormat


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("lists", help="lists of sites: hand them in, update them, see what they hold")
    deeper = one.add_subparsers(
        dest="what", required=True, metavar="add|update|show|accept|remove|trust|distrust|key|sign"
    )
    add = deeper.add_parser("add", help="hand in a list: a text file, or a folder of categories, packed or not")
    add.add_argument("name", help="how rules call it, such as games")
    add.add_argument("path", type=Path, help="the text file, the folder of categories, or the archive of either")
    add.add_argument("--format", choices=get_args(ListFormat), help="its form (default: seen from the list)")
    add.add_argument("--publisher", help="take it only with this publisher's signature")
    add.set_defaults(run=_add)
    update = deeper.add_parser("update", help="read lists again from where they lie (default: all)")
    update.add_argument("name", nargs="?", help="only this list")
    update.add_argument("path", nargs="?", type=Path, help="where it lies now")
    update.set_defaults(run=_update)
    show = deeper.add_parser("show", help="which lists there are, what they hold and what was left out of them")
    show.add_argument("name", nargs="?", help="only this list, with what was left out of it")
    shared.as_json(show)
    show.set_defaults(run=_show)
    accept = deeper.add_parser("accept", help="put an edition in force that is much smaller than the one before")
    accept.add_argument("name", help="the list")
    accept.set_defaults(run=lambda options: _do(AcceptList(name=options.name)))
    remove = deeper.add_parser("remove", help="take a list away")
    remove.add_argument("name", help="the list")
    remove.set_defaults(run=lambda options: _do(RemoveList(name=options.name)))
    trust = deeper.add_parser("trust", help="make a publisher's key known")
    trust.add_argument("publisher", help="how you call it from now on")
    trust.add_argument("key", help="64 hex digits, which the publisher tells you")
    trust.set_defaults(run=lambda options: _do(TrustPublisher(name=options.publisher, key=_hex(options.key))))
    distrust = deeper.add_parser("distrust", help="forget a publisher")
    distrust.add_argument("publisher", help="as you called it")
    distrust.set_defaults(run=lambda options: _do(TrustPublisher(name=options.publisher)))
    key = deeper.add_parser("key", help="for publishers: the public key that guardians are told")
    key.add_argument("--key", type=Path, metavar="FILE", help="key file (default: the keyring)")
    key.set_defaults(run=_key)
    sign = deeper.add_parser("sign", help="for publishers: sign a list, into LIST.dsse.json beside it")
    sign.add_argument("path", type=Path, help="the list: one file")
    sign.add_argument("--title", required=True, help="what the list is called, the same in every edition")
    sign.add_argument("--version", type=int, help="higher with each edition (default: the seconds since 1970)")
    sign.add_argument("--key", type=Path, metavar="FILE", help="key file (default: the keyring)")
    sign.set_defaults(run=_sign)


def _add(options: argparse.Namespace) -> int:
    return _do(
        PutList(name=options.name, path=_place(options.path), format=options.format, publisher=options.publisher)
    )


def _update(options: argparse.Namespace) -> int:
    if options.name is not None:
        path = _place(options.path) if options.path else ""
        return _do(PutList(name=options.name, path=path), known=True)
    names = sorted(_document()["lists"])
    if not names:
        raise FairtimeError("There is no list to update", "Hand one in: “fairtime lists add NAME PATH”.")
    code = 0
    with closing(Client()) as client:
        _prove(client)
        for name in names:
            try:
                print(_said(client.call(PutList(name=name, path=""))))
            except FairtimeError as error:
                print(f"fairtime: {name}: {error}", file=sys.stderr)
                code = 1
    return code


def _show(options: argparse.Namespace) -> int:
    found = _document()
    if options.name is not None and options.name not in found["lists"]:
        known = ", ".join(sorted(found["lists"])) or "none yet"
        raise FairtimeError(f"There is no list “{options.name}”", f"There are: {known}.")
    if options.json:
        print(json.dumps(found if options.name is None else found["lists"][options.name], ensure_ascii=False))
        return 0
    print("\n".join(_one(options.name, found["lists"][options.name]) if options.name else _all(found)))
    return 0


def _all(found: dict[str, Any]) -> list[str]:
    out = [f"{name}: {_edition(one['now'])}" for name, one in found["lists"].items()]
    out += ["No list was handed in yet: “fairtime lists add NAME PATH”."] if not found["lists"] else []
    out.append("With Fairtime come: " + ", ".join(f"{group} ({count})" for group, count in found["own"].items()) + ".")
    out += [f"{name} is known by the key {key}" for name, key in found["publishers"].items()]
    out.append(f"Together {found['names']:,} hosts in a book of {found['book_bytes']:,} bytes.")
    out += [f"Just now: {found['busy']}."] if found["busy"] else []
    return out + [f"! {trouble}" for trouble in found["troubles"]]


def _one(name: str, one: dict[str, Any]) -> list[str]:
    out = [f"{name}: {_edition(one['now'])}", f"from {one['path']}"]
    if one["publisher"]:
        out.append(f"signed by {one['publisher']}")
    if one["now"]:
        groups = one["now"]["groups"]
        out += [f"  {name}/{group}: {count:,}" for group, count in groups.items() if group]
        out += [f"  {s['count']:,} left out: {s['why']}, first {s['first']}" for s in one["now"]["skipped"]]
    if one["waiting"]:
        out.append(f"! waits for “fairtime lists accept {name}”: {_edition(one['waiting'])}")
    return out + ([f"! {one['trouble']}"] if one["trouble"] else [])


def _edition(edition: dict[str, Any] | None) -> str:
    if edition is None:
        return "nothing in force"
    day = dt.datetime.fromtimestamp(edition["at"] / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
    signed = f", version {edition['version']} of “{edition['title']}”" if edition["title"] else ""
    count = sum(edition["groups"].values())
    return f"{count:,} host{'' if count == 1 else 's'} ({edition['format']}, read {day}{signed})"


def _key(options: argparse.Namespace) -> int:
    from agent.cli.keys import signer
    from agent.trust.publisher import public_key

    print(public_key(signer(options.key)))
    return 0


def _sign(options: argparse.Namespace) -> int:
    import io
    import time

    from agent.cli.keys import signer
    from agent.filter.lists.reading import read_list, statement_of
    from agent.model.sitelist import ToRead
    from agent.trust.listing import Statement
    from agent.trust.publisher import sign

    class Nowhere(io.BytesIO):
        """What a list says matters less here than that it is one."""

        def write(self, data: Any) -> int:
            return len(data)

    path = options.path.absolute()
    found = read_list(ToRead(path=str(path), out=0), Nowhere())
    statement = Statement(list=options.title, version=options.version or int(time.time()), files=found.files)
    out = statement_of(path)
    try:
        out.write_bytes(sign(statement, signer(options.key)))
    except OSError as error:
        raise FairtimeError(f"It cannot be written: {error.strerror}", "", where=str(out)) from error
    print(out)
    return 0


def _place(path: Path) -> str:
    """Where a list lies, as the service looks for it."""
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FairtimeError("The name of this file is not in UTF-8", "Give it another name.") from error
    return text


def _hex(key: str) -> str:
    key = key.strip().lower()
    if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
        raise FairtimeError(
            "This is no publisher's key", "A key is 64 hex digits, as “fairtime lists key” prints them."
        )
    return key


def groups_here() -> set[str] | None:
    """The groups that the lists of this PC bring; ``None`` when the service cannot be asked."""
    try:
        known = _document()
    except FairtimeError:
        return None
    found = set(known["own"])
    for name, one in known["lists"].items():
        found |= {f"{name}/{group}" if group else name for group in (one["now"] or {"groups": {}})["groups"]}
    return found


def _document() -> dict[str, Any]:
    found = ask(GetLists())
    assert isinstance(found, Document)
    document: dict[str, Any] = json.loads(bytes(found.value))
    return document


def _prove(client: Client) -> None:
    from agent.cli.guardian import prove

    if client.role != "administrator":
        prove(client)


def _do(body: Body, *, known: bool = False) -> int:
    if known and isinstance(body, PutList) and body.name not in _document()["lists"]:
        raise FairtimeError(f"There is no list “{body.name}”", "Hand it in: “fairtime lists add NAME PATH”.")
    with closing(Client()) as client:
        _prove(client)
        print(_said(client.call(body)))
    return 0


def _said(done: object) -> str:
    assert isinstance(done, Done)
    return done.sentence
