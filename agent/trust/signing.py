"""A guardian's key, and signing with it.  Heavy imports: commands only.

The key lives in the guardian's keyring; where there is none, in a PKCS#8 file that a passphrase protects (PBES2 with
scrypt or PBKDF2, as ``cryptography``'s ``BestAvailableEncryption`` chooses).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keyring
import keyring.errors
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keyring.backends import fail, null
from securesystemslib.signer import CryptoSigner

from agent.core.checks import check, refuse_errors
from agent.errors import PolicyError, TrustError
from agent.model.policy import PAYLOAD_TYPE, Policy
from agent.trust.signatures import signed

SERVICE = "fairtime"
SHORTEST_PASSPHRASE = 8


def has_keyring() -> bool:
    """Whether this session has a keyring that keeps secrets."""
    backend = keyring.get_keyring()
    return not isinstance(backend, (fail.Keyring, null.Keyring)) and float(backend.priority) >= 1


def new_signer() -> CryptoSigner:
    """A new Ed25519 key."""
    return CryptoSigner.generate_ed25519()


def keep_in_keyring(name: str, signer: CryptoSigner) -> None:
    """Keep a key under ``name`` in this session's keyring.  ``TrustError`` when it refuses."""
    try:
        keyring.set_password(SERVICE, name, pem(signer, None).decode())
    except keyring.errors.KeyringError as error:
        raise TrustError(
            f"The keyring did not take the key: {error}", "Unlock it, or use a key file: --key FILE.", reason="key"
        ) from error


def from_keyring(name: str) -> CryptoSigner:
    """The key kept under ``name``."""
    if not has_keyring():
        raise TrustError(
            "This session has no keyring to take the key from", "Name the key's file: --key FILE.", reason="key"
        )
    try:
        text = keyring.get_password(SERVICE, name)
    except keyring.errors.KeyringError as error:
        raise TrustError(f"The keyring cannot be read: {error}", "Unlock it, then try again.", reason="key") from error
    if text is None:
        raise TrustError(
            f"The keyring holds no key called {name}",
            "Make one with “fairtime keys new”, or name a file: --key FILE.",
            reason="key",
        )
    return _signer(text.encode(), None, name)


def keep_in_file(path: Path, signer: CryptoSigner, passphrase: str) -> None:
    """Write a key to a new file that only its owner can read."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise TrustError(
            f"The passphrase is too short for a key file (fewer than {SHORTEST_PASSPHRASE} characters)",
            "Three or four words that do not belong together are good.",
            reason="key",
        )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise TrustError(
            "There is a file of this name already",
            "Choose another name: a key is never overwritten.",
            where=str(path),
            reason="key",
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem(signer, passphrase))
        file.flush()
        os.fsync(file.fileno())


def from_file(path: Path, ask: Callable[[], str]) -> CryptoSigner:
    """The key in a file; ``ask`` gives the passphrase when one is needed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrustError(
            f"The key file cannot be read: {error.strerror}", "Check its name.", where=str(path), reason="key"
        ) from error
    passphrase = ask() if b"ENCRYPTED" in data[:64] else None
    return _signer(data, passphrase, str(path))


def pem(signer: CryptoSigner, passphrase: str | None) -> bytes:
    """A key as PKCS#8 in PEM."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    private = signer._private_key  # the library can read PKCS#8 but not write it
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def sign_policy(policy: Policy, *signers: CryptoSigner) -> bytes:
    """The signed file.  Refuses a policy with errors, or one that would lock its own signer out."""
    refuse_errors(check(policy.family, policy.catalogue), "family.toml")
    if not signers:
        raise PolicyError("A policy needs a signature", "Name a key.")
    return signed(PAYLOAD_TYPE, msgspec.json.encode(policy), signers)


def _signer(data: bytes, passphrase: str | None, where: str) -> CryptoSigner:
    try:
        private = serialization.load_pem_private_key(data, passphrase.encode() if passphrase is not None else None)
    except (ValueError, TypeError) as error:
        raise TrustError(
            "The key cannot be opened",
            "Check the passphrase and that the file is a Fairtime key.",
            where=where,
            reason="key",
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise TrustError("This is not an Ed25519 key", "Make one with “fairtime keys new”.", where=where, reason="key")
    return CryptoSigner(private)
