"""What Windows itself tells the doctor, and the hash of a program that somebody signed."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

import winreg

import win32security

from agent.platforms.windows import health, healthfacts, images
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.rights import ANYBODY, may


def test_each_question_has_an_answer_or_none() -> None:
    assert healthfacts.encrypted() in (True, False, None)
    assert healthfacts.guest_on() in (True, False, None)
    known = health.facts(Registry(winreg.HKEY_LOCAL_MACHINE), guest=healthfacts.guest_on())
    assert list(health.findings((), known)) is not None


def test_the_path_is_read_and_its_folders_rights_too(tmp_path: Path) -> None:
    machine = Registry(winreg.HKEY_LOCAL_MACHINE)
    folders = health.path_folders(machine, winreg.ExpandEnvironmentStrings)
    assert any(folder.casefold().endswith(r"\system32") for folder in folders)
    rights = healthfacts.descriptor(str(tmp_path))
    assert rights is not None and "D:" in rights
    assert healthfacts.descriptor(str(tmp_path / "nothing")) is None


def test_rights_that_were_given_are_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    for rights, writes in (("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FRFX;;;WD)", False), ("D:P(A;;FA;;;WD)", True)):
        wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(rights, 1)
        win32security.SetFileSecurity(str(folder), win32security.DACL_SECURITY_INFORMATION, wanted)
        found = healthfacts.descriptor(str(folder))
        assert found is not None
        assert may(found, ANYBODY) is writes, found


def test_the_hash_of_a_signed_program_is_the_one_that_was_signed() -> None:
    """The signature of python3xx.dll holds the hash of the image: what AppLocker goes by."""
    library = Path(win32security.__file__)  # any file of ours, if the interpreter's is not signed
    for path in [*Path(sys.base_prefix).glob("python3*.dll"), *Path(sys.executable).parent.glob("*.dll")]:
        data = path.read_bytes()
        digest = images.pe_hash(data)
        if digest and bytes.fromhex(digest) in data:
            assert digest != hashlib.sha256(data).hexdigest()
            return
    pytest.skip(f"no signed library beside the interpreter ({library.parent})")
