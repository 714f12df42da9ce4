"""Who signed a program, as Windows verifies it: the interpreter's own library is signed by those who made it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.platforms.windows import evidence
from agent.platforms.windows.accounts import Person
from agent.platforms.windows.authenticode import NONE, Signature, signature
from agent.platforms.windows.evidence import Evidence
from agent.platforms.windows.handles import QUERY, opened
from agent.platforms.windows.identity import Identifier
from agent.platforms.windows.permissions import Permissions
from agent.platforms.windows.rights import ANYBODY

PSF = "Python Software Foundation"
FULL = "O=PYTHON SOFTWARE FOUNDATION, L=BEAVERTON, S=OREGON, C=US"
MIA = Person("mia", "S-1-5-21-1-2-3-1001", frozenset(ANYBODY))


@pytest.fixture(scope="session")
def signed() -> Path:
    name = f"python{sys.version_info.major}{sys.version_info.minor}.dll"
    for folder in (Path(sys.executable).parent, Path(sys.base_prefix)):
        path = folder / name
        if path.exists() and signature(str(path)).signer == PSF:
            return path
    pytest.skip(f"{name} of this interpreter is not signed by {PSF}, or this PC does not trust the root")


def test_the_signer_the_full_name_and_the_product(signed: Path) -> None:
    assert signature(str(signed)) == Signature(PSF, FULL, "Python")


def test_a_changed_byte_is_nobodys(signed: Path, tmp_path: Path) -> None:
    data = bytearray(signed.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / signed.name
    changed.write_bytes(data)
    assert signature(str(changed)) == NONE


def test_what_nobody_signed_is_nobodys(tmp_path: Path) -> None:
    plain = tmp_path / "plain.exe"
    plain.write_bytes(b"MZ" + bytes(2000))
    assert signature(str(plain)) == NONE
    assert signature(str(tmp_path / "nothing.exe")) == NONE


def test_a_program_carries_its_makers_name_whatever_its_own_is(signed: Path, tmp_path: Path) -> None:
    other = tmp_path / "games.exe"
    shutil.copyfile(signed, other)
    known = Identifier()
    found = known.file(str(other), MIA)
    assert found is not None
    assert (found.name, found.signer, found.product, len(found.sha256)) == ("games.exe", PSF, "Python", 64)
    assert known.publishers(PSF) == {FULL}


def test_a_file_that_no_child_can_change_is_asked_for_once_and_not_hashed(signed: Path) -> None:
    class Safe(Permissions):
        def protected(self, path: str, person: Person) -> bool:
            return True

    asked: list[tuple[str, bool]] = []
    known = Identifier()
    known.permissions = Safe()
    known.later = lambda path, digest: asked.append((path, digest))
    found = known.file(str(signed), MIA)
    assert found is not None and asked == [(found.path, False)]
    known.learn(found.path, evidence.of_file(found.path, digest=False), False)
    with opened(os.getpid(), None, QUERY) or pytest.fail("this process runs") as handle:
        known._finish(found.path, MIA, handle=handle)
    assert len(asked) == 1


def test_a_file_whose_hash_cannot_be_had_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "AT_ONCE", 10)
    large = tmp_path / "large.exe"
    large.write_bytes(bytes(100))
    asked: list[tuple[str, bool]] = []
    known = Identifier()
    known.later = lambda path, digest: asked.append((path, digest))
    assert known._evidence(str(large), None) == Evidence()
    known.learn(str(large), Evidence(), True)
    assert known._evidence(str(large), None) == Evidence()
    assert asked == [(str(large), True)]


def test_while_it_is_looked_at_a_file_cannot_be_exchanged(signed: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.dll"
    shutil.copyfile(signed, path)
    with evidence._held(str(path)) as file:
        assert file is not None
        with pytest.raises(OSError):
            path.rename(tmp_path / "y.dll")
        with pytest.raises(OSError):
            path.open("r+b")


def test_a_file_that_somebody_else_may_change_has_a_hash_and_no_maker(signed: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.dll"
    shutil.copyfile(signed, path)
    with path.open("r+b"):
        found = evidence.of_file(str(path))
    assert len(found.sha256) == 64 and found.signature == NONE
    assert evidence.of_file(str(path)).signature.signer == PSF
