"""``fairtime setup``: from nothing to a protected PC, by questions or by a file of answers."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from agent.errors import ConnectionFailed, FairtimeError, PolicyError, Refused

if TYPE_CHECKING:
    from agent.platforms.base import Account, Host

UNIT = "fairtime.service"
_ADD_ACCOUNT = {
    "win32": "in Settings, Accounts, Other users", "darwin": "in System Settings, Users & Groups",
}.get(sys.platform, "for example: sudo adduser mia")  # fmt: skip


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
    unwatched: list[str] = []
    """Standard accounts that are nobody's here and are left alone; others get the strictest limits."""


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("setup", help="protect this PC: children, guardian, PIN (as administrator)")
    one.add_argument("--answers", type=Path, metavar="FILE", help="answers in TOML instead of questions")
    one.add_argument("--state", type=Path, help="state folder (default: the service's)")
    one.add_argument("--family", type=Path, metavar="FILE", help="where the policy is kept (default: the PC's)")
    one.add_argument("--no-start", action="store_true", help="do not start the service")
    one.set_defaults(run=_setup)


def _setup(options: argparse.Namespace) -> int:
    from agent import platforms

    host = platforms.host()
    accounts = host.accounts()
    usual = platforms.places()
    state, family = options.state or usual.state, options.family or usual.family
    if state == usual.state and not platforms.privileged():
        how = "Run it in a terminal “as administrator”" if sys.platform == "win32" else "Run it as: sudo fairtime setup"
        raise FairtimeError("Setup needs an administrator", how)
    if state == usual.state:
        platforms.keep_to_itself(state)
    answers = _from_file(options.answers) if options.answers else _asked(accounts)
    code = found_with(answers, state, family)
    print(f"\nThe policy is kept in {family}; change it there, check it and sign it again.")
    print("\nWrite this code on paper and keep it away from this PC.  It opens Fairtime if the PIN is forgotten:")
    print(f"\n    {code}\n")
    print(f"The key that signs policies is {key_file(answers, family)}; its passphrase is")
    print("the one you chose.\n" if answers.passphrase else "your PIN of today, typed twice without a space.\n")
    started = False if options.no_start else _start()
    report = _asked_of_service() if started else None
    print("What is protected, and what is not:")
    print(f"  {'+' if started else '-'} the service {'runs' if started else 'does not run yet: fairtime service run'}")
    for line in protection(report or asyncio.run(_seen(host, [child.account for child in answers.children]))):
        print(f"  {line}")
    if started:
        print("\nNow read the agreement together, and show where the time that is left is seen:")
        for child in answers.children:
            print(f"    fairtime agreement --child {shlex.quote(child.name)}")
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
    from agent.service.guardian import refuse_weak
    from agent.service.policies import POLICY, ROOT
    from agent.trust import root, signing

    host = platforms.host()
    text = family_text(answers, zone=answers.zone or local_zone())
    family = parse(text, family_file.name)
    refuse_errors(check(family, load_catalogue(), [a.name for a in host.accounts()]), family_file.name)
    refuse_weak(answers.pin)
    if (state / ROOT).exists():
        raise PolicyError("This PC is set up already", f"Change {family_file} and sign it again.", where=str(state))
    key = key_file(answers, family_file)
    family_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    signer = new_key(key, answers.passphrase or answers.pin * 2)
    try:
        data = signing.sign_policy(build(family, version=1), signer)
        device = signing.new_signer()
        keys = root.make([signer.public_key], [signer], devices=[device.public_key])
        pem = signing.pem(device, None)
        code = asyncio.run(found(state, host, keys, data, answers.pin, own_account(), device_key=pem))
    except BaseException:
        key.unlink(missing_ok=True)  # it signs for nothing, and would stand in the way of the next try
        raise
    family_file.write_text(text, encoding="utf-8")
    family_file.with_name(POLICY).write_bytes(data)  # what “fairtime policy sign” follows
    return code


def key_file(answers: Answers, family_file: Path) -> Path:
    """Where the guardian's key is kept."""
    return Path(answers.key) if answers.key else family_file.with_name("guardian.key")


def family_text(answers: Answers, zone: str) -> str:
    """``family.toml`` for these answers."""
    from agent.core.drafting import draft

    if not answers.children:
        raise PolicyError("There is no child to protect", "Name at least one child and its account.")
    first, *others = answers.children
    text = draft(
        first.preset, first.name, first.account, answers.guardian, answers.guardian_account, zone, answers.unwatched
    )
    for child in others:
        more = draft(child.preset, child.name, child.account, answers.guardian, answers.guardian_account, zone)
        text += "\n" + more[more.index("[[children]]") :]
    return text


def local_zone() -> str:
    """The PC's time zone as a first guess; ``UTC`` when it is not told."""
    if sys.platform == "win32":
        from tzlocal import get_localzone_name

        return get_localzone_name()  # Windows has names of its own for zones
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
    if all(account.administrator for account in accounts):
        raise FairtimeError(
            "There is no account for a child on this PC",
            f"Make a standard account for each child first, {_ADD_ACCOUNT}. An administrator cannot be limited.",
        )
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
    taken = {account, *(child.account for child in children)}
    rest = [one.name for one in accounts if not one.administrator and one.name not in taken]
    unwatched: list[str] = []
    if rest:
        print(f"\nNobody's accounts: {', '.join(rest)}.  They get the strictest limits, so that none is a way out.")
        said = _ask("Leave alone (names, or nothing)", lambda text: set(_names(text)) <= set(rest))
        unwatched = _names(said)
    pin = _new_pin()
    passphrase = getpass.getpass("A passphrase for the key that signs policies (nothing: the PIN typed twice): ")
    return Answers(
        guardian=guardian,
        guardian_account=account,
        children=children,
        pin=pin,
        passphrase=passphrase,
        unwatched=unwatched,
    )


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()


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
    from agent.service.guardian import refuse_weak

    while True:
        pin = getpass.getpass("A PIN for guardians (4 characters or more): ")
        try:
            refuse_weak(pin)
        except Refused as error:
            print(f"  {error.title}. {error.advice}")
            continue
        if pin == getpass.getpass("Once more: "):
            return pin
        print("  The two are not the same.")


def _start() -> bool:
    if sys.platform in ("win32", "darwin"):
        from agent import platforms

        platforms.start_service()
        return True
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        return False
    done = subprocess.run([systemctl, "enable", "--now", UNIT], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"The service could not be started: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode == 0


def _asked_of_service() -> dict[str, Any] | None:
    """The state of protection as the running service sees it; ``None`` when it does not answer within ten seconds."""
    from agent.cli.calling import ask
    from agent.ipc.answers import Document
    from agent.ipc.protocol import GetDoctor

    for _ in range(20):
        try:
            answer = ask(GetDoctor())
        except ConnectionFailed:
            time.sleep(0.5)
            continue
        return json.loads(bytes(answer.value)) if isinstance(answer, Document) else None
    return None


async def _seen(host: Host, accounts: Sequence[str]) -> dict[str, Any]:
    """The same as this process sees it: a host that is not open knows neither sessions nor starts."""
    await host.open(lambda: None)
    try:
        findings = await asyncio.to_thread(host.findings, accounts)
        return {
            "findings": [{"severity": f.severity, "title": f.title, "advice": f.advice} for f in findings],
            "abilities": [
                {"capability": str(a.capability), "present": a.present, "why": a.why} for a in host.abilities()
            ],
        }
    finally:
        await host.close()


def protection(report: dict[str, Any]) -> list[str]:
    """Lines for people: every finding, then what is missing and was not told yet."""
    lines, told = [], []
    for finding in report["findings"]:
        advice = f". {finding['advice']}" if finding["advice"] else "."
        mark = {"ok": "+", "note": "-"}.get(finding["severity"], "!")
        lines.append(f"{mark} {finding['title']}{advice}")
        told.append(finding["advice"])
    for ability in report["abilities"]:
        if ability["why"] and not ability["present"] and not any(one.startswith(ability["why"]) for one in told):
            lines.append(f"- {ability['why']}")
    return lines
