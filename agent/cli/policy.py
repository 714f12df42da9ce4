"""``fairtime policy``: new, check, sign, show, diff, install, schema."""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime as dt
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.cli import options as shared
from agent.cli.times import date
from agent.core.checks import check, locks_out, refuse_errors
from agent.core.drafting import diff, draft
from agent.core.family import build_policy, parse
from agent.errors import FairtimeError, PolicyError
from agent.model.policy import Family, Policy, schema
from agent.resources import load_catalogue, load_presets

PRESETS = ("early", "junior", "preteen", "teen", "older")


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("policy", help="write, check, sign and compare policies")
    deeper = one.add_subparsers(dest="what", required=True, metavar="new|check|sign|show|diff|lines|install|schema")
    new = deeper.add_parser("new", help="a first family.toml")
    new.add_argument("--preset", choices=PRESETS, required=True, help="the age that it is for")
    new.add_argument("--child", default="mia", help="its name (default: %(default)s)")
    new.add_argument("--account", default="mia", help="its account (default: %(default)s)")
    new.add_argument("--guardian", default="ana", help="your name (default: %(default)s)")
    new.add_argument("--guardian-account", default="ana", help="your account (default: %(default)s)")
    new.add_argument("--zone", default="UTC", help="the family's time zone (default: %(default)s)")
    new.add_argument("--out", type=Path, default=Path("family.toml"), help="where to write it (default: %(default)s)")
    new.set_defaults(run=_new)
    one = deeper.add_parser("check", help="everything that is wrong with a family file")
    one.add_argument("file", type=Path, help="the family file")
    one.add_argument("--here", action="store_true", help="also that its accounts and groups of sites exist on this PC")
    shared.as_json(one)
    one.set_defaults(run=_check)
    one = deeper.add_parser("sign", help="sign a family file")
    one.add_argument("file", type=Path, help="the family file")
    one.add_argument(
        "--key",
        type=Path,
        action="append",
        metavar="FILE",
        help="key file (default: guardian.key beside the file, else the keyring)",
    )
    one.add_argument(
        "--after", type=Path, metavar="SIGNED", help="the signed policy that this one follows (default: OUT)"
    )
    one.add_argument("--expires", metavar="DATE", type=date, help="it is not accepted from this day on")
    one.add_argument("--device", action="append", default=[], help="only for this machine id")
    one.add_argument("--out", type=Path, help="where to write it (default: policy.dsse.json beside the file)")
    one.set_defaults(run=_sign)
    one = deeper.add_parser("show", help="what a family file or signed policy says, presets filled in")
    one.add_argument("file", type=Path, help="the family file, or the signed policy")
    shared.as_json(one)
    one.set_defaults(run=_show)
    one = deeper.add_parser("diff", help="what changes between two")
    one.add_argument("before", type=Path, help="a family file or a signed policy")
    one.add_argument("after", type=Path, help="the other")
    one.set_defaults(run=_diff)
    one = deeper.add_parser("lines", help="rules for what guardians allowed for good, to put into a family file")
    shared.child(one)
    one.set_defaults(run=_lines)
    one = deeper.add_parser("install", help="put a signed policy in force on this PC")
    one.add_argument("file", type=Path, help="the signed policy")
    one.set_defaults(run=_install)
    one = deeper.add_parser("schema", help="JSON schema of family.toml")
    one.set_defaults(run=_schema)


def read_family(path: Path, accounts: Sequence[str] | None = None) -> Family:
    """A family file without errors."""
    family = parse(_text(path), path.name)
    refuse_errors(check(family, load_catalogue(), accounts), path.name)
    return family


def build(
    family: Family,
    *,
    version: int,
    policy_id: str | None = None,
    expires: str | None = None,
    devices: Sequence[str] = (),
    prev_sha256: str | None = None,
    now: dt.datetime | None = None,
) -> Policy:
    """The payload for a family, issued now."""
    at = now or dt.datetime.now(dt.UTC)
    return build_policy(
        family,
        load_catalogue(),
        load_presets(),
        policy_id=policy_id or secrets.token_hex(8),
        version=version,
        issued=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        expires=expires,
        devices=devices,
        prev_sha256=prev_sha256,
    )


def _new(options: argparse.Namespace) -> int:
    text = draft(
        options.preset, options.child, options.account, options.guardian, options.guardian_account, options.zone
    )
    refuse_errors(check(parse(text), load_catalogue()), "the new file")
    try:
        with options.out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PolicyError(
            "There is a file of this name already",
            "Choose another with --out: nothing is overwritten.",
            where=str(options.out),
        ) from error
    except OSError as error:
        raise PolicyError(
            f"It cannot be written: {error.strerror}", "Choose another place.", where=str(options.out)
        ) from error
    print(options.out)
    return 0


def _check(options: argparse.Namespace) -> int:
    accounts: list[str] | None = None
    if options.here:
        from agent.platforms import host

        accounts = [account.name for account in host().accounts()]
    lists: set[str] | None = None
    if options.here:
        from agent.cli.lists import groups_here

        lists = groups_here()
    problems = check(parse(_text(options.file), options.file.name), load_catalogue(), accounts, lists=lists)
    if options.json:
        print(
            json.dumps(
                [{"where": p.where, "title": p.title, "advice": p.advice, "error": p.error} for p in problems],
                ensure_ascii=False,
            )
        )
    else:
        for problem in problems:
            print(problem)
        if not problems:
            print(f"{options.file.name} is fine.")
    return 1 if any(problem.error for problem in problems) else 0


def _sign(options: argparse.Namespace) -> int:
    from agent.cli.keys import signer
    from agent.trust import signing

    family = read_family(options.file)
    _refuse_lock_out(family, options.file.name)
    out = options.out or options.file.with_name("policy.dsse.json")
    after = options.after or (out if out.exists() else None)
    before = _signed(after) if after else None
    expires = f"{options.expires}T00:00:00Z" if options.expires else None
    policy = build(
        family,
        version=before.version + 1 if before else 1,
        policy_id=before.policy_id if before else None,
        expires=expires,
        devices=options.device,
    )
    beside = options.file.with_name("guardian.key")
    keys = options.key or [beside if beside.exists() else None]
    data = signing.sign_policy(policy, *(signer(path) for path in keys))
    _write(out, data)
    print(out)
    _remind(family)
    return 0


def _remind(family: Family) -> None:
    """Of permissions for good that the file does not hold yet, where this PC's service can be asked."""
    from agent.cli.lines import given_for_good, missing

    try:
        left = missing(given_for_good(None), family)
    except FairtimeError:
        return  # signing needs no service, and says nothing of one that is not there
    if left:
        print(
            f"{len(left)} programs were allowed for good and have no rule in this file: “fairtime policy lines”.",
            file=sys.stderr,
        )


def _lines(options: argparse.Namespace) -> int:
    from agent.cli.lines import given_for_good, text

    print(text(given_for_good(options.child)))
    return 0


def _refuse_lock_out(family: Family, name: str) -> None:
    """Only on the PC that the policy is for: elsewhere the account that signs means nobody."""
    from agent.cli.accounts import own_account
    from agent.platforms import host

    here = {account.name: account for account in host().accounts()}
    if not all(account in here for child in family.children for account in child.accounts):
        return
    own = own_account()
    problem = locks_out(family, own, administrator=own not in here or here[own].administrator)
    if problem is not None:
        refuse_errors([problem], name)


def _show(options: argparse.Namespace) -> int:
    policy = either(options.file)
    if options.json:
        print(msgspec.json.encode(policy.family).decode())
        return 0
    from agent.core.agreement import agreement
    from agent.core.rules import compile_policy

    rules = compile_policy(policy)
    today = dt.datetime.now(rules.zone).date()
    print("\n\n".join(agreement(rules, child, today) for child in rules.children))
    return 0


def _diff(options: argparse.Namespace) -> int:
    changes = diff(either(options.before), either(options.after))
    for change in changes:
        print(change)
    if not changes:
        print("They say the same.")
    return 0


def _install(options: argparse.Namespace) -> int:
    from contextlib import closing

    from agent.ipc.answers import Done
    from agent.ipc.client import Client
    from agent.ipc.protocol import PIECE, Install

    text = base64.b64encode(_bytes(options.file)).decode()
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]
    with closing(Client()) as client:
        for piece in pieces[:-1]:
            client.call(Install(policy=piece, more=True))
        done = client.call(Install(policy=pieces[-1]))
    assert isinstance(done, Done)
    print(done.sentence)
    return 0


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0


def either(path: Path) -> Policy:
    """A signed policy or a family file, as a policy."""
    data = _bytes(path)
    if data.lstrip()[:1] == b"{":
        return _signed(path)
    return build(read_family(path), version=1, policy_id="draft")


def _signed(path: Path) -> Policy:
    from agent.trust.envelope import read
    from agent.trust.payload import policy_of

    return policy_of(read(_bytes(path)))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where nothing could be written there may be nothing to take away
            new.unlink()
        raise FairtimeError(
            f"It cannot be written: {error.strerror}", "Choose another place with --out.", where=str(path)
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2 * 1024 * 1024)
    except OSError as error:
        raise FairtimeError(f"The file cannot be read: {error.strerror}", "Check its name.", where=str(path)) from error


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(
            "This is not a text file in UTF-8", "Check that it is the right file.", where=str(path)
        ) from error
