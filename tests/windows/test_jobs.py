"""What a job is given and what is taken from it: open files under the same numbers, limits, and no privileges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

from agent.errors import ListError
from agent.filter.lists.parts import opened
from agent.platforms.windows import childfiles

ROOT = Path(__file__).resolve().parents[2]
TAKE = """
import os, sys
from agent.platforms.windows import childfiles
childfiles.take(sys.argv[1])
for pair in sys.argv[1].split():
    number = int(pair.partition(":")[0])
    os.write(number, str(number).encode() + b"\\n")
"""
CONFINED = """
import win32api, win32security
from agent.platforms.windows.confining import confine
confine(1 << 30, 30.0)
token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), 8)
print([win32security.LookupPrivilegeName("", luid) for luid, _ in win32security.GetTokenInformation(token, win32security.TokenPrivileges)])
"""


def child(code: str, *words: str, **more: Any) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", check=False, timeout=50, **more,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return str(run.stdout)


@pytest.mark.parametrize("turned", [False, True])
def test_files_have_the_same_numbers_there_and_nothing_else_is_given(tmp_path: Path, turned: bool) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(6)]
    numbers = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_BINARY) for path in paths]
    try:
        given = numbers[::-1][:4] if turned else numbers[:4]
        with childfiles.given(given) as (words, told):
            child(TAKE, told, **words)
        for path, number in zip(paths, numbers, strict=True):
            assert path.read_bytes() == (b"%d\n" % number if number in given else b"")
    finally:
        for number in numbers:
            os.close(number)


def test_without_files_there_is_nothing_to_say() -> None:
    with childfiles.given(()) as (words, told):
        assert (words, told) == ({}, "")
    childfiles.take("")


def test_a_job_has_no_privilege_that_it_does_not_need() -> None:
    assert child(CONFINED).strip() == "['SeChangeNotifyPrivilege']"


def test_a_folder_is_told_from_a_file_and_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "domains").write_bytes(b"a.example\r\n")
    assert opened(tmp_path) is None
    with opened(tmp_path / "domains") or pytest.fail("it is a file") as file:
        assert file.read() == b"a.example\r\n"
    with pytest.raises(ListError, match="cannot be read"):
        opened(tmp_path / "none")
