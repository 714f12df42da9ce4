"""A guardian's key: in the keyring, else in a file behind a passphrase; and signing with it from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import PasswordSetError

from agent.cli import main
from agent.trust.envelope import read
from agent.trust.payload import policy_of
from agent.trust.signing import SERVICE


class Held(KeyringBackend):
    """A keyring in memory; ``locked`` refuses as one does whose owner is away."""

    priority = 5  # type: ignore[assignment]  # a class property in the base

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError("it is locked")
        self.secrets[service, username] = password


@pytest.fixture
def held() -> Iterator[Held]:
    before, made = keyring.get_keyring(), Held()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def bare() -> Iterator[None]:
    """A session without a keyring."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    place = tmp_path / "family.toml"
    assert main(["policy", "new", "--preset", "teen", "--out", str(place)]) == 0
    return place


def version(family: Path) -> int:
    return policy_of(read(family.with_name("policy.dsse.json").read_bytes())).version


def test_in_the_keyring(held: Held, family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "sign", str(family)]) == 1
    assert "The keyring holds no key called guardian" in capsys.readouterr().err
    assert main(["keys", "new"]) == 0
    assert "kept in your keyring" in capsys.readouterr().out
    assert held.secrets[SERVICE, "guardian"].startswith("-----BEGIN PRIVATE KEY-----")
    assert main(["policy", "sign", str(family)]) == 0
    assert version(family) == 1
    assert main(["policy", "sign", str(family)]) == 0
    assert version(family) == 2, "each follows the one before"


def test_a_locked_keyring_is_said_to_be_one(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    held.locked = True
    assert main(["keys", "new"]) == 1
    assert "Unlock it, or use a key file: --key FILE." in capsys.readouterr().err


def test_without_a_keyring_the_advice_is_a_file(bare: None, family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "new"]) == 1
    assert "Keep the key in a file: --key FILE" in capsys.readouterr().err
    assert main(["policy", "sign", str(family)]) == 1
    told = capsys.readouterr().err
    assert "no keyring" in told
    assert "--key FILE" in told
    assert "://" not in told


def test_in_a_file_behind_a_passphrase(
    bare: None, family: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = family.with_name("guardian.key")
    monkeypatch.setenv("FAIRTIME_PASSPHRASE", "short")
    assert main(["keys", "new", "--key", str(key)]) == 1
    assert not key.exists()
    monkeypatch.setenv("FAIRTIME_PASSPHRASE", "three loose words")
    assert main(["keys", "new", "--key", str(key)]) == 0
    assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    if sys.platform != "win32":  # where the folder says whose it is, no mode
        assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert main(["keys", "new", "--key", str(key)]) == 1
    assert key.read_bytes() == before, "a key is never overwritten"
    assert main(["policy", "sign", str(family)]) == 0, "a key beside the file is found"
    assert version(family) == 1
    monkeypatch.setenv("FAIRTIME_PASSPHRASE", "three other words")
    capsys.readouterr()
    assert main(["policy", "sign", str(family)]) == 1
    assert "Check the passphrase" in capsys.readouterr().err
    assert version(family) == 1


def test_what_cannot_be_written_leaves_the_policy_before(
    held: Held, family: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "new"]) == 0
    assert main(["policy", "sign", str(family), "--out", str(family / "below" / "x.json")]) == 1
    assert "It cannot be written" in capsys.readouterr().err
    assert main(["policy", "sign", str(family), "--expires", "2030-01-01"]) == 0
    assert policy_of(read(family.with_name("policy.dsse.json").read_bytes())).expires == "2030-01-01T00:00:00Z"
