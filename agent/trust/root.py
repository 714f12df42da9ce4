"""``root.json``: whose keys may sign, and how many are needed.  TUF Root metadata (https://theupdateframework.io).

TUF's ``root`` role says who may change the keys, its ``targets`` role who may sign policies, and ``timestamp``, TUF's role
for what is signed often, holds the key of the PC itself, which signs grants; ``snapshot`` serves a server that Fairtime
does not have and stays empty.  A root never expires in effect (its date lies far ahead):
nobody should lose their limits because a key file grew old.  Heavy imports: jobs and commands only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from agent.errors import TrustError
from agent.trust.envelope import strict_json

MAX_ROOT = 256 * 1024
MAX_ROTATIONS = 64
FAR = dt.timedelta(days=365 * 50)


def read(data: bytes) -> Metadata[Root]:
    """A root that is signed by enough of its own keys.  ``TrustError`` (reason ``root``) otherwise."""
    if not 0 < len(data) <= MAX_ROOT:
        raise _bad("it is empty or far too big")
    strict_json(data)
    try:
        found: Metadata[Root] = Metadata.from_bytes(data)
    except (DeserializationError, RecursionError) as error:
        raise _bad(str(error)) from error
    if found.signed.type != "root":
        raise _bad("it is not a root")
    publics = [key.keyval["public"] for key in found.signed.keys.values()]
    if len(set(publics)) != len(publics):
        raise _bad("one key stands there under two ids, and would count twice")
    if not found.signed.roles["targets"].keyids:
        raise _bad("it names nobody who may sign")
    _signed_by(found, found)
    return found


def rotated(old: Metadata[Root], data: bytes) -> Metadata[Root]:
    """The next root: one version on, and signed by enough of the old keys and of the new."""
    new = read(data)
    if new.signed.version != old.signed.version + 1:
        raise _bad(f"version {new.signed.version} does not follow version {old.signed.version}")
    _signed_by(old, new)
    return new


def signers(root: Metadata[Root]) -> tuple[dict[str, Key], int]:
    """The keys that may sign policies, by id, and how many of them are needed."""
    role = root.signed.roles["targets"]
    return {keyid: root.signed.keys[keyid] for keyid in role.keyids if keyid in root.signed.keys}, role.threshold


def givers(root: Metadata[Root]) -> dict[str, Key]:
    """The keys that may sign a grant, by id; one is enough: the PC's own, and each that may sign policies."""
    keyids = (*root.signed.roles["timestamp"].keyids, *root.signed.roles["targets"].keyids)
    return {keyid: root.signed.keys[keyid] for keyid in keyids if keyid in root.signed.keys}


def devices(root: Metadata[Root]) -> list[Key]:
    """The keys of PCs: those that may sign grants only."""
    return [root.signed.keys[keyid] for keyid in root.signed.roles["timestamp"].keyids if keyid in root.signed.keys]


def with_device(old: Metadata[Root], device: Key, by: Sequence[Signer]) -> bytes:
    """The next root, in which ``device`` may sign grants too.  ``TrustError`` unless enough guardians sign (``by``)."""
    keys, threshold = signers(old)
    data = make(
        list(keys.values()),
        by,
        devices=[*devices(old), device],
        threshold=threshold,
        root_threshold=old.signed.roles["root"].threshold,
        version=old.signed.version + 1,
    )
    rotated(old, data)
    return data


def make(
    keys: Sequence[Key],
    by: Sequence[Signer],
    *,
    devices: Sequence[Key] = (),
    threshold: int = 1,
    root_threshold: int = 1,
    version: int = 1,
    now: dt.datetime | None = None,
) -> bytes:
    """A new root: each of ``keys`` may sign policies and change keys, each of ``devices`` only grants; signed ``by``."""
    if not 1 <= threshold <= len(keys) or not 1 <= root_threshold <= len(keys):
        raise TrustError(
            f"{len(keys)} keys cannot give {max(threshold, root_threshold)} signatures",
            "Ask for fewer signatures, or add keys: this policy could never be changed again.",
            reason="lockout",
        )
    at = (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)
    signed = Root(version=version, expires=at + FAR, consistent_snapshot=False)
    for key in keys:
        signed.add_key(key, "root")
        signed.add_key(key, "targets")
    for key in devices:
        signed.add_key(key, "timestamp")
    signed.roles["root"].threshold = root_threshold
    signed.roles["targets"].threshold = threshold
    metadata = Metadata(signed)
    for signer in by:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=False))


def _signed_by(keeper: Metadata[Root], new: Metadata[Root]) -> None:
    try:
        keeper.signed.verify_delegate("root", new.signed_bytes, new.signatures)
    except RepositoryError as error:
        raise _bad("too few of the keys that may change it have signed it") from error


def _bad(why: str) -> TrustError:
    return TrustError(
        f"The file of guardians' keys (root.json) cannot be believed: {why}",
        "Restore root.json from your copy, or change keys with “fairtime keys”.",
        reason="root",
    )
