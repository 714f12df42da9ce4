"""Signing an envelope, and whose signatures on one hold.  Heavy imports: jobs and commands only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key, Signature, Signer

from agent.trust.envelope import Envelope, pae


def signed(payload_type: str, payload: bytes, signers: Iterable[Signer]) -> bytes:
    """The file: the payload with a signature of each of ``signers``."""
    text = pae(payload_type, payload)
    found = [signer.sign(text) for signer in signers]
    return Envelope(payload_type, payload, tuple((one.keyid, bytes.fromhex(one.signature)) for one in found)).write()


def holding(envelope: Envelope, keys: Mapping[str, Key]) -> frozenset[str]:
    """The public keys among ``keys`` (by id) whose signature on the envelope holds: one key never counts twice."""
    text = pae(envelope.payload_type, envelope.payload)
    good = set()
    for keyid, sig in envelope.signatures:
        key = keys.get(keyid)
        if key is None:
            continue
        try:
            key.verify_signature(Signature(keyid, sig.hex()), text)
        except (UnverifiedSignatureError, VerificationError):
            continue
        good.add(key.keyval["public"])
    return frozenset(good)
