"""Code that the environment brings into a program."""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("Linux only", allow_module_level=True)

from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.linux.injection import injected


def safe(path: str) -> bool:
    return path.startswith("/usr/")


CASES = [
    ("python", "PYTHONPATH=/home/mia", "PYTHONPATH"),
    ("python", "PYTHONPATH=/usr/share/x:lib", "PYTHONPATH"),
    ("python", "PYTHONPATH=/usr/share/x", ""),
    ("python", "PYTHONPATH=", ""),
    ("python", "PERL5LIB=/home/mia", ""),
    ("perl", "PERL5LIB=/home/mia", "PERL5LIB"),
    ("perl", "PERL5OPT=-Mevil", "PERL5OPT"),
    ("ruby", "RUBYOPT=-w", ""),
    ("ruby", "RUBYOPT=-w -revil", "RUBYOPT"),
    ("node", "NODE_OPTIONS=--max-old-space-size=4096", ""),
    ("node", "NODE_OPTIONS=--require evil", "NODE_OPTIONS"),
    ("java", "_JAVA_OPTIONS=-Dawt.useSystemAAFontSettings=on -Xmx2g", ""),
    ("java", "JAVA_TOOL_OPTIONS=-javaagent:evil.jar", "JAVA_TOOL_OPTIONS"),
    ("java", "JDK_JAVA_OPTIONS=@file", "JDK_JAVA_OPTIONS"),
    ("lua", "LUA_PATH=/home/mia/?.lua;;", "LUA_PATH"),
    ("shell", "BASH_ENV=/home/mia/x", "BASH_ENV"),
    ("shell", "BASH_ENV=$HOME/x", "BASH_ENV"),
    ("", "LD_PRELOAD=/usr/lib/a.so /home/mia/b.so", "LD_PRELOAD"),
    ("", "LD_PRELOAD=$ORIGIN/a.so", "LD_PRELOAD"),
    ("", "XLD_PRELOAD=/home/mia/a.so", ""),
]


@pytest.mark.parametrize(("kind", "pair", "name"), CASES)
def test_names_the_variable(kind: str, pair: str, name: str) -> None:
    assert injected(f"HOME=/home/mia\0{pair}\0PATH=/bin\0".encode(), kind, safe) == name


@given(st.binary(max_size=60), st.sampled_from(["", "python", "java", "lua"]))
def test_any_environment_has_an_answer(raw: bytes, kind: str) -> None:
    found = injected(b"LD_PRELOAD=" + raw, kind, lambda _: True)
    assert found in ("", "LD_PRELOAD")


@given(st.lists(st.sampled_from(["/usr/lib", "/usr/x", "/home/mia", "", "lib"]), min_size=1, max_size=4))
def test_one_unsafe_folder_is_enough(folders: list[str]) -> None:
    value = ":".join(folders)
    expected = bool(value) and not all(folder.startswith("/usr/") for folder in folders)
    assert bool(injected(f"LD_LIBRARY_PATH={value}".encode(), "", safe)) is expected
