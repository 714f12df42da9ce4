"""``fairtime setup``: from nothing to a protected PC, by questions or by a file of answers."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.errors import FairtimeError, PolicyError
from agent.platforms.base import Ability, Account, Finding

UNIT = "fairtime.service"


class ChildAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A child: a name, an account, an age band."""

    name: str
    account: str
    preset: str


class Answers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that setup asks.  ``key`` is a file for the signing key; ``passphrase`` protects it."""

    guardian: str
    guardian_account: str
    children: list[ChildAnswer]
    pin: str
    zone: str = ""
    key: str = ""
    passphrase: str = ""


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("setup", help="protect this PC: children, guardian, PIN (as administrator)")
    one.add_argument("--answers", type=Path, metavar="FILE", help="answers in TOML instead of questions")
    one.add_argument("--state", type=Path, default=Path("/var/lib/fairtime"))
    one.add_argument("--family", type=Path, default=Path("/etc/fairtime/family.toml"), help="where the policy is kept")
    one.add_argument("--no-start", action="store_true", help="do not start the service")
    one.set_defaults(run=_setup)


def _setup(options: argparse.Namespace) -> int:
    from agent import platforms

    host = platforms.host()
    accounts = host.accounts()
    if sys.platform != "win32" and os.geteuid() != 0 and options.state == Path("/var/lib/fairtime"):
        raise FairtimeError("Setup needs an administrator", "Run it as: sudo fairtime setup")
    answers = _from_file(options.answers) if options.answers else _asked(accounts)
    code = found_with(answers, options.state, options.family)
    print(f"\nThe policy is kept in {options.family}; change it there, check it and sign it again.")
    print("\nWrite this code on paper and keep it away from this PC.  It opens Fairtime if the PIN is forgotten:")
    print(f"\n    {code}\n")
    started = False if options.no_start else _start()
    _show_protection(host.findings([c.account for c in answers.children]), host.abilities(), started)
    return 0


def found_with(answers: Answers, state: Path, family_file: Path) -> str:
    """Write the family, make the key, sign and found; returns the paper code."""
    from agent import platforms
    from agent.cli.accounts import own_account
    from agent.cli.keys import new_key
    from agent.cli.policy import build
    from agent.core.checks import check, refuse_errors
    from agent.core.family import parse
    from agent.resources import load_catalogue
    from agent.service.founding import found
    from agent.trust import root, signing

    host = platforms.host()
    text = family_text(answers, zone=answers.zone or local_zone())
    family = parse(text, family_file.name)
    refuse_errors(check(family, load_catalogue(), [a.name for a in host.accounts()]), family_file.name)
    key = Path(answers.key) if answers.key else family_file.with_name("guardian.key")
    family_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    signer = new_key(key, answers.passphrase or answers.pin * 2)
    data = signing.sign_policy(build(family, version=1), signer)
    code = asyncio.run(found(state, host, root.make([signer.public_key], [signer]), data, answers.pin, own_account()))
    family_file.write_text(text, encoding="utf-8")
    return code


def family_text(answers: Answers, zone: str) -> str:
    """``family.toml`` for these answers."""
    from agent.core.drafting import draft

    if not answers.children:
        raise PolicyError("There is no child to protect", "Name at least one child and its account.")
    first, *others = answers.children
    text = draft(first.preset, first.name, first.account, answers.guardian, answers.guardian_account, zone)
    for child in others:
        more = draft(child.preset, child.name, child.account, answers.guardian, answers.guardian_account, zone)
        text += "\n" + more[more.index("[[children]]") :]
    return text


def local_zone() -> str:
    """The PC's time zone as a first guess; ``UTC`` when it is not told."""
    try:
        target = os.readlink("/etc/localtime")
    except OSError:
        return "UTC"
    return target.partition("zoneinfo/")[2] or "UTC"


def _from_file(path: Path) -> Answers:
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Answers)
    except OSError as error:
        raise FairtimeError(
            f"The answers cannot be read: {error.strerror}", "Check its name.", where=str(path)
        ) from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"The answers are not complete: {error}", "See docs/guides/guardian.md.", where=str(path)
        ) from error


def _asked(accounts: tuple[Account, ...]) -> Answers:
    if not sys.stdin.isatty():
        raise FairtimeError("Setup asks questions and needs a terminal", "Or give it a file: --answers FILE.")
    names = [account.name for account in accounts]
    adults = [account.name for account in accounts if account.administrator]
    print("Fairtime setup.  Nothing is changed before the last question.\n")
    print(f"Accounts on this PC: {', '.join(names) or 'none besides root'}")
    guardian = _ask("Your name (as children call you)", lambda text: bool(text))
    account = _ask("Your account", lambda text: text in names or text == "root", adults[0] if adults else "root")
    children: list[ChildAnswer] = []
    while True:
        name = _ask(
            f"Name of {'a' if not children else 'another'} child{' (nothing: that is all)' if children else ''}",
            lambda t: bool(t) or bool(children),
        )
        if not name:
            break
        child_account = _ask(f"Account of {name}", lambda text: text in names and text != account)
        age = _ask(f"Age of {name} (5 to 17)", lambda text: text.isdigit() and 5 <= int(text) <= 17)
        children.append(ChildAnswer(name=name, account=child_account, preset=preset_for(int(age))))
    pin = _new_pin()
    return Answers(guardian=guardian, guardian_account=account, children=children, pin=pin)


def preset_for(age: int) -> str:
    """The preset of an age in years."""
    for oldest, preset in ((7, "early"), (9, "junior"), (12, "preteen"), (15, "teen")):
        if age <= oldest:
            return preset
    return "older"


def _ask(question: str, good: Callable[[str], bool], usual: str = "") -> str:
    while True:
        text = input(f"{question}{f' [{usual}]' if usual else ''}: ").strip() or usual
        if good(text):
            return text
        print("  That does not fit; try again.")


def _new_pin() -> str:
    while True:
        pin = getpass.getpass("A PIN for guardians (4 characters or more): ")
        if pin == getpass.getpass("Once more: "):
            return pin
        print("  The two are not the same.")


def _start() -> bool:
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return False
    done = subprocess.run([systemctl, "enable", "--now", UNIT], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"The service could not be started: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode == 0


def _show_protection(findings: Sequence[Finding], abilities: Sequence[Ability], started: bool) -> None:
    print("What is protected, and what is not:")
    print(f"  {'+' if started else '-'} the service {'runs' if started else 'does not run yet: fairtime service run'}")
    for finding in findings:
        advice = f". {finding.advice}" if finding.advice else ""
        print(f"  {'+' if finding.severity == 'ok' else '!'} {finding.title}{advice}")
    for ability in abilities:
        if not ability.present and ability.why:
            print(f"  - {ability.capability}: {ability.why}")
