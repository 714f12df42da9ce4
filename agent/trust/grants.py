"""Sign a grant, and tell truly given ones from rows that somebody wrote into the ledger.  Runs in a job process.

Request and answer are those of ``trust.seal``, as JSON, byte strings in base64.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, Key

from agent.errors import FairtimeError, TrustError
from agent.trust import root as roots
from agent.trust.envelope import read, strict_json
from agent.trust.seal import GRANT_TYPE, MOST_GRANTS, Check, Given, Seal, Sealed, Statement
from agent.trust.signatures import holding, signed


def seal(request: Seal) -> bytes:
    """The envelope for a grant.  ``TrustError`` (reason ``key``) when the key is damaged or nobody vouches for it."""
    try:
        private = serialization.load_pem_private_key(request.key, None)
    except (ValueError, TypeError) as error:
        raise _no_key("This PC's key is damaged") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key("This PC's key is of a wrong kind")
    payload = msgspec.json.encode(Statement(device=request.device, grant=request.grant))
    made = signed(GRANT_TYPE, payload, [CryptoSigner(private)])
    keys = roots.givers(roots.read(request.root))
    if flaw(Given(grant=request.grant, seal=made), keys, request.device):
        raise _no_key("The guardians' file of keys does not name this PC's key")
    return made


def check(request: Check) -> dict[str, str]:
    """The rows that do not hold: id and reason."""
    if len(request.given) > MOST_GRANTS:
        raise TrustError("The ledger holds far too many grants", "Shorten retention_weeks.", reason="size")
    keys = roots.givers(roots.read(request.root))
    found = ((one.grant.id, flaw(one, keys, request.device)) for one in request.given)
    return {ident: why for ident, why in found if why}


def flaw(given: Given, keys: Mapping[str, Key], device: str) -> str:
    """Why a row is no grant; empty when it is one."""
    if not given.seal:
        return "it was never signed"
    try:
        envelope = read(given.seal)
        if envelope.payload_type != GRANT_TYPE:
            return "something else was signed"
        if not holding(envelope, keys):
            return "nobody who may give anything has signed it"
        strict_json(envelope.payload)
        said = msgspec.json.decode(envelope.payload, type=Statement)
    except (TrustError, msgspec.DecodeError):
        return "its signature is damaged"
    if said.device != device:
        return "it was given on another PC"
    if said.grant != given.grant:
        return "it was changed after it was signed"
    return ""


def _no_key(title: str) -> TrustError:
    return TrustError(
        title,
        "Nothing can be given until an administrator makes a new key: “sudo fairtime keys device”.",
        reason="key",
    )


def run(request: bytes) -> bytes:
    """The job ``grants``."""
    try:
        asked: Seal | Check = msgspec.json.decode(request, type=Seal | Check)
        answer = Sealed(seal=seal(asked)) if isinstance(asked, Seal) else Sealed(refused=check(asked))
    except TrustError as error:
        answer = Sealed(title=error.title, advice=error.advice, reason=error.reason)
    except FairtimeError as error:
        answer = Sealed(title=error.title, advice=error.advice, reason="invalid")
    return msgspec.json.encode(answer)
