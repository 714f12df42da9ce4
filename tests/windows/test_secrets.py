"""Secrets of the machine: opened on this PC for their purpose, and the device key on the disk is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.errors import StoreError
from agent.platforms.windows import secrets
from agent.service.seals import KEY, Seals, keep_key


def test_a_secret_opens_for_its_purpose_alone() -> None:
    sealed = secrets.seal(b"private", "device key")
    assert b"private" not in sealed
    assert secrets.unseal(sealed, "device key") == b"private"
    with pytest.raises(StoreError, match="cannot be opened"):
        secrets.unseal(sealed, "something else")
    with pytest.raises(StoreError):
        secrets.unseal(sealed[:-1], "device key")


def test_the_device_key_does_not_lie_open_on_the_disk(tmp_path: Path) -> None:
    pem = b"-----BEGIN PRIVATE KEY-----"
    keep_key(tmp_path, pem)
    assert pem not in (tmp_path / KEY).read_bytes()
    assert Seals(tmp_path, "machine")._read(KEY) == pem
    (tmp_path / KEY).write_bytes(pem)  # somebody else's, put in its place
    with pytest.raises(StoreError, match="cannot be opened"):
        Seals(tmp_path, "machine")._read(KEY)
