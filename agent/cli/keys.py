"""``fairtime keys``: a guardian's signing key."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import TrustError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

DEFAULT = "guardian"


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    one = sub.add_parser("keys", help="a guardian's signing key")
    deeper = one.add_subparsers(dest="what", required=True, metavar="new|root|rotate|device")
    new = deeper.add_parser("new", help="make a key, in the keyring or in a file")
    new.add_argument("--key", type=Path, metavar="FILE", help="keep it in this file, behind a passphrase")
    new.set_defaults(run=_new)
    root = deeper.add_parser("root", help="make root.json: whose signatures count")
    root.add_argument("--key", type=Path, metavar="FILE", action="append", help="the keys that are to count")
    root.add_argument("--threshold", type=int, default=1, help="how many guardians must sign a policy")
    root.add_argument("--out", type=Path, required=True, help="where to write it")
    root.set_defaults(run=_root)
    rotate = deeper.add_parser("rotate", help="the next root.json, with other keys")
    rotate.add_argument("root", type=Path, help="the present root.json")
    rotate.add_argument("--key", type=Path, metavar="FILE", action="append", help="the keys that are to count")
    rotate.add_argument("--old-key", type=Path, metavar="FILE", action="append", help="keys that count now")
    rotate.add_argument("--threshold", type=int, default=1, help="how many guardians must sign a policy")
    rotate.add_argument("--out", type=Path, required=True, help="where to write it")
    rotate.set_defaults(run=_rotate)
    device = deeper.add_parser("device", help="a new key for this PC, which signs grants (as administrator)")
    device.add_argument("--state", type=Path, help="state folder (default: the service's)")
    device.add_argument(
        "--key", type=Path, metavar="FILE", action="append", help="the guardians' keys that vouch for it"
    )
    device.set_defaults(run=_device)


def signer(path: Path | None) -> CryptoSigner:
    """The key in a file, or the one in the keyring."""
    from agent.trust import signing

    if path is None:
        return signing.from_keyring(DEFAULT)
    return signing.from_file(path, lambda: passphrase(f"Passphrase of {path}: "))


def passphrase(prompt: str) -> str:
    """From FAIRTIME_PASSPHRASE (scripts), a pipe, or the terminal without echo."""
    given = os.environ.get("FAIRTIME_PASSPHRASE")
    if given is not None:
        return given
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def new_key(path: Path | None, words: str | None = None) -> CryptoSigner:
    """Make a key and keep it: in ``path`` behind a passphrase, else in the keyring."""
    from agent.trust import signing

    made = signing.new_signer()
    if path is not None:
        signing.keep_in_file(path, made, words if words is not None else passphrase("A passphrase for the key file: "))
    elif signing.has_keyring():
        signing.keep_in_keyring(DEFAULT, made)
    else:
        raise TrustError(
            "This session has no keyring",
            "Keep the key in a file: --key FILE (a USB stick is a good place).",
            reason="key",
        )
    return made


def _new(options: argparse.Namespace) -> int:
    made = new_key(options.key)
    print(f"Made key {made.public_key.keyid[:16]}, kept in {options.key or 'your keyring'}.")
    return 0


def _root(options: argparse.Namespace) -> int:
    from agent.trust import root

    signers = [signer(path) for path in options.key or [None]]
    data = root.make([one.public_key for one in signers], signers, threshold=options.threshold)
    options.out.write_bytes(data)
    print(options.out)
    return 0


def _rotate(options: argparse.Namespace) -> int:
    from agent.trust import root

    old = root.read(options.root.read_bytes())
    new = [signer(path) for path in options.key or [None]]
    by = [*new, *(signer(path) for path in options.old_key or [None])]
    data = root.make(
        [one.public_key for one in new],
        by,
        devices=root.devices(old),
        threshold=options.threshold,
        version=old.signed.version + 1,
    )
    root.rotated(old, data)
    options.out.write_bytes(data)
    print(options.out)
    return 0


def _device(options: argparse.Namespace) -> int:
    """What the keys before this one have signed still holds: they stay in the root."""
    from agent import platforms
    from agent.service.policies import ROOT
    from agent.service.seals import keep_key
    from agent.service.whole import write
    from agent.trust import root, signing

    state: Path = options.state or platforms.places().state
    path = state / ROOT
    try:
        old = root.read(path.read_bytes())
    except OSError as error:
        raise TrustError(
            f"The file of guardians' keys cannot be read: {error.strerror}",
            "Run this as administrator on a PC that is set up.",
            where=str(path),
            reason="root",
        ) from error
    by = [signer(one) for one in options.key or [None]]
    made = signing.new_signer()
    new = root.with_device(old, made.public_key, by)
    write(path, new)
    keep_key(state, signing.pem(made, None))
    print(f"This PC signs grants with key {made.public_key.keyid[:16]} from now on.")
    return 0
