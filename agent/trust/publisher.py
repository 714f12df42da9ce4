"""Lists that a publisher signed: making the statement, and (the job ``publisher``) checking it.  Heavy imports."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from agent.errors import TrustError
from agent.trust.envelope import read, strict_json
from agent.trust.listing import LIST_TYPE, Said, Signed, Statement
from agent.trust.signatures import holding, signed


def sign(statement: Statement, signer: CryptoSigner) -> bytes:
    """The file that lies beside a list."""
    return signed(LIST_TYPE, msgspec.json.encode(statement), [signer])


def public_key(signer: CryptoSigner) -> str:
    """The key that guardians are told, in hex."""
    public: str = signer.public_key.keyval["public"]
    return public


def check(asked: Signed) -> Said:
    """The statement, if the owner of the key signed it."""
    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(asked.key)))
    try:
        envelope = read(asked.envelope)
        if envelope.payload_type != LIST_TYPE:
            return Said(why="something else was signed")
        if not holding(envelope, {key.keyid: key}):
            return Said(why="somebody else signed it, or it was changed")
        strict_json(envelope.payload)
        return Said(statement=msgspec.json.decode(envelope.payload, type=Statement))
    except (TrustError, msgspec.DecodeError):
        return Said(why="the statement is damaged")


def run(request: bytes) -> bytes:
    """The job."""
    return msgspec.json.encode(check(msgspec.json.decode(request, type=Signed)))
